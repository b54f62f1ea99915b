"""The schema's life: made, upgraded, refused when it is newer than the program."""

import threading
from pathlib import Path

import sqlalchemy as sa

from holdfast.domain.errors import (
    NoDatabase,
    SchemaNewer,
    SchemaOutdated,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
)
from holdfast.store.engine import Engine

# The newest revision in migrations/versions; a test holds the two together.
HEAD = "0008"
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
_MIGRATIONS = Path(__file__).parent / "migrations"
# Alembic tells its environment through a module what to do: one at a time in a process.
_ALEMBIC = threading.Lock()


def opened(url: str, path: Path | None, *, migrate: bool = True, create: bool = True) -> Engine:
    """Connect to a database.

    Args:
        url: the database.
        path: its file, if it is one.
        migrate: whether a missing schema is made (with ``create``), and one that does not fit refused.
        create: whether a new database is wanted, and the folder of its file.

    Raises:
        NoDatabase: there is none, and none is to be made.
        SchemaNewer: a newer Holdfast wrote it.
        SchemaOutdated: an older one did.
        StoreReadOnly: the folder may not be made.
        StoreUnavailable: it cannot be made.
    """
    if path is not None and not create and not path.exists():
        raise NoDatabase(f"There is no database {path}")
    if path is not None and create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except PermissionError as error:
            raise StoreReadOnly(f"The folder {path.parent} cannot be made: {error.strerror}") from error
        except OSError as error:
            raise StoreUnavailable(f"The folder {path.parent} cannot be made: {error.strerror}") from error
    engine = Engine(url)
    try:
        if migrate:
            prepare(engine, create=create)
    except BaseException:
        # Also when Ctrl-C comes while the schema is made: nobody else knows of the engine.
        engine.close()
        raise
    return engine


def revision_of(engine: Engine) -> str | None:
    """The revision of the database's schema; None when there is none yet.

    Raises:
        StoreError: the database belongs to another program.
    """
    with engine.read() as connection:
        return _revision(connection)


def _revision(connection: sa.Connection) -> str | None:
    names = set(sa.inspect(connection).get_table_names())
    if "alembic_version" in names and "analyses" in names:
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if names:
        raise StoreError("The database holds tables of another program; give Holdfast a database of its own")
    return None


def prepare(engine: Engine, *, create: bool = True) -> None:
    """Make the schema in a new database, and see that an old one fits.

    Args:
        engine: the database.
        create: whether a new database is wanted.

    Raises:
        NoDatabase: there is none, and none is to be made.
        SchemaNewer: a newer Holdfast wrote it.
        SchemaOutdated: an older one did; it is upgraded on request, never on its own.
    """
    revision = revision_of(engine)
    if revision is None and not create:
        raise NoDatabase("The database holds nothing of Holdfast yet")
    if revision is None:
        upgrade(engine)
    elif revision not in REVISIONS:
        raise SchemaNewer(
            f"The database has schema {revision}, this Holdfast knows up to {HEAD}",
            found=revision,
            known=HEAD,
        )
    elif revision != HEAD:
        raise SchemaOutdated(
            f"The database has schema {revision}, this Holdfast needs {HEAD}", found=revision, known=HEAD
        )


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to this program's; safe when several processes do it at once.

    Returns:
        The revision before and after.
    """

    def migrate(connection: sa.Connection) -> str | None:
        before = _revision(connection)
        if before is not None and before not in REVISIONS:
            raise SchemaNewer(f"The database has schema {before}, this Holdfast knows up to {HEAD}")
        if before != HEAD:
            # Only to change a schema: a tenth of a second and 10 MB that every other start does without.
            from alembic import command  # noqa: PLC0415
            from alembic.config import Config  # noqa: PLC0415

            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            with _ALEMBIC:
                command.upgrade(config, "head")
        return before

    return engine.exclusively(migrate), HEAD
