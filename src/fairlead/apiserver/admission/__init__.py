"""Admission: what may still change or refuse an object once its request is authorized. `chain.Chain` is the order.

A plugin is one file. It reads other objects straight from the store, never writes, and is synchronous: the whole
chain runs between two turns of the event loop, so what it has read is still true when the write is issued.
"""

from fairlead.apiserver.admission.review import Operation, Plugin, Review

__all__ = ["Operation", "Plugin", "Review"]
