"""Connections that stay open both ways: `pods` is what is served, the rest are the languages of its wires.

pods ── channels ── websocket | remotecommand ── spdy ── headerblock
    └── portforward ── websocket | spdy            takeover: the bytes below
"""
