"""What the pages have in common: one self-contained file that fetches nothing and executes nothing of a search."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any


@cache
def asset(name: str) -> str:
    """A style sheet or script of `reports/assets`."""
    return files("tune_cl.reports").joinpath("assets", name).read_text(encoding="utf-8")


def document(title: str, body: Sequence[str], data: tuple[str, Any], scripts: Sequence[str], *, live: bool) -> str:
    """A page as HTML.

    Args:
        title: as plain text.
        body: HTML.
        data: (id of its element, what the scripts read as JSON).
        scripts: JavaScript, run in this order after the body is there.
        live: whether the page may ask the server that it came from; else it may ask nobody.
    """
    name, content = data
    connect = "; connect-src 'self'" if live else ""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}{connect}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{asset('page.css')}</style>",
            "</head>",
            "<body>",
            *body,
            f'<script type="application/json" id="{name}">{_json(content)}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body>",
            "</html>",
            "",
        ]
    )


def _policy(scripts: Sequence[str]) -> str:
    """What a browser may do with the page: run these very scripts, fetch nothing."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _json(value: Any) -> str:
    """JSON that ends no script element, whatever its texts hold."""
    return (
        json.dumps(value, ensure_ascii=True, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    )
