"""Pure functions on plain objects: quantity, selector, jsonpath, patch, apply, schema, cel. No I/O, no clock."""
