"""What code hosts tell: a branch was pushed to. Whoever knows the secret may say so, and learns nothing."""

import hmac
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from holdfast.api import render
from holdfast.api.deps import holdfast_of
from holdfast.api.errors import BodyTooLarge, MalformedBody
from holdfast.api.openapi import answers, header
from holdfast.api.schemas.refresh import Accepted
from holdfast.domain.errors import AuthenticationRequired, InvalidInput
from holdfast.domain.freshness import Changes

router = APIRouter(prefix="/api/v1/webhooks", tags=["freshness"])

_SIGNATURE = "x-hub-signature-256"
# As much as the largest code host sends.
_MOST_BYTES = 25 * 1024 * 1024
_BRANCH = "refs/heads/"
_GONE = "0" * 40


class NotSigned(AuthenticationRequired):
    """The signature is missing or wrong."""

    code = "NOT_SIGNED"
    suggestions = ("Let the code host sign with the secret of HOLDFAST_WEBHOOK_SECRET, in X-Hub-Signature-256",)


class _Commit(msgspec.Struct):
    added: list[str] = []
    modified: list[str] = []
    removed: list[str] = []


class _Repository(msgspec.Struct):
    full_name: str = ""
    name: str = ""


class _Push(msgspec.Struct):
    ref: str = ""
    after: str = ""
    repository: _Repository = msgspec.field(default_factory=_Repository)
    commits: list[_Commit] = []


_DECODER = msgspec.json.Decoder(_Push)


@router.post(
    "/push",
    operation_id="receive_push",
    status_code=202,
    response_model=Accepted,
    responses=answers(body=True),
    openapi_extra={
        "parameters": [header("X-Hub-Signature-256", "`sha256=` and the HMAC-SHA256 of the body, in hexadecimal.")],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "description": "A push, as GitHub, Gitea and Forgejo tell of it."}
                }
            },
        },
    },
)
async def receive_push(request: Request) -> Response:
    """Hear that a branch was pushed to; signed with the secret that the settings have."""
    content = await _signed(request)
    try:
        push = _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise MalformedBody(f"The push cannot be read: {str(error)[:200]}") from None
    hf = holdfast_of(request)
    names = [name for name in (push.repository.full_name, push.repository.name) if name]
    # A host writes owner/name, an id here holds no slash.
    names += [name.replace("/", separator) for name in names if "/" in name for separator in (":", "-", ".", "_")]
    if push.ref.startswith(_BRANCH) and push.after and push.after != _GONE and names:
        branch = push.ref.removeprefix(_BRANCH)
        try:
            await run_in_threadpool(hf.watcher.pushed, names, branch, push.after, _changes(push))
        except InvalidInput as error:
            raise MalformedBody(error.message) from error
    # The same whether anybody here knows the repository or not.
    return render.json({"success": True}, 202)


async def _signed(request: Request) -> bytes:
    """The body, if it is signed.

    Raises:
        NotSigned: it is not, or pushes are not heard here.
    """
    secret = holdfast_of(request).settings.webhook_secret
    given = request.headers.get(_SIGNATURE, "")
    if secret is None or not given:
        raise NotSigned
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise BodyTooLarge(
                f"The push has more than {_MOST_BYTES} bytes", actual_bytes=len(content), allowed_bytes=_MOST_BYTES
            )
    expected = "sha256=" + hmac.digest(secret.get_secret_value().encode(), bytes(content), "sha256").hex()
    # In constant time: how far a guess was right is not to be measured.
    if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
        raise NotSigned
    return bytes(content)


def _changes(push: Any) -> Changes | None:
    """What the push brought, each file by what became of it in the end."""
    last: dict[str, str] = {}
    first: dict[str, str] = {}
    for commit in push.commits:
        for sort, names in (("added", commit.added), ("modified", commit.modified), ("deleted", commit.removed)):
            for name in names:
                first.setdefault(name, sort)
                last[name] = sort
    found: dict[str, list[str]] = {"added": [], "modified": [], "deleted": []}
    for name, sort in last.items():
        was_new = first[name] == "added"
        if sort == "deleted" and was_new:
            continue
        found["added" if was_new else "modified" if sort == "added" else sort].append(name)
    return Changes.of(found["added"], found["modified"], found["deleted"]) if push.commits else None
