"""Running controllers: a controller is a pure function from a `View` to `Change`s; this package is what surrounds it."""
