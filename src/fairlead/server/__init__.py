"""The composition root: from settings to a running control plane. The only package that imports everything."""
