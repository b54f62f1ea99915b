"""Alembic's environment: migrations run on the connection that Holdfast hands over."""

from alembic import context

from holdfast.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    # The caller's transaction holds the lock that keeps other processes out.
    transaction_per_migration=False,
)
context.run_migrations()
