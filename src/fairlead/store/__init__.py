"""Bytes in, bytes out: a revisioned key-value store with watches. Knows no kinds."""
