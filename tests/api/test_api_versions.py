"""Changes that say which version they were made for."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.preconditions import etag, tags_of
from holdfast.bootstrap import Holdfast
from tests.api.serving import store

# Each verb, and the verbs before it.
VERBS = {
    ("POST", "/cancel"): [],
    ("POST", "/resume"): [("POST", "/cancel")],
    ("DELETE", ""): [],
    ("POST", "/restore"): [("DELETE", "")],
    ("PUT", "/pin"): [],
    ("DELETE", "/pin"): [("PUT", "/pin")],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_meant_for_another_version_is_not_made(
    http: httpx.Client, hf: Holdfast, verb: tuple[str, str]
) -> None:
    made = http.post("/api/v1/analyses", json={"kind": "sample", "target": "a"})
    place = made.headers["location"]
    tag = http.get(place).headers["etag"]
    for method, part in VERBS[verb]:
        tag = http.request(method, place + part).headers["etag"]
    method, part = verb
    read = hf.store.read
    before = read(lambda uow: uow.analyses.find(made.json()["analysis_id"]))
    assert before is not None
    stale = http.request(method, place + part, headers={"if-match": '"999.0", "nonsense", 7'})
    assert stale.status_code == 412, stale.text
    error = stale.json()["error"]
    assert (error["code"], error["details"]) == ("STALE_VERSION", {"version": before.value.version})
    assert read(lambda uow: uow.analyses.find(made.json()["analysis_id"])) == before
    done = http.request(method, place + part, headers={"if-match": f'"999.0", {tag}'})
    assert done.status_code in {200, 202}, done.text
    assert done.headers["etag"] != tag
    again = http.request(method, place + part, headers={"if-match": tag})
    # What is in the trash is gone for whoever deletes it again, whatever they send.
    assert again.status_code == (410 if verb == ("DELETE", "") else 412)


def test_a_retrieval_in_between_makes_nothing_stale(http: httpx.Client) -> None:
    made = store(http, max_retrievals=5)
    place = f"/api/v1/analyses/{made['analysis_id']}"
    tag = http.get(place).headers["etag"]
    assert http.get(f"{place}/result").status_code == 200
    now = http.get(place).headers["etag"]
    assert now != tag
    assert http.put(f"{place}/pin", headers={"if-match": tag}).headers["etag"] not in {tag, now}


@pytest.mark.parametrize("sent", ["*", '"1"', 'W/"1.0"', None])
def test_other_ways_to_say_it(http: httpx.Client, sent: str | None) -> None:
    made = store(http)
    assert made["version"] == 1
    headers = {} if sent is None else {"if-match": sent}
    assert http.put(f"/api/v1/analyses/{made['analysis_id']}/pin", headers=headers).status_code == 200


def test_what_does_not_exist_is_not_found_first(http: httpx.Client) -> None:
    assert http.put("/api/v1/analyses/nothing/pin", headers={"if-match": '"1.0"'}).status_code == 404


def test_the_documents_own_way_to_delete_asks_for_the_version_too(http: httpx.Client, hf: Holdfast) -> None:
    made = store(http, client_session_id="client-1")
    owner = {"client_session_id": "client-1"}
    place = f"/api/v1/persistence/analysis/{made['analysis_id']}"
    tag = http.get(f"/api/v1/persistence/analyses/{made['analysis_id']}", params=owner).headers["etag"]
    http.put(f"/api/v1/analyses/{made['analysis_id']}/pin")
    stale = http.delete(place, params=owner, headers={"if-match": tag})
    assert (stale.status_code, stale.json()["error"]["details"]) == (412, {"version": 2})
    assert hf.get_analysis(made["analysis_id"]).deleted_at is None
    done = http.delete(place, params=owner, headers={"if-match": f'"1.0.", {http_tag(http, made["analysis_id"])}'})
    assert (done.status_code, done.headers["etag"].partition(".")[0]) == (200, '"3')


def http_tag(http: httpx.Client, analysis_id: str) -> str:
    return http.get(f"/api/v1/analyses/{analysis_id}").headers["etag"]


@given(st.lists(st.one_of(st.just("*"), st.text(alphabet='W/"0123456789.,abc_* -', max_size=30)), max_size=4))
def test_only_tags_of_ours_are_seen_in_whatever_is_sent(parts: list[str]) -> None:
    tags = tags_of(",".join(parts))
    if tags is not None:
        assert all(1 <= len(tag) <= 2 and tag[0] > 0 for tag in tags)


@given(st.lists(st.tuples(st.integers(1, 999_999_999), st.integers(0, 999_999_999)), min_size=1, max_size=5))
def test_what_was_given_out_is_seen(states: list[tuple[int, int]]) -> None:
    assert tags_of(", ".join(etag(*one) for one in states)) == states
    assert tags_of(",".join(f'W/"{version}.{count}.very_stale"' for version, count in states)) == states
