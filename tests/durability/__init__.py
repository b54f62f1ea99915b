"""What is acknowledged is kept, whoever is killed when."""
