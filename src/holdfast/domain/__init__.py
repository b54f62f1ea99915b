"""Pure values and rules: standard library only, no clock, no input or output, no randomness."""
