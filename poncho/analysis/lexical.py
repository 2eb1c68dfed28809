"""Find imports without parsing: for code that is newer, older or more broken than the running interpreter's grammar.

Strings and comments are blanked, lines are joined inside brackets, blocks are told by their indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from poncho.analysis.model import Import, Scan, Tier

_BLANKED = re.compile(
    r"""
      \#[^\n]*
    | (?<![A-Za-z0-9_])[A-Za-z]{0,2}(?:
          \"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z) | '''(?:[^\\]|\\.)*?(?:'''|\Z)
        | \"(?:[^\\\n\"]|\\.)*(?:\"|$)      | '(?:[^\\\n']|\\.)*(?:'|$)
      )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_BLOCK = re.compile(
    r"(?:async\s+)?(def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b(.*)", re.DOTALL
)
_IMPORT = re.compile(r"(?:lazy\s+)?import\s+(.+)", re.DOTALL)
_FROM = re.compile(r"(?:lazy\s+)?from\s*(\.*)\s*([\w.]*)\s*\bimport\b\s*(.+)", re.DOTALL)
_CATCHING = re.compile(r"^\s*(?::|.*\b(?:ImportError|ModuleNotFoundError|Exception|BaseException)\b)", re.DOTALL)
_LOOP = frozenset({"for", "while", "match", "case"})


@dataclass(slots=True)
class _Open:
    """A block that is open: the indentation and word of its header, and where the imports of a ``try`` begin."""

    indent: int
    word: str
    name: str
    tier: Tier
    why: str
    main: bool = False
    attempt: int = 0
    fallback: bool = False
    seen: list[int] = field(default_factory=list)


def scan_text(text: str) -> Scan:
    """Return what a text says, as far as it can be told without its grammar."""
    reader = _Reader()
    for indent, line, statement in _logical_lines(text):
        reader.take(indent, line, statement)
    return Scan(tuple(reader.imports), tuple(reader.functions))


class _Reader:
    def __init__(self) -> None:
        self.imports: list[Import] = []
        self.functions: list[str] = []
        self._open: list[_Open] = []
        self._last_try: dict[int, _Open] = {}

    def take(self, indent: int, line: int, statement: str) -> None:
        while self._open and self._open[-1].indent >= indent:
            closed = self._open.pop()
            if closed.word == "try":
                self._last_try[closed.indent] = closed
        header = _BLOCK.match(statement)
        if header and ":" in header.group(2):
            rest = self._enter(indent, line, header.group(1), header.group(2))
            if rest:
                self._statements(line, rest)
        else:
            self._statements(line, statement)

    def _enter(self, indent: int, line: int, word: str, rest: str) -> str:
        """Open a block; return what follows its colon on the same line."""
        test, _, tail = rest.rpartition(":") if word != "def" else rest.partition(":")
        if word == "def" and "(" in rest:
            tail = rest[_end_of_signature(rest) :].partition(":")[2]
        name = found.group() if word in ("def", "class") and (found := re.match(r"\s*\w+", rest)) else ""
        block = _Open(indent, word, name.strip(), Tier.REQUIRED, "")
        if word == "def":
            block.tier, block.why = Tier.CONDITIONAL, "inside a function"
            self.functions.append(".".join([*(one.name for one in self._open if one.name), block.name]))
        elif word in ("if", "elif", "else"):
            if "TYPE_CHECKING" in test and word == "if" and "not" not in test:
                block.tier, block.why = Tier.TYPE_CHECKING, "under TYPE_CHECKING"
            elif "__name__" in test:
                block.main = True
            elif word != "else" or indent not in self._last_try:
                block.tier, block.why = Tier.CONDITIONAL, "under if"
        elif word in _LOOP:
            block.tier, block.why = Tier.CONDITIONAL, "inside a loop or match"
        elif word == "try":
            block.attempt = line
        elif word == "except" and _CATCHING.match(rest) and (guarded := self._last_try.get(indent)):
            block.tier, block.why = Tier.OPTIONAL, "in an except ImportError branch"
            block.attempt, block.fallback = guarded.attempt, True
            for index in guarded.seen:
                self.imports[index] = _optional(self.imports[index], guarded.attempt)
        if word not in ("except", "else", "finally"):
            self._last_try.pop(indent, None)
        self._open.append(block)
        return tail.strip()

    def _statements(self, line: int, text: str) -> None:
        for statement in text.split(";"):
            for module, names, level, binds in _parse(statement.strip()):
                tier, why, attempt, fallback, main = Tier.REQUIRED, "", 0, False, False
                for block in self._open:
                    if block.word == "try":
                        block.seen.append(len(self.imports))
                    if block.tier > tier:
                        tier, why = block.tier, block.why
                    if block.fallback:
                        attempt, fallback = block.attempt, True
                    main = main or block.main
                in_function = any(block.word == "def" for block in self._open)
                scope = ".".join(block.name for block in self._open if block.name) if in_function else ""
                self.imports.append(
                    Import(module, names, level, tier, line, why, attempt, fallback, main, binds, scope)
                )


def _optional(event: Import, attempt: int) -> Import:
    if event.tier >= Tier.OPTIONAL:
        return event
    return Import(
        event.module, event.names, event.level, Tier.OPTIONAL, event.line, "under try/except ImportError", attempt,
        False, event.main, event.binds, event.scope,
    )  # fmt: skip


def _end_of_signature(text: str) -> int:
    depth = 0
    for index, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char in ")]}" and depth == 0:
            return index + 1
    return len(text)


def _parse(statement: str) -> Iterator[tuple[str, tuple[str, ...], int, tuple[str, ...]]]:
    if found := _FROM.fullmatch(statement):
        level, module = len(found.group(1)), found.group(2)
        pairs = [pair for part in found.group(3).strip().strip("()").split(",") if (pair := _alias(part, star=True))]
        if pairs and (level or module) and (not module or _dotted(module)):
            yield module, tuple(name for name, _ in pairs), level, tuple(bound for _, bound in pairs)
    elif found := _IMPORT.fullmatch(statement):
        for part in found.group(1).split(","):
            if (pair := _alias(part)) and _dotted(pair[0]):
                bound = pair[1] if pair[1] != pair[0] else pair[0].partition(".")[0]
                yield pair[0], (), 0, (bound,)


def _alias(text: str, *, star: bool = False) -> tuple[str, str] | None:
    words = text.split()
    if len(words) == 1 and ((words[0] == "*" and star) or _dotted(words[0])):
        return words[0], words[0]
    if len(words) == 3 and words[1] == "as" and _dotted(words[0]):
        return words[0], words[2]
    return None


def _dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _logical_lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield ``(indentation, line number, text)`` of each logical line, with strings and comments blanked."""
    cleaned = _BLANKED.sub(
        lambda found: "\n" * found.group().count("\n") if found.group()[0] == "#" else _blank(found), text
    )
    depth, start, parts = 0, 0, [""]
    for number, line in enumerate(cleaned.split("\n"), 1):
        stripped = line.strip()
        fresh = not any(parts)
        # An unclosed bracket must not swallow the rest of a broken file: a new block at the margin ends it.
        if (
            depth > 0
            and re.match(r"(?:import|from|def|class|if|try)\b", line)
            and (not line.startswith("from") or " import " in line)
        ):
            yield _measured(parts, start)
            depth, fresh, parts = 0, True, []
        if fresh:
            start, parts = number, []
        parts.append(line if fresh else stripped)
        depth = max(0, depth + sum(line.count(char) for char in "([{") - sum(line.count(char) for char in ")]}"))
        if stripped.endswith("\\"):
            parts[-1] = parts[-1].rstrip()[:-1]
            continue
        if depth == 0:
            if any(part.strip() for part in parts):
                yield _measured(parts, start)
            parts = []
    if any(part.strip() for part in parts):
        yield _measured(parts, start)


def _blank(found: re.Match[str]) -> str:
    return (
        '""' + "\n" * found.group().count("\n")
        if "\n" not in found.group()
        else '""' + "\\\n" * found.group().count("\n")
    )


def _measured(parts: list[str], start: int) -> tuple[int, int, str]:
    joined = " ".join(parts)
    expanded = joined.expandtabs(8)
    return len(expanded) - len(expanded.lstrip()), start, joined.strip()
