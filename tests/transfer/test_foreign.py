"""Files of other programs."""

import io
import json
from typing import Any

import pytest

from holdfast.domain.analysis import Status
from holdfast.domain.findings import Severity
from holdfast.formats.foreign import Format, InvalidFile
from holdfast.store.lists import Filter
from tests.transfer.stores import ODD, add_many, fill, open_store

SARIF: dict[str, Any] = {
    "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
    "version": "2.1.0",
    "runs": [
        {
            "tool": {
                "driver": {
                    "name": "Scanner",
                    "semanticVersion": "1.2.3",
                    "rules": [
                        {"id": "S1", "properties": {"security-severity": "9.8"}, "helpUri": "https://e.org/S1"},
                        {
                            "id": "S2",
                            "defaultConfiguration": {"level": "note"},
                            "messageStrings": {"m": {"text": "{0} of {1}"}},
                        },
                    ],
                },
                "extensions": [{"name": "more", "rules": [{"id": "X1", "defaultConfiguration": {"level": "error"}}]}],
            },
            "invocations": [
                {
                    "executionSuccessful": True,
                    "startTimeUtc": "2026-01-02T03:04:05Z",
                    "endTimeUtc": "2026-01-02T03:05:05.250Z",
                }
            ],
            "versionControlProvenance": [
                {"repositoryUri": "https://e.org/app", "revisionId": "abc", "branch": "release/2"}
            ],
            "results": [
                {
                    "ruleId": "S1",
                    "ruleIndex": 0,
                    "message": {"text": f"First line {ODD}"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "src/a%20b.py"},
                                "region": {"startLine": 3, "endLine": 5},
                            }
                        },
                        {"physicalLocation": {"artifactLocation": {"uri": "src/c.py"}, "region": {"startLine": 9}}},
                    ],
                    "partialFingerprints": {"primaryLocationLineHash": "39fa2ee980eb94b0:1"},
                },
                {"ruleId": "S2/sub", "message": {"id": "m", "arguments": ["one", "two"]}},
                {"rule": {"index": 0, "toolComponent": {"index": 0}, "id": "X1"}, "message": {"text": "x"}},
                {"message": {"text": "passed"}, "kind": "pass", "level": "error"},
                {"message": {"text": "plain"}},
            ],
        },
        {"tool": {"driver": {"name": "Other"}}, "invocations": [{"executionSuccessful": False, "exitCode": 3}]},
    ],
}


def bring(hf: Any, document: Any, kind: Format | None = None) -> Any:
    return hf.transfer.import_analyses(io.BytesIO(json.dumps(document).encode()), kind)


def test_sarif(database: str) -> None:
    with open_store(database) as hf:
        assert bring(hf, SARIF).added == {"analyses": 2}
        page = hf.list_analyses(kind="sarif").items
        (analysis,) = [item for item in page if item.status is Status.COMPLETED]
        (failed,) = [item for item in page if item.status is Status.FAILED]
        assert failed.error is not None
        assert failed.error.details == {"exit_code": 3}
        assert analysis.subject is not None
        assert (analysis.subject.key, analysis.subject.revision) == ("https://e.org/app", "abc")
        assert analysis.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
        assert analysis.completed_at is not None
        assert (analysis.completed_at - analysis.created_at).total_seconds() == 60.25
        found = hf.get_findings(analysis.analysis_id)
        assert [(one.rule, one.severity, one.path, one.line, one.end_line) for one in found] == [
            ("S1", Severity.CRITICAL, "src/a b.py", 3, 5),
            ("S2/sub", Severity.LOW, None, None, None),
            ("X1", Severity.HIGH, None, None, None),
            ("unnamed", Severity.INFO, None, None, None),
            ("unnamed", Severity.MEDIUM, None, None, None),
        ]
        assert found[0].identity == "S1:39fa2ee980eb94b0:1"
        assert [item.key for item in found[0].items] == ["src/c.py"]
        assert found[1].title == "one of two"
        # The run is kept whole.
        assert hf.get_result(analysis.analysis_id) == SARIF["runs"][0]
        assert bring(hf, SARIF).there == {"analyses": 2}
        assert hf.get_stats().total_results == 2
        assert hf.integrity.check().found == ()


MLFLOW: dict[str, Any] = {
    "run": {
        "info": {
            "run_id": "4f3ab1",
            "experiment_id": "7",
            "status": "FINISHED",
            "start_time": "1767323045000",
            "end_time": 1767323105000,
        },
        "data": {
            "metrics": [
                {"key": "loss", "value": 0.25, "timestamp": 3, "step": "2"},
                {"key": "bad", "value": "NaN", "timestamp": 3, "step": 0},
            ],
            "params": [{"key": "rate", "value": "0.1"}],
            "tags": [{"key": "team", "value": "a"}, {"key": "mlflow.runName", "value": "crimson"}],
        },
    },
    "metrics_history": {
        "loss": [
            {"value": 0.25, "timestamp": 3, "step": 2},
            {"value": 1.5, "timestamp": 1, "step": 0},
        ]
    },
}


def test_mlflow(database: str) -> None:
    with open_store(database) as hf:
        done = bring(hf, MLFLOW)
        assert (done.added, done.skipped) == ({"analyses": 1}, {"metrics that are no finite number": 1})
        analysis = hf.get_analysis("mlflow-4f3ab1")
        assert (analysis.status, analysis.tags, analysis.params) == (Status.COMPLETED, ("team=a",), {"rate": "0.1"})
        assert analysis.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
        assert hf.get_metrics("mlflow-4f3ab1") == {"loss": 0.25}
        result = hf.get_result("mlflow-4f3ab1")
        assert [point["value"] for point in result["metrics"]["loss"]] == [1.5, 0.25]
        assert result["metrics"]["bad"][0]["value"] == "NaN"
        as_dictionary = {
            "info": {"run_id": "other", "experiment_id": "7", "status": "KILLED"},
            "data": {"metrics": {"m": 1}, "params": {"p": "1"}, "tags": {}},
        }
        assert bring(hf, as_dictionary).added == {"analyses": 1}
        assert hf.get_analysis("mlflow-other").status is Status.CANCELLED
        assert bring(hf, {"runs": [MLFLOW]}).there == {"analyses": 1}
        running = {"info": {"run_id": "r", "status": "RUNNING"}, "data": {}}
        with pytest.raises(InvalidFile, match="is RUNNING"):
            bring(hf, running, Format.MLFLOW)


def test_the_document_of_other_programs(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        here.store_analysis("task", {"output_data": 1, "raw_response": "said"}, analysis_id="asked")
        sink = io.BytesIO()
        here.transfer.export_document(sink, Filter(status=(Status.COMPLETED, Status.FAILED)))
        document = json.loads(sink.getvalue())
        assert document["total_count"] == len(document["analyses"]) == 7
        asked = next(one for one in document["analyses"] if one["metadata"]["analysis_id"] == "asked")
        assert (asked["output_data"], asked["raw_response"]) == (1, "said")
        assert [event["name"] for event in asked["processing_log"]] == ["analysis.completed"]
        done = there.transfer.import_analyses(io.BytesIO(sink.getvalue()))
        assert done.added == {"analyses": 7}
        for name in ("first", "same-a", "asked"):
            assert there.get_result(name) == here.get_result(name)
            assert there.get_findings(name) == here.get_findings(name)
            assert there.get_metrics(name) == here.get_metrics(name)
            assert there.get_analysis(name).context == here.get_analysis(name).context
        assert there.get_analysis("failed").error == here.get_analysis("failed").error
        assert there.transfer.import_analyses(io.BytesIO(sink.getvalue())).there == {"analyses": 7}
        assert there.integrity.check().found == ()


def test_the_document_holds_them_all(database: str) -> None:
    with open_store(database) as hf:
        add_many(hf, 1100)
        sink = io.BytesIO()
        hf.transfer.export_document(sink)
        document = json.loads(sink.getvalue())
        names = {one["metadata"]["analysis_id"] for one in document["analyses"]}
        assert document["total_count"] == len(document["analyses"]) == len(names) == 1100


def test_a_document_that_others_wrote(database: str) -> None:
    entry: dict[str, Any] = {
        "metadata": {"id": "x1", "task_description": "Decide", "thread_id": "t", "status": "completed", "tags": ["d"]},
        "input_data": "ask",
        "output_data": {"a": 10**18},
        "raw_response": None,
        "processing_log": [],
    }
    with open_store(database) as hf:
        assert bring(hf, {"exported_at": "2026", "total_count": 1, "analyses": [entry]}).added == {"analyses": 1}
        analysis = hf.get_analysis("x1")
        assert (analysis.kind, analysis.summary, analysis.tags, analysis.context.thread_id) == (
            "task",
            "Decide",
            ("d",),
            "t",
        )
        assert (analysis.params, hf.get_result("x1")) == ({"input_data": "ask"}, {"a": 10**18})


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"[1, 2]", None, "no bundle, no export"),
        (b"\xff\xfe", None, "no bundle"),
        (b'{"version": "2.1.0", "runs": [{}]}', Format.SARIF, "Run 0"),
        (b'{"version": "1.0", "runs": []}', Format.SARIF, "version '1.0'"),
        (b'{"runs": 3}', Format.SARIF, "no list of runs"),
        (b"{", Format.SARIF, "not JSON"),
        (b'{"info": {}}', Format.MLFLOW, "Run 0"),
        (b'{"analyses": [{"metadata": {"findings": [{}]}}]}', None, "Analysis 1"),
        (b'{"analyses": [{"metadata": {}, "output_data": 1}', None, "cut off after analysis 1"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, kind: Format | None, said: str, tmp_path: Any) -> None:
    with open_store(f"sqlite:///{tmp_path / 'holdfast.db'}") as hf, pytest.raises(InvalidFile, match=said):
        hf.transfer.import_analyses(io.BytesIO(content), kind)
