"""docs/how-to/replicate.md does what it says."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

import holdfast
from tests.support import postgres
from tests.support.postgres import PostgresServer, PostgresUnavailable
from tests.support.processes import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("holdfast"))
_PLACES = {"/backups": "backups", "/var/lib/holdfast": "copy"}


def test_its_commands_run_in_their_order(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/replicate.md").read_text()
    commands = [line for block in re.findall(r"```\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 3
    url = f"sqlite:///{tmp_path / 'holdfast.db'}"
    with holdfast.open(url) as hf:
        hf.store_analysis("note", {"kept": "here"}, analysis_id="a")
    for place in _PLACES.values():
        (tmp_path / place).mkdir()
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "holdfast"
        for place, folder in _PLACES.items():
            words = [word.replace(place, str(tmp_path / folder)) for word in words]
        # As long a path begins with a slash of its own.
        words = [word.replace("sqlite:////" + str(tmp_path), f"sqlite:///{tmp_path}") for word in words]
        environment = os.environ | {"HOLDFAST_DATABASE_URL": url}
        done = subprocess.run(
            [COMMAND, *words[1:]], capture_output=True, text=True, env=environment, timeout=120, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
    with holdfast.open(f"sqlite:///{tmp_path / 'copy' / 'holdfast.db'}") as copy:
        assert copy.get_result("a") == {"kept": "here"}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_standby_takes_over() -> None:
    try:
        primary = PostgresServer(durable=True)
    except PostgresUnavailable as error:
        pytest.skip(f"No PostgreSQL: {error}")
    with primary, tempfile.TemporaryDirectory(prefix="hf-standby-", dir=postgres._scratch()) as folder:
        primary.create_database("kept")
        with holdfast.open(primary.url("kept")) as hf:
            hf.store_analysis("note", 1, analysis_id="before")
        primary._own(Path(folder))
        copied = postgres._run(
            primary._binaries / "pg_basebackup",
            f"--pgdata={folder}/data",
            f"--host={primary.socket_directory}",
            f"--username={postgres._SUPERUSER}",
            "--write-recovery-conf",
        )
        assert copied.returncode == 0, copied.stderr
        with PostgresServer(Path(folder), durable=True) as standby:
            hosts = f"{primary.socket_directory},{standby.socket_directory}"
            url = f"postgresql://{postgres._SUPERUSER}@/kept?host={hosts}&target_session_attrs=read-write"
            with holdfast.open(url) as hf:
                hf.store_analysis("note", 2, analysis_id="meanwhile")

            def is_there() -> bool:
                with standby.connect("kept") as connection:
                    rows = connection.execute("SELECT FROM analyses WHERE analysis_id = 'meanwhile'")
                    return rows.fetchone() is not None

            wait_until(is_there, 60, "the standby to follow")
            primary.kill()
            with standby.connect() as connection:
                connection.execute("SELECT pg_promote()")

            def takes_over() -> bool:
                try:
                    with psycopg.connect(
                        f"host={hosts} user={postgres._SUPERUSER} dbname=kept target_session_attrs=read-write"
                    ):
                        return True
                except psycopg.OperationalError:
                    return False

            wait_until(takes_over, 60, "the standby to be the primary")
            with holdfast.open(url) as hf:
                assert [hf.get_result(name) for name in ("before", "meanwhile")] == [1, 2]
                hf.store_analysis("note", 3, analysis_id="after")
                assert hf.integrity.check().found == ()
