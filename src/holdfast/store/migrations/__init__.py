"""How the schema came to be: Alembic runs these, never ``create_all``."""
