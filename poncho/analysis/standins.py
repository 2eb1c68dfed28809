"""Expressions that say something about imports, each as a short statement that says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from poncho.analysis.hints import BACKENDS, ENGINES, is_plotting, may_hint
from poncho.analysis.quotes import STRING, NotSureError, Quoted, code_of
from poncho.analysis.traps import CALLS, SCHEMES

# Every pattern begins with a character that is rare, or is asked only where a plain search has found something: a
# pattern that is tried at each character costs more than parsing the file.
_DYNAMIC_NAMES = ("import_module", "__import__", "importorskip", "find_spec", "run_module")
_DYNAMIC = re.compile(rf"(?<!\w)({'|'.join(_DYNAMIC_NAMES)})" + r"""\s*\(\s*[rRuU]?(['"])([\w.]+)\2\s*(.?)""")
_ADDRESS = re.compile(f"""['"]({"|".join(map(re.escape, SCHEMES))})""")
_METHOD = re.compile(rf"_(?:{'|'.join(sorted({name.rpartition('_')[2] for name in CALLS}))})\b[ \t]*\(")
_OBJECT = re.compile(r"\.(\w+)$")
_ENGINE = re.compile(r"engine[ \t]*=[ \t]*(['\"])(\w+)\1")
_BACKEND = re.compile(r"\.(?:use|switch_backend)[ \t]*\([ \t]*(['\"])([\w:/.]+)\1")
_CODE = re.compile(r"(?<![\w.])(exec|eval)\(\s*(?:[\w.]*dedent\(\s*)?([rRuU]?)(\"\"\"|'''|\"|')")
_BYTES = re.compile(r"(?<!\w)(?:[bB][rR]?|[rR][bB])$")
_OPENS_BLOCK = re.compile(
    r"[ \t]*(?:async[ \t]+)?(?:def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b"
)
_UNFINISHED = ("(", "[", "{", ",", "\\", "=", "+", " or", " and")


def stand_ins(quoted: Quoted, *, dynamic: bool, code: bool) -> Iterator[tuple[int, str]]:
    """Yield ``(start of its line, statement)`` for each expression that counts.

    They are literal calls of import_module and its like (``dynamic`` tells that the text has their names), literal
    code for exec (``code``: that a string may hold an import), and what hints. Raises NotSureError where the statement
    that an expression belongs to cannot be told.
    """
    text = quoted.text
    for pattern in _asked(text, dynamic, code):
        for found in pattern.finditer(text):
            if quoted.holds(found.start()):
                continue
            start = text.rfind("\n", 0, found.start()) + 1
            before = text[start : found.start()]
            statement = _stand_in(pattern, found, before, quoted)
            if statement is None:
                continue
            if quoted.holds(start):
                raise NotSureError
            if code_of(before) is None:
                continue  # in a comment, or in a string
            if _OPENS_BLOCK.match(before) or _goes_on(text, start):
                raise NotSureError
            yield start, before[: len(before) - len(before.lstrip())] + statement


def _asked(text: str, dynamic: bool, code: bool) -> Iterator[re.Pattern[str]]:
    """Yield the patterns that can match in a text."""
    if dynamic:
        yield _DYNAMIC
    if code and ("exec(" in text or "eval(" in text):
        yield _CODE
    if may_hint(text):
        if "://" in text:
            yield _ADDRESS
        yield _METHOD
        yield _ENGINE
        if is_plotting(text):
            yield _BACKEND


def _stand_in(pattern: re.Pattern[str], found: re.Match[str], before: str, quoted: Quoted) -> str | None:
    """Return the statement for what was found; None where it is nothing that counts."""
    if pattern is _DYNAMIC:
        return _dynamic(found, before)
    if pattern is _CODE:
        return _literal_code(found, quoted)
    if pattern is _ADDRESS:
        return None if _BYTES.search(before) else f"_({found.group(1)!r})"
    if pattern is _METHOD:
        name = _OBJECT.search(before + found.group().rstrip("( \t"))
        return f"_.{name.group(1)}()" if name and name.group(1) in CALLS else None
    literal = found.group(2).lower()
    if pattern is _BACKEND:
        return f"_.use({literal!r})" if literal in BACKENDS else None
    if literal not in ENGINES or before[-1:].isalnum() or before.endswith(("_", ".")):
        return None
    if before.count("(") <= before.count(")"):
        raise NotSureError
    return f"_(engine={literal!r})"


def _dynamic(found: re.Match[str], before: str) -> str | None:
    if before.lstrip().startswith(("def ", "import ", "from ")):
        return None
    if found.group(4) in "\"'#":
        raise NotSureError  # the string goes on, or a comment comes between
    return f"{found.group(1)}({found.group(3)!r})" if found.group(4) in ",)" else None


def _literal_code(found: re.Match[str], quoted: Quoted) -> str | None:
    text, quotes = found.string, found.group(3)
    opening = found.start(2)
    if len(quotes) == 3:
        end = quoted.end(found.start(3))
    else:
        string = STRING.match(text, found.start(3))
        if string is None:
            raise NotSureError
        end = string.end()
    if text[end : end + 200].lstrip()[:1] in "\"'" and "import" in text[opening : end + 1000]:
        raise NotSureError  # the string goes on
    return f"{found.group(1)}({text[opening:end]})" if "import" in text[opening:end] else None


def _goes_on(text: str, start: int) -> bool:
    """Tell whether a line goes on with the statement of the line before it."""
    before = text[max(0, start - 400) : start].rstrip()
    return before.rpartition("\n")[2].partition("#")[0].rstrip().endswith(_UNFINISHED)
