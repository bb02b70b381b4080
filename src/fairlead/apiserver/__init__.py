"""Kubernetes REST over a `store.mvcc.Store`."""
