"""Types only: frozen msgspec Structs in wire spelling, one file per API group.

A Struct here is a *narrow view*: it declares what deciding code reads, ignores the rest, and is never written back
(a round trip would lose fields). `meta.Resource` describes a kind and names its view.
"""
