"""Fairlead: AI workloads the Kubernetes way, in one Python package."""

__version__ = "0.1.0"
