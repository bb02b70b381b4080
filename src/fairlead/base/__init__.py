"""What everything may import: the clock, errors, telemetry. Imports nothing of Fairlead."""
