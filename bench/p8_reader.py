"""P8: a large Library.xml read in bounded memory, against a parse of it that keeps nothing.

The file is invented, and is gone when the measurement ends. Each reading is a process of its own, so that its peak is
its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import Options, Report, run
from holdfast.analyzers.duplicates.sample import write_sample

_ROOT = Path(__file__).parents[1]
_ID = "<key>Persistent ID</key><string>"
_TRACKS = "\t<key>Tracks</key>\n\t<dict>\n"
_END = "\t</dict>\n\t<key>Playlists</key>\n"
_SECONDS = 1800
_MEGABYTES = 200


def measure(options: Options, report: Report) -> None:
    megabytes = options.pick(5, 500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Library.xml"
        _write(path, megabytes)
        told = {way: _read(way, path) for way in ("nothing", "parse", "revise", "read")}
    tracks, idle = told["read"]["tracks"], told["nothing"]["megabytes"]
    name = f"Library.xml of {megabytes} MB, {tracks:,.0f} tracks"
    taken = told["read"]["megabytes"] - idle
    report.add("P8", f"{name}: peak memory above an idle process", taken, "MB",
        goal=f"<= {_MEGABYTES} MB", met=taken <= _MEGABYTES)  # fmt: skip
    report.add("P8", f"{name}: peak memory in all", told["read"]["megabytes"], "MB")
    floor = told["parse"]["cpu"]
    for way, said in (("read", "reading"), ("revise", "hashing and counting"), ("parse", "parsing alone")):
        ratio = told[way]["cpu"] / floor
        report.add(
            "P8", f"{name}: {said}, CPU", told[way]["cpu"], "s", ratio=ratio, against="a parse that keeps nothing"
        )
        report.add("P8", f"{name}: {said}", told[way]["seconds"], "s")


def _write(path: Path, megabytes: int) -> None:
    write_sample(path, tracks=5_000)
    before, _, rest = path.read_text(encoding="utf-8").partition(_TRACKS)
    tracks, _, after = rest.partition(_END)
    with path.open("w", encoding="utf-8") as file:
        file.write(before + _TRACKS)
        copy = 0
        while file.tell() < megabytes * 1_000_000:
            # An id said before would be skipped.
            file.write(tracks.replace(_ID, f"{_ID}{copy:04X}"))
            copy += 1
        file.write(_END + after)


def _read(way: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.library_reader", way, str(path)]
    done = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=_SECONDS)
    told: dict[str, float] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    run({"p8-reader": measure})
