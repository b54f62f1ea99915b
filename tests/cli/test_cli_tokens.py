import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

import holdfast
from holdfast.cli import text
from holdfast.cli.errors import UsageFailed
from holdfast.domain.access import Role
from holdfast.domain.errors import AuthenticationRequired

TOKEN = {
    "token_id",
    "name",
    "owner",
    "role",
    "created_at",
    "created_by",
    "expires_at",
    "revoked_at",
    "last_used_at",
}


def test_token_is_made_and_opens(cli: Cli, environment: str) -> None:
    done = cli("token", "create", "ci", "--role", "reader", "--owner", "team", "--expires", "30d", "--json")
    assert done.code == 0
    assert set(done.json) == TOKEN | {"secret"}
    assert (done.json["name"], done.json["owner"], done.json["role"]) == ("ci", "team", "reader")
    made, ends = (datetime.fromisoformat(done.json[name]) for name in ("created_at", "expires_at"))
    assert ends - made == timedelta(days=30)
    with holdfast.open(environment) as hf:
        caller = hf.accounts.authenticate(done.json["secret"], ip=None)
        assert (caller.owner, caller.role) == ("team", Role.READER)


def test_secret_alone_is_piped(cli: Cli, environment: str) -> None:
    done = cli("token", "create", "a [red]name\x1b[0m")
    assert done.code == 0
    secret = done.out.rstrip("\n")
    assert "[red]name\\x1b[0m" in done.err
    assert secret not in done.err
    with holdfast.open(environment) as hf:
        assert hf.accounts.authenticate(secret, ip=None).role is Role.WRITER


def test_first_token_makes_the_database(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/holdfast.db"
    assert cli("token", "create", "ci", "--database", url).code == 0
    assert len(cli("token", "list", "--json", "--database", url).json["items"]) == 1


def test_list_pages_and_keeps_no_secret(cli: Cli) -> None:
    assert "No tokens" in cli("token", "list").out
    made = [cli("token", "create", f"t{number}", "--json").json for number in range(3)]
    first = cli("token", "list", "--limit", "2", "--json").json
    assert [set(token) for token in first["items"]] == [TOKEN] * 2
    rest = cli("token", "list", "--limit", "2", "--after", first["next_cursor"], "--json").json
    assert rest["next_cursor"] is None
    listed = [token["token_id"] for token in [*first["items"], *rest["items"]]]
    assert sorted(listed) == sorted(token["token_id"] for token in made)
    people = cli("token", "list", "--limit", "2").out
    assert first["items"][0]["token_id"] in people
    assert f"--after {first['next_cursor']}" in people
    assert not [token for token in made if token["secret"] in people + json.dumps([first, rest])]
    assert cli("token", "list", "--after", "none", "--json").json["error"]["code"] == "INVALID_CURSOR"


def test_revoke(cli: Cli, environment: str) -> None:
    made = cli("token", "create", "ci", "--json").json
    assert cli("token", "revoke", made["token_id"], "--json").json["revoked_at"] is not None
    assert "ci" in cli("token", "revoke", made["token_id"]).out
    assert "revoked" in cli("token", "list").out
    with holdfast.open(environment) as hf, pytest.raises(AuthenticationRequired):
        hf.accounts.authenticate(made["secret"], ip=None)
    none = cli("token", "revoke", "none", "--json")
    assert (none.code, none.json["error"]["code"]) == (3, "TOKEN_NOT_FOUND")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (["create"], 2),
        (["create", "ci", "--role", "king"], 2),
        (["create", "ci", "--expires", "soon"], 2),
        (["create", "ci", "--expires", "99999999w"], 5),
        (["create", ""], 5),
        (["create", "x" * 300], 5),
        (["revoke"], 2),
    ],
    ids=str,
)
def test_wrong_command_lines(cli: Cli, wrong: list[str], code: int) -> None:
    assert cli("token", *wrong).code == code
    assert cli("token", "list", "--json").json["items"] == []


@pytest.mark.parametrize(
    ("given", "seconds"), [("90s", 90), ("15m", 900), ("12H", 43_200), (" 30d ", 2_592_000), ("8w", 4_838_400)]
)
def test_durations(given: str, seconds: int) -> None:
    assert text.seconds_of(given) == seconds


@pytest.mark.parametrize("given", ["", "30", "d", "0d", "-1d", "1.5h", "1y", "1d1h", "٣d", "1" * 12 + "s"])
def test_what_is_no_duration(given: str) -> None:
    with pytest.raises(UsageFailed):
        text.seconds_of(given)
