"""Where settings come from, what is said of wrong ones, and what is never shown."""

import itertools
import json
import os
from pathlib import Path

import pytest

from holdfast.domain.errors import InvalidInput
from holdfast.settings import Settings, read_configuration, read_settings
from holdfast.settings.model import GROUPS


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("ANALYSIS_STORAGE_DIR", raising=False)
    (tmp_path / "work").mkdir()
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("holdfast.settings.files.user_config_path", lambda _: tmp_path / "user")


@pytest.mark.parametrize(
    ("code", "environment", "alias", "file"), list(itertools.product((False, True), repeat=4)), ids=str
)
def test_which_place_decides(
    code: bool, environment: bool, alias: bool, file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file:
        Path("holdfast.toml").write_text('[store]\ndatabase_url = "sqlite:///file.db"\n')
    if alias:
        monkeypatch.setenv("ANALYSIS_STORAGE_DIR", "/folder")
    if environment:
        monkeypatch.setenv("HOLDFAST_DATABASE_URL", "sqlite:///environment.db")
    found = read_configuration(database_url="sqlite:///code.db" if code else None)
    expected = (
        ("sqlite:///code.db", "code")
        if code
        else ("sqlite:///environment.db", "HOLDFAST_DATABASE_URL")
        if environment
        else ("sqlite:////folder/holdfast.db", "ANALYSIS_STORAGE_DIR")
        if alias
        else ("sqlite:///file.db", f"store.database_url in {Path('holdfast.toml').absolute()}")
        if file
        else (Settings().database_url, "default")
    )
    assert (found.settings.database_url, str(found.origins["database_url"])) == expected


def test_variables_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESS_INTERVAL", "30")
    monkeypatch.setenv("AUTO_PROCESS_ANALYSES", "false")
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "fulltext,vector_store,graph_db")
    found = read_settings()
    assert (found.process_interval, found.auto_process_analyses) == (30.0, False)
    assert found.enabled_processors() == ("fulltext", "vector", "graph")


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_configuration().file is None
    (tmp_path / "user" / "holdfast.toml").write_text("concurrency = 2")
    assert read_settings().concurrency == 2
    Path("holdfast.toml").write_text("concurrency = 3")
    assert read_settings().concurrency == 3
    (tmp_path / "other.toml").write_text("concurrency = 4")
    monkeypatch.setenv("HOLDFAST_CONFIG", str(tmp_path / "other.toml"))
    assert read_settings().concurrency == 4
    monkeypatch.setenv("HOLDFAST_CONFIG", "")
    assert read_settings().concurrency == 1
    monkeypatch.setenv("HOLDFAST_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidInput, match=r"HOLDFAST_CONFIG names nowhere\.toml"):
        read_settings()


def test_sections_and_policies() -> None:
    Path("holdfast.toml").write_text(
        "reuse_hours = 1\n[access]\ntrusted_proxies = ['10.0.0.0/8']\n[retention.code]\nkeep_last = 5\n"
    )
    settings = read_settings()
    assert settings.reuse_hours == 1
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8"]
    assert settings.rules().policy("code").keep_last == 5


def test_every_setting_has_one_section() -> None:
    names = [name for group in GROUPS for name in group.model_fields]
    assert sorted(names) == sorted(Settings.model_fields)
    sections = {vars(group)["section"] for group in GROUPS}
    assert len(sections) == len(GROUPS)
    assert not sections & Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("concurency = 2", "did you mean concurrency?"),
        ("[runs]\nconcurency = 2", r"section \[runs\].*did you mean concurrency?"),
        ("[store]\nconcurrency = 2", r"it belongs to \[runs\]"),
        ("[rnus]\nconcurrency = 2", "did you mean runs?"),
        ("concurrency = 2\n[runs]\nconcurrency = 3", "twice: as concurrency and as runs.concurrency"),
        ("[runs]\nconcurrency = 0", r"concurrency \(runs\.concurrency in .*holdfast\.toml\): .*greater than"),
        ("concurrency 3", "is not TOML.*line 1"),
        ("runs = 3", "'runs', which is no setting"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(content: str, said: str) -> None:
    Path("holdfast.toml").write_text(content)
    with pytest.raises(InvalidInput, match=said) as raised:
        read_settings()
    assert "holdfast.toml" in raised.value.message


def test_wrong_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CONCURRENCY", "many")
    with pytest.raises(InvalidInput, match=r"concurrency \(HOLDFAST_CONCURRENCY\)"):
        read_settings()
    monkeypatch.delenv("HOLDFAST_CONCURRENCY")
    monkeypatch.setenv("HOLDFAST_RETENTION", "{bad")
    with pytest.raises(InvalidInput, match=r"retention \(HOLDFAST_RETENTION\)"):
        read_settings()


SECRET = "hunter2!x"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{SECRET}@db.example.org/holdfast",
        f"postgresql://app@db.example.org/holdfast?password={SECRET}&sslmode=require",
        f"postgresql://:{SECRET}@/holdfast",
    ],
)
def test_passwords_are_not_shown(url: str) -> None:
    found = read_configuration(database_url=url, dask_address=f"tls://me:{SECRET}@scheduler:8786")
    assert found.settings.database_url == url
    shown = json.dumps({name: found.shown(name) for name in Settings.model_fields})
    assert SECRET not in shown
    assert "***" in found.shown("database_url")
    assert SECRET not in repr(found)
    assert SECRET not in str(found.settings)
