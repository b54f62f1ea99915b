"""The analyzer: what a target means, and what is found in it."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from holdfast import Finding, Outcome, Phase, Request, RunContext, Severity, Subject, errors

_DEFAULTS = {"pattern": "*.txt", "top": 10}


class WordCount:
    """Counts words; every file is a part of its own, so they are counted on all cores and never twice."""

    kind = "word-count"
    version = "1"
    phases: ClassVar = (Phase(name="Counting", weight=9), Phase(name="Adding up"))

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        """Find the folder, and check the parameters; quick, for the caller waits."""
        folder = Path(target).expanduser().resolve()
        if not folder.is_dir():
            raise errors.TargetNotFound(f"There is no folder {folder}", target=target)
        checked = _check(params)
        files = _files(folder, checked["pattern"])
        if not files:
            raise errors.TargetNotFound(f"There is no file {checked['pattern']} in {folder}", target=target)
        subject = Subject(
            kind="folder",
            key=str(folder),
            # Names the folder's state: as long as it is the same, the kept result answers.
            revision=_state(folder, files),
            title=folder.name,
            attributes={"files": len(files)},
        )
        return Request(subject=subject, params=checked, location=str(folder))

    def run(self, ctx: RunContext) -> Outcome:
        """Count; called in a process of its own."""
        folder, params = Path(ctx.request.location), ctx.request.params
        files = _files(folder, params["pattern"])
        ctx.phase("Counting", total=len(files))
        counts: dict[str, dict[str, int]] = {}
        # Each file's counts are kept as they come: a run that is resumed counts only the files that are missing.
        counted = ctx.map(count_words, [str(file) for file in files], key=lambda path: path)
        for file, words in zip(files, counted, strict=True):
            counts[file.relative_to(folder).as_posix()] = words
            ctx.advance(message=file.name)
        ctx.phase("Adding up")
        return _outcome(counts, params["top"])


def count_words(path: str) -> dict[str, int]:
    """The words of one file; at the top level of a module, because other processes call it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.CorruptTarget(f"{path} is not UTF-8 text", path=path, byte=error.start) from error
    return dict(Counter(word.strip(".,;:!?\"'()").lower() for word in text.split()))


def _check(params: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(params.keys() - _DEFAULTS.keys())
    if unknown:
        raise errors.InvalidParams(
            f"word-count has no parameter {unknown[0]!r}; it has: {', '.join(sorted(_DEFAULTS))}"
        )
    checked = {**_DEFAULTS, **params}
    if not isinstance(checked["pattern"], str) or not checked["pattern"]:
        raise errors.InvalidParams("pattern must be a file pattern such as '*.txt'", field="pattern")
    if not isinstance(checked["top"], int) or not 1 <= checked["top"] <= 1000:
        raise errors.InvalidParams("top must be 1 to 1000", field="top")
    return checked


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


def _state(folder: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        digest.update(f"{file.relative_to(folder)}\0{about.st_size}\0{about.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()


def _outcome(counts: dict[str, dict[str, int]], top: int) -> Outcome:
    total: Counter[str] = Counter()
    for words in counts.values():
        total.update(words)
    findings = [
        Finding(
            rule="word-count/empty",
            severity=Severity.LOW,
            title=f"{path} is empty",
            message="A file without words is often one that was not written to its end.",
            path=path,
        )
        for path, words in counts.items()
        if not words
    ]
    most = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:top]
    return Outcome(
        result={
            "words": total.total(),
            "most_frequent": [{"word": word, "count": count} for word, count in most],
            "files": {path: sum(words.values()) for path, words in counts.items()},
        },
        summary=f"{total.total()} words in {len(counts)} files.",
        findings=findings,
        metrics={"words": total.total(), "different_words": len(total), "files": len(counts)},
    )
