"""One analysis and its result: the routes that must be cheap, so they read their request themselves."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from holdfast import records
from holdfast.api import render, targets
from holdfast.api.body import parsed
from holdfast.api.deps import access_of, called, credentials_of, holdfast_of, reader_of
from holdfast.api.openapi import answers, body_doc, header, path_id
from holdfast.api.params import idempotency_key
from holdfast.api.routing import PlainRoute
from holdfast.api.schemas.analysis import AnalysisOut, NewAnalysis, SubmittedOut
from holdfast.api.schemas.base import Outgoing
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.analysis import Analysis

router = APIRouter(prefix="/api/v1", tags=["analyses"], route_class=PlainRoute)

_KNOWN = header("If-None-Match", "The ETag of what the caller has.")
_LOCATION = {"Location": {"description": "Where the analysis is.", "schema": {"type": "string"}}}
_ETAG = {"ETag": {"description": "Names this state.", "schema": {"type": "string"}}}


class AnyResult(Outgoing):
    """A result: whatever the analysis gave."""


@router.post(
    "/analyses",
    operation_id="create_analysis",
    status_code=201,
    response_model=AnalysisOut,
    response_description="The result is kept, on disk.",
    responses=answers(404, 409, body=True)
    | {
        200: {"model": SubmittedOut, "description": "A kept result answers, still fresh.", "headers": _LOCATION},
        202: {"model": SubmittedOut, "description": "A worker will run it.", "headers": _LOCATION},
    },
    openapi_extra=body_doc("NewAnalysis")
    | {"parameters": [header("Idempotency-Key", "The request's own name: repeated, it has no second effect.")]},
)
async def create_analysis(request: Request) -> Response:
    """Have something analysed (give a ``target``), or keep a result that was made elsewhere (give a ``result``)."""
    content = await request.body()
    ip = credentials_of(request).ip
    access = access_of(request)

    def work(store: Holdfast, caller: Caller) -> Response:
        # Not before it is known who asks: a stranger is told nothing of the request.
        new = parsed(request, content, NewAnalysis)
        key = idempotency_key(request)
        caller.require(Role.WRITER)
        if new.target is None:
            if caller.is_anonymous:
                store.limits.hit("anonymous", caller)
            (kept,) = store.results.store([new.as_result(caller.owner, ip)], idempotency_key=key, caller=caller)
            age = store.freshness.age(kept)
            headers = {"location": _place(kept), "etag": render.etag_of(kept, age)}
            return render.json(records.analysis(kept, age), 201, headers)
        store.limits.hit("start", caller)
        asked = new.as_submission(caller.owner, ip)
        submission = targets.submit(store, access, caller, new.kind, new.target, idempotency_key=key, **asked)
        analysis = submission.analysis
        body = records.analysis(analysis, store.freshness.age(analysis)) | {"reused": submission.reused}
        return render.json(body, 200 if analysis.status.ended else 202, {"location": _place(analysis)})

    return await called(request, work)


def _place(analysis: Analysis) -> str:
    return f"/api/v1/analyses/{analysis.analysis_id}"


@router.get(
    "/analyses/{analysis_id}",
    operation_id="get_analysis",
    response_model=AnalysisOut,
    responses=answers(304, 404, 410),
    openapi_extra={"parameters": [path_id(), _KNOWN]},
)
async def get_analysis(request: Request) -> Response:
    """One analysis; looking counts nothing."""
    analysis_id = request.path_params["analysis_id"]
    _, analysis, _ = await reader_of(request).read(credentials_of(request), analysis_id)
    return render.one(request, analysis, holdfast_of(request).freshness.age(analysis))


@router.get(
    "/analyses/{analysis_id}/result",
    operation_id="get_result",
    response_model=AnyResult,
    response_description="The result as it was given, compressed by zstd or gzip where the caller takes that.",
    responses=answers(304, 404, 410),
    openapi_extra={"parameters": [path_id(), _KNOWN, header("Accept-Encoding", "zstd, gzip or identity.")]},
)
async def get_result(request: Request) -> Response:
    """The result of an analysis; counts where its retrievals are limited, and only then."""
    analysis_id = request.path_params["analysis_id"]
    caller, analysis, frame = await reader_of(request).read(credentials_of(request), analysis_id, result=True)
    assert analysis.result is not None
    if render.is_known(request, f'"{analysis.result.hash}"'):
        return render.unchanged(f'"{analysis.result.hash}"', vary="Accept-Encoding")
    if analysis.max_retrievals is not None:
        retrieve = holdfast_of(request).results.retrieve
        analysis, frame = await run_in_threadpool(retrieve, analysis_id, caller=caller)
    assert analysis.result is not None
    assert frame is not None
    digest, taken = analysis.result.hash, render.accepted(request.headers.get("accept-encoding", ""))
    if taken == "zstd":
        return render.payload(taken, digest, frame)
    # Unpacked, and for gzip packed anew: not in the loop, as it may be large.
    return await run_in_threadpool(render.payload, taken, digest, frame)
