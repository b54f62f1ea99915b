"""The peers' own servers, from ``.venv-peers``, over the same kind of store as Holdfast's.

Each is started as its documentation says for production, with what it does besides turned off where that is a setting.
"""

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import http
from bench.floors import Stores

_BIN = Path(__file__).parents[1] / ".venv-peers" / "bin"
MISSING = "MLflow and Prefect were not measured: .venv-peers is missing. Get it by `make bench-peers`."
# A worker of uvicorn that imports for more than five seconds is taken for dead otherwise.
_PATIENCE = "--timeout-worker-healthcheck 120"


def are_installed() -> bool:
    """Whether they can be measured."""
    return (_BIN / "mlflow").exists() and (_BIN / "prefect").exists()


@contextlib.contextmanager
def mlflow(stores: Stores) -> Iterator[dict[str, Any]]:
    """MLflow's tracking server in two processes; yields what its clients need to know."""
    port, folder = http.free_port(), _folder(stores, "mlflow")
    command = [str(_BIN / "mlflow"), "server", "--backend-store-uri", _url(stores, "psycopg")]
    command += ["--artifacts-destination", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "2", "--uvicorn-opts", _PATIENCE]
    with http.running(
        command, port, {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, cwd=folder
    ):
        yield {"port": port}


@contextlib.contextmanager
def prefect(stores: Stores) -> Iterator[dict[str, Any]]:
    """Prefect's server, in one process as several need Redis besides; yields what its clients need to know."""
    port, folder = http.free_port(), _folder(stores, "prefect")
    env = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": _url(stores, "asyncpg"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(_BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-services"]
    with http.running(command, port, env, cwd=folder, health="/api/health"):
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/flows/",
            data=json.dumps({"name": "bench"}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            yield {"port": port, "flow": json.load(answer)["id"]}


def _url(stores: Stores, driver: str) -> str:
    url = stores.fresh(schema=False)
    if stores.dialect == "postgresql":
        return url.replace("postgresql://", f"postgresql+{driver}://")
    return url.replace("sqlite://", "sqlite+aiosqlite://") if driver == "asyncpg" else url


def _folder(stores: Stores, name: str) -> Path:
    folder = stores.directory / f"{name}-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder
