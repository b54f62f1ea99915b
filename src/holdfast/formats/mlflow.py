"""Runs of MLflow as JSON: as its REST API gives them (``runs/get``, ``runs/search``) or ``Run.to_dictionary()``.

Source: MLflow REST API 2.0, https://mlflow.org/docs/latest/rest-api.html
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.subjects import Subject
from holdfast.formats.foreign import Foreign, InvalidFile, moment

_STATUSES = {"FINISHED": Status.COMPLETED, "FAILED": Status.FAILED, "KILLED": Status.CANCELLED}
_NUMBERS = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
_LONGEST_TAG = 128
_LONGEST_METRIC = 256


def runs(document: Any) -> Iterator[Foreign]:
    """The analyses of a file with one run or several.

    Raises:
        InvalidFile: it holds no run of MLflow, or one that has not ended.
    """
    if isinstance(document, dict):
        document = document["runs"] if isinstance(document.get("runs"), list) else [document]
    if not isinstance(document, list):
        raise InvalidFile("The file holds no run of MLflow")
    for number, entry in enumerate(document):
        try:
            run = entry.get("run", entry)
            yield _analysis(run["info"], run.get("data") or {}, entry)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise InvalidFile(f"Run {number} of the file is not as MLflow has it: {error!r}") from error


def _analysis(info: Mapping[str, Any], data: Mapping[str, Any], entry: Mapping[str, Any]) -> Foreign:
    run_id = str(info.get("run_id") or info["run_uuid"])
    name = info.get("status", "FINISHED")
    name = _NUMBERS[name - 1] if isinstance(name, int) else str(name)
    status = _STATUSES.get(name)
    if status is None:
        raise InvalidFile(f"The run {run_id} is {name}: import it when it has ended")
    params = {str(key): value for key, value in _pairs(data.get("params"))}
    tags = {str(key): str(value) for key, value in _pairs(data.get("tags"))}
    history = _history(data.get("metrics"), entry.get("metrics_history") or data.get("metrics_history"))
    latest = {name: points[-1]["value"] for name, points in history.items()}
    metrics = {name: float(value) for name, value in latest.items() if _is_metric(name, value)}
    labels = [f"{key}={value}" for key, value in tags.items() if not key.startswith("mlflow.")]
    kept = tuple(label for label in labels if 0 < len(label) <= _LONGEST_TAG)
    experiment = str(info.get("experiment_id", ""))
    title = tags.get("mlflow.runName") or info.get("run_name") or run_id
    revision = tags.get("mlflow.source.git.commit", "")
    return Foreign(
        analysis_id=f"mlflow-{run_id}",
        kind="mlflow",
        result={"info": info, "params": params, "metrics": history, "tags": tags, "inputs": entry.get("inputs")},
        status=status,
        error=None if status is Status.COMPLETED else ErrorInfo(code="RUN_ERROR", message=f"MLflow says {name}"),
        created_at=moment(_number(info.get("start_time"))),
        completed_at=moment(_number(info.get("end_time"))),
        subject=Subject(kind="experiment", key=experiment, revision=revision, title=str(title)) if experiment else None,
        params=params,
        summary=f"{title}: {len(metrics)} metrics, {len(params)} parameters",
        metrics=metrics,
        tags=kept,
        skipped={
            key: count
            for key, count in {
                "metrics that are no finite number": len(latest) - len(metrics),
                "tags that are too long": len(labels) - len(kept),
            }.items()
            if count
        },
    )


def _pairs(values: Any) -> Iterator[tuple[Any, Any]]:
    """Pairs, of a list of key and value or of a dictionary."""
    if isinstance(values, dict):
        yield from values.items()
    else:
        yield from ((value["key"], value.get("value", "")) for value in values or ())


def _history(latest: Any, history: Any) -> dict[str, list[dict[str, Any]]]:
    """Every point of each metric, by step and time; where there is no history, the latest one."""
    points: dict[str, list[dict[str, Any]]] = {}
    if isinstance(latest, dict):
        points = {str(name): [{"value": value, "timestamp": None, "step": 0}] for name, value in latest.items()}
    else:
        for point in latest or ():
            points.setdefault(str(point["key"]), []).append(_point(point))
    if isinstance(history, dict):
        points.update({str(name): [_point(point) for point in found] for name, found in history.items() if found})
    elif history:
        given: dict[str, list[dict[str, Any]]] = {}
        for point in history:
            given.setdefault(str(point["key"]), []).append(_point(point))
        points.update(given)
    return {name: sorted(found, key=lambda at: (at["step"], at["timestamp"] or 0)) for name, found in points.items()}


def _point(point: Mapping[str, Any]) -> dict[str, Any]:
    stamp = _number(point.get("timestamp"))
    return {"value": point["value"], "timestamp": stamp, "step": int(point.get("step") or 0)}


def _number(value: Any) -> int | None:
    """A whole number; JSON of protocol buffers gives 64 bits as text."""
    return None if value in (None, "") else int(value)


def _is_metric(name: str, value: Any) -> bool:
    # JSON knows no NaN and no infinity: MLflow writes them as text.
    if isinstance(value, bool) or not 0 < len(name) <= _LONGEST_METRIC:
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
