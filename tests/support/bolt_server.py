"""Serves Bolt until its parent is gone: bolt_server.py FOLDER PARENT. Run by the Python of .venv-graph.

In FOLDER it writes ``server.json`` once it answers.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

from arcadedb_embedded.server import ArcadeDBServer

PASSWORD = "for-the-tests-only"
DATABASE = "holdfast"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    port = free_port()
    server = ArcadeDBServer(
        str(folder / "data"),
        PASSWORD,
        config={
            "host": "127.0.0.1",
            "http_port": free_port(),
            "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "bolt_host": "127.0.0.1",
            "bolt_port": port,
        },
        jvm_kwargs={"heap_size": "512m"},
    )
    server.start()
    server.create_database(DATABASE)
    made = {"url": f"bolt://127.0.0.1:{port}", "user": "root", "password": PASSWORD, "database": DATABASE}
    (folder / "server.part").write_text(json.dumps(made))
    (folder / "server.part").rename(folder / "server.json")
    while True:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            # The Java threads would keep the process.
            os._exit(0)
        time.sleep(1)


if __name__ == "__main__":
    main()
