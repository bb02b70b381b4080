"""What is particular to each kind: defaults, validation, what an update keeps. `strategy.find` looks a kind up."""
