"""Changes that say which version they were made for."""

import httpx
import pytest

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


@pytest.mark.parametrize("given", ["*", '"1"', 'W/"1.0"', None])
def test_other_ways_to_say_it(http: httpx.Client, given: str | None) -> None:
    made = store(http)
    assert made["version"] == 1
    headers = {} if given is None else {"if-match": given}
    assert http.put(f"/api/v1/analyses/{made['analysis_id']}/pin", headers=headers).status_code == 200


def test_what_does_not_exist_is_not_found_first(http: httpx.Client) -> None:
    assert http.put("/api/v1/analyses/nothing/pin", headers={"if-match": '"1.0"'}).status_code == 404
