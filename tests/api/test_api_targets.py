"""What callers by HTTP may have opened: one rule for every kind and every way to name it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from holdfast.analyzers.code import CodeAnalyzer
from holdfast.analyzers.duplicates import DuplicatesAnalyzer
from holdfast.analyzers.duplicates.sample import write_sample
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from tests.analyzers.code.gitrepo import GitRepo
from tests.api.serving import UNLIMITED, served, token
from tests.services.samples import opened

FORBIDDEN = (403, "TARGET_FORBIDDEN")


@contextmanager
def service(database: str, **settings: Any) -> Iterator[tuple[Holdfast, httpx.Client]]:
    with opened(database, **(UNLIMITED | settings)) as hf:
        hf.registry.register(CodeAnalyzer)
        hf.registry.register(DuplicatesAnalyzer)
        with served(hf) as http:
            yield hf, http


def ask(
    http: httpx.Client,
    target: str | Path,
    headers: dict[str, str] | None = None,
    kind: str = "duplicates",
    **params: Any,
) -> tuple[int, str | None]:
    body = {"kind": kind, "target": str(target), "params": params}
    answer = http.post("/api/v1/analyses", json=body, headers=headers or {})
    problem = answer.json().get("error") or {}
    if kind == "duplicates":
        # The other door to the same room.
        again = http.post(
            "/api/v1/duplicates/analyze",
            json={"target": str(target), "params": params, "force_refresh": True},
            headers=headers or {},
        )
        assert again.status_code == answer.status_code or (answer.status_code, again.status_code) == (202, 409)
    return answer.status_code, problem.get("code")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    write_sample(folder / "Library.xml", tracks=20)
    write_sample(tmp_path / "Other.xml", tracks=20)
    return folder


def test_with_roots_only_what_is_within_them_is_opened(database: str, music: Path, tmp_path: Path) -> None:
    outside = tmp_path / "Other.xml"
    (music / "link.xml").symlink_to(outside)
    (music / "link").symlink_to(tmp_path)
    with service(database, target_roots=(music,)) as (_, http):
        assert ask(http, music / "Library.xml") == (202, None)
        for target in (
            outside,
            music / ".." / "Other.xml",
            f"{music}/../Other.xml",
            music / "link.xml",
            music / "link" / "Other.xml",
            f"{music}-2/Library.xml",
            tmp_path / "nothing",
            "/etc/passwd",
            "~/x",
            "../../etc/passwd",
            "a\0b",
            tmp_path,
        ):
            assert ask(http, target) == FORBIDDEN, target
        assert ask(http, music / "Library.xml", itunes_library=str(outside)) == FORBIDDEN
        assert ask(http, music / "nothing") == (422, "TARGET_NOT_FOUND")


def test_repositories_may_not_lead_out_of_the_roots(database: str, tmp_path: Path) -> None:
    outside = GitRepo(tmp_path / "outside")
    outside.commit({"a.py": "a = 1\n"})
    root = tmp_path / "outside" / "inner"
    root.mkdir()
    other = tmp_path / "root"
    other.mkdir()
    (other / ".git").write_text(f"gitdir: {tmp_path / 'outside' / '.git'}\n")
    with service(database, target_roots=(root, other)) as (_, http):
        assert ask(http, root, kind="code") == FORBIDDEN
        assert ask(http, other, kind="code") == FORBIDDEN
    with service(database, target_roots=(tmp_path / "outside",)) as (_, http):
        assert ask(http, root, kind="code") == (202, None)


def test_without_roots_others_than_administrators_name_nothing(database: str, music: Path) -> None:
    with service(database, authentication="token") as (hf, http):
        writer, admin = token(hf, "alice"), token(hf, "root", Role.ADMIN)
        assert ask(http, music / "Library.xml", writer) == FORBIDDEN
        assert ask(http, music / "nothing", writer) == FORBIDDEN
        assert ask(http, "https://example.org", writer, kind="sample") == FORBIDDEN
        assert ask(http, music / "Library.xml", admin) == (202, None)


def test_in_local_mode_without_roots_anything_may_be_named(database: str, music: Path) -> None:
    with service(database) as (_, http):
        assert ask(http, music / "Library.xml") == (202, None)


def test_repositories_are_made_known_within_the_roots_only(database: str, tmp_path: Path) -> None:
    with service(database, authentication="token", target_roots=(tmp_path / "in",)) as (hf, http):
        alice = token(hf, "alice")

        def known(name: str, location: str) -> int:
            return http.put(f"/api/v1/repositories/{name}", json={"location": location}, headers=alice).status_code

        for number, location in enumerate(
            (str(tmp_path), "/etc", f"file://{tmp_path}", f"{tmp_path}/in/../x", "x", "~")
        ):
            assert known(f"out{number}", location) == 403, location
        for number, location in enumerate(
            (f"{tmp_path}/in/x", "https://example.org/x.git", "git@example.org:x.git", "")
        ):
            assert known(f"in{number}", location) == 200, location


def test_databases_are_for_administrators(
    database: str, tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "music.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE songs (id TEXT, song TEXT, artist TEXT)")
    engine.dispose()
    monkeypatch.setenv("HOLDFAST_LIBRARY_MUSIC", f"sqlite:///{path}")
    query = "SELECT id AS track_id, song, artist FROM songs"
    with service(database, authentication="token", target_roots=(tmp_path,)) as (hf, http):
        writer, admin = token(hf, "alice"), token(hf, "root", Role.ADMIN)
        for target in (f"sqlite:///{path}", "env:HOLDFAST_LIBRARY_MUSIC", "env:PATH"):
            assert ask(http, target, writer, query=query) == FORBIDDEN, target
        assert ask(http, path, writer, reader="sql", query=query) == FORBIDDEN
        lookup: dict[str, Any] = {"itunes_library": f"sqlite:///{path}", "itunes_options": {"query": query}}
        assert ask(http, music / "Library.xml", writer, **lookup) == FORBIDDEN
        assert ask(http, f"sqlite:///{path}", admin, query=query) == (202, None)
        assert ask(http, "env:HOLDFAST_LIBRARY_MUSIC", admin, query=query) == (202, None)
        assert ask(http, "env:PATH", admin, query=query) == (422, "INVALID_TARGET")


def test_nobody_names_the_services_own_database(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "SELECT analysis_id AS track_id, summary AS song FROM analyses"
    monkeypatch.setenv("HOLDFAST_LIBRARY_OWN", database)
    with service(database) as (hf, http):
        assert ask(http, "env:HOLDFAST_LIBRARY_OWN", query=query) == FORBIDDEN
        path = hf.settings.database_path()
        if path is None:
            return
        link = tmp_path / "other.db"
        link.symlink_to(path)
        (tmp_path / "x").mkdir()
        hard = tmp_path / "hard.db"
        os.link(path, hard)
        for own in (path, link, tmp_path / "x" / ".." / path.name, hard):
            assert ask(http, f"sqlite:///{own}", query=query) == FORBIDDEN, own
            assert ask(http, own, reader="csv") == FORBIDDEN, own


def test_what_was_made_elsewhere_is_not_opened_anew(database: str, music: Path, tmp_path: Path) -> None:
    with service(database, target_roots=(music,)) as (hf, http):
        outside = hf.submit("duplicates", str(tmp_path / "Other.xml")).analysis.analysis_id
        inside = hf.submit("duplicates", str(music / "Library.xml")).analysis.analysis_id
        bodies = [
            (f"/api/v1/analyses/{outside}/refresh", {}),
            (f"/api/v1/duplicates/analysis/{outside}/refresh", {}),
            (
                f"/api/v1/duplicates/analysis/{inside}/refresh",
                {"params": {"itunes_library": str(tmp_path / "Other.xml")}},
            ),
            (f"/api/v1/analyses/{inside}/refresh", {"params": {"itunes_library": str(tmp_path / "Other.xml")}}),
        ]
        for place, body in bodies:
            answer = http.post(place, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == FORBIDDEN, place
