"""For tests of controllers, users' included: a cluster in memory on a fake clock, builders, conformance suites."""
