"""Reads a Library.xml to its end in one of several ways, and prints what it cost; started by ``p8_reader``."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

from holdfast.analyzers.duplicates.readers import open_library
from holdfast.analyzers.duplicates.readers.file import chunks


def _read(path: Path) -> int:
    return sum(batch.height for batch in open_library(str(path), {}).batches())


def _revise(path: Path) -> int:
    # The file is hashed, and its tracks counted on the way.
    library = open_library(str(path), {})
    return 0 if library.subject.revision is None else library.count or 0


def _parse(path: Path) -> int:
    """The least that anybody does who reads it with expat."""
    parser = expat.ParserCreate()
    for chunk in chunks(path):
        parser.Parse(chunk)
    parser.Parse(b"", True)  # noqa: FBT003 pyexpat takes it by position only
    return 0


def _nothing(_: Path) -> int:
    return 0


WAYS: dict[str, Callable[[Path], int]] = {"read": _read, "revise": _revise, "parse": _parse, "nothing": _nothing}


if __name__ == "__main__":
    way, path = sys.argv[1:3]
    began, cpu = time.perf_counter(), time.process_time()
    tracks = WAYS[way](Path(path))
    told = {"tracks": tracks, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    # Linux tells kibibytes.
    told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))
