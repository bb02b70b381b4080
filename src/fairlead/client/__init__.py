"""The seam: everything above the API server talks to a `protocol.Client` and cannot tell which one it has."""
