"""Audit: who has done what, one JSON line an event, in the format of `audit.k8s.io/v1`.

`policy` says what of a request is written, `record` makes the events, `writer` puts them into the file.
"""
