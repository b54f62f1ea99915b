"""What the tests stand on: real servers and processes."""
