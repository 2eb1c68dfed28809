"""Expressions that say something about imports, each as a short statement that says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from poncho.analysis.hints import BACKENDS, ENGINES, has_endings, is_plotting, may_hint
from poncho.analysis.quotes import STRING, NotSureError, Quoted, code_of
from poncho.analysis.rare import places
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
_WORDS = {_DYNAMIC: _DYNAMIC_NAMES, _CODE: ("exec(", "eval(")}
_BYTES = re.compile(r"(?<!\w)(?:[bB][rR]?|[rR][bB])$")
_HEADER = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b")
# Up to its colon, such a header stands under what the block as a whole stands under.
_OPENS_BLOCK = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class|if|for|while|with)\b")
_DEFINES = re.compile(r"[ \t]*(?:(?:async[ \t]+)?def|class)\b[^(]*\(?[^(]*$")
_LONGEST = 4_000
_UNFINISHED = ("(", "[", "{", ",", "\\", "=", "+", " or", " and")


def stand_ins(quoted: Quoted, *, dynamic: bool, code: bool) -> Iterator[tuple[int, str]]:
    """Yield ``(start of its line, statement)`` for each expression that counts.

    They are literal calls of import_module and its like (``dynamic``: the text has one of their names with "import" in it),
    literal code for exec (``code``: a string may hold an import), and what hints. Raises NotSureError where the statement
    that an expression belongs to cannot be told.
    """
    text = quoted.text
    for pattern in _asked(text, dynamic, code):
        for found in _matches(pattern, text):
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
            if pattern is _ENGINE:
                line = _line_of_call(text, start, found.start())
                if line is None:
                    continue
                if line < start:
                    start, before = line, text[line : text.index("\n", line)]
            head = text[_first_line(text, start) : start + len(before)]
            if _begins_above(before):
                raise NotSureError
            if quoted.holds(start + len(before) - len(head)):
                raise NotSureError
            if _HEADER.match(head) and (":" in head or not _OPENS_BLOCK.match(head)):
                raise NotSureError
            yield start, head[: len(head) - len(head.lstrip())] + statement


def _asked(text: str, dynamic: bool, code: bool) -> Iterator[re.Pattern[str]]:
    """Yield the patterns that can match in a text."""
    endings = has_endings(text)
    if dynamic or (endings and ("find_spec" in text or "run_module" in text)):
        yield _DYNAMIC
    if code and ("exec(" in text or "eval(" in text):
        yield _CODE
    if may_hint(text, endings=endings):
        if "://" in text:
            yield _ADDRESS
        yield _METHOD
        yield _ENGINE
        if is_plotting(text):
            yield _BACKEND


def _matches(pattern: re.Pattern[str], text: str) -> Iterable[re.Match[str]]:
    """Return what ``pattern.finditer`` does; one that begins with no plain character is asked where its words are."""
    words = _WORDS.get(pattern)
    if words is None:
        return pattern.finditer(text)
    positions = sorted(position for word in words for position in places(text, word, word))
    return [found for position in positions if (found := pattern.match(text, position))]


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


def _line_of_call(text: str, start: int, keyword: int) -> int | None:
    """Return where the line begins on which the call begins that has a keyword at a position of the line at ``start``.

    None where it is no call's: a parameter's default, or an assignment.
    """
    before = text[start:keyword]
    if before.count("(") > before.count(")"):
        return None if _DEFINES.match(before) else start
    head = STRING.sub(lambda found: " " * len(found.group()), text[_first_line(text, start) : keyword])
    if "#" in head or '"' in head or "'" in head or (before.isspace() and "\n" not in head):
        raise NotSureError
    depth = 0
    for offset in range(len(head) - 1, -1, -1):
        char = head[offset]
        if char in ")]}":
            depth += 1
        elif char in "([{":
            depth -= 1
            if depth < 0:
                break
    else:
        raise NotSureError
    line = head.rfind("\n", 0, offset) + 1
    called = head[line:offset]
    if char != "(" or _begins_above(called):
        raise NotSureError
    return None if _DEFINES.match(called) else keyword - len(head) + line


def _begins_above(before: str) -> bool:
    """Tell whether the expression that goes on after ``before`` began on an earlier line: its line is that one."""
    return (
        before.lstrip()[:1] in (")", "]", "}", ".")
        or before.count(")") > before.count("(")
        or before.count("]") > before.count("[")
    )


def _first_line(text: str, start: int) -> int:
    """Return where the statement begins that the line at ``start`` belongs to, as far as the ends of lines tell."""
    first = start
    while _goes_on(text, first):
        first = text.rfind("\n", 0, len(text[:first].rstrip())) + 1
        if start - first > _LONGEST:
            raise NotSureError
    return first


def _goes_on(text: str, start: int) -> bool:
    """Tell whether a line goes on with the statement of the line before it."""
    before = text[max(0, start - 400) : start].rstrip()
    return before.rpartition("\n")[2].partition("#")[0].rstrip().endswith(_UNFINISHED)
