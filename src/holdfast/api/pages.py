"""The service's own page, until there is more: what it can do, from its own document. It loads nothing."""

from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2rem 0 .5rem; text-transform: capitalize; }
code { font: 14px ui-monospace, monospace; }
li { margin: .3rem 0; list-style: none; }
ul { padding: 0; }
b { display: inline-block; width: 4.5rem; font: 600 13px ui-monospace, monospace; }
small { display: block; margin-left: 4.5rem; opacity: .7; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
"""


def routes(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            words = escape(operation.get("description", "").split("\n")[0])
            codes = " ".join(sorted(operation["responses"]))
            line = f"<li><b>{method.upper()}</b> <code>{escape(path)}</code><small>{words} [{codes}]</small></li>"
            by_tag.setdefault(operation["tags"][0], []).append(line)
    parts = "".join(f"<h2>{escape(tag)}</h2><ul>{''.join(lines)}</ul>" for tag, lines in by_tag.items() if lines)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Holdfast</title><style>{_STYLE}</style>'
        f"<h1>Holdfast {escape(document['info']['version'])}</h1>"
        f'<p>For programs: <a href="/openapi.json">/openapi.json</a></p>{parts}'
    )
