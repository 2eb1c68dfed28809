"""A page that shows a package: one HTML file with nothing outside of it, sizes as a treemap that can be clicked through."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

from poncho._version import __version__
from poncho.look.inventory import Inventory
from poncho.look.tree import size_tree
from poncho.look.words import shown
from poncho.runner import missing

_MARK = re.compile(r"@@([a-z]+)@@")


def make_page(inventory: Inventory) -> str:
    """Return the page's text; the same for the same package under the same name.

    Nothing in the package can become markup or script: names go in as JSON data and are shown as text; a content security
    policy allows the page's own script and style by their hashes, and no request at all. Raises BuildError when the
    installation lacks the page's files.
    """
    style, script = _file("page.css"), _file("page.js")
    filled = {
        "title": html.escape(shown(inventory.path.name or str(inventory.path))),
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'",
        "style": style,
        "script": script,
        "data": _data(page_data(inventory)),
    }
    return _MARK.sub(lambda match: filled[match[1]], _file("page.html"))


def page_data(inventory: Inventory) -> dict[str, Any]:
    """Return what the page shows, as JSON values whose texts are fit for showing."""
    facts = _shown(
        {
            key: value
            for key, value in inventory.to_json().items()
            if key not in ("packages", "data", "largest_files", "spec")
        }
    )
    spec = inventory.spec
    return {
        "name": shown(inventory.path.name or str(inventory.path)),
        "made": f"poncho {__version__}",
        "facts": facts,
        "packages": _shown([part.to_json() for part in inventory.parts]),
        "spec": None if spec is None else json.dumps(_shown(spec), indent=2, ensure_ascii=False),
        "tree": size_tree(inventory),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown(str(key)): _shown(one) for key, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _data(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # So that no text can end the element or begin a comment in it.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    try:
        return files("poncho.look").joinpath("data").joinpath(name).read_text("utf-8")
    except OSError as error:
        raise missing(f"poncho/look/data/{name}") from error
