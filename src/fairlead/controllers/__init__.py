"""One file = one controller = one pure `reconcile(view) -> [Change]`. Siblings never import each other."""
