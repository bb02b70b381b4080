"""Running controllers: one is a pure function from a `View` to `Change`s; this package surrounds it."""
