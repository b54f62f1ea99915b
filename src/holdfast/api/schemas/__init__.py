"""The wire's models, one noun a file: what comes in is checked by them, what goes out is described by them."""
