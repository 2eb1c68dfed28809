"""Read what conda, mamba and micromamba print with ``--json``: solutions and errors."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poncho._redact import MASK, is_file_url
from poncho.engine.process import TAIL_LINES, says_disk_full, tool_failed
from poncho.engine.records import locked_from_record
from poncho.errors import BuildError, DiskFullError, FetchError, PonchoError, ResolveError
from poncho.lock.model import LockedConda

_RESOLVE_NAMES = (
    "unsatisfiable",
    "packagesnotfound",
    "packagenotfound",
    "resolvepackage",
    "invalidspec",
    "invalidmatchspec",
    "conflict",
)
_FETCH_NAMES = ("http", "channel", "ssl", "proxy", "offline", "checksum", "connection", "authentication")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Spec): .")
_SECRETS = re.compile(r"://(?P<userinfo>[^/\s@]+)@|/t/(?P<token>[^/\s]+)")
_RESOLVE_WORDS = (
    "invalidversionspec",
    "invalidmatchspec",
    "could not solve",
    "nothing provides",
    "package conflicts",
    "not available from current channels",
    "does not exist",
)
_FETCH_WORDS = ("download", "http", "connection", "could not resolve host", "subdir", "no such channel")


def last_json(text: str) -> dict[str, Any] | None:
    """Return the last JSON object that a command printed, or None; progress and warnings may stand before it."""
    decoder = json.JSONDecoder()
    found: dict[str, Any] | None = None
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except ValueError:
            end = position + 1
        else:
            found = value if isinstance(value, dict) else found
        position = text.find("{", end)
    return found


def locked_from_actions(
    answer: Mapping[str, Any] | None, done: subprocess.CompletedProcess[str]
) -> tuple[LockedConda, ...]:
    """Return the packages of a dry run, sorted by name.

    ``actions`` is an object, or a list of one. What ``LINK`` says of a package (all of it in new versions,
    ``dist_name`` and ``channel`` in old ones) is completed from ``FETCH``. Raises BuildError when that gives no URL.
    """
    actions = (answer or {}).get("actions") or {}
    groups: Sequence[Mapping[str, Any]] = actions if isinstance(actions, list) else [actions]
    records: dict[str, LockedConda] = {}
    for group in groups:
        fetched = {_stem(record): record for record in group.get("FETCH", [])}
        for link in group.get("LINK", []):
            record = _complete({**link, **fetched.get(_stem(link), {})})
            if not record.get("url"):
                raise tool_failed(
                    done.args,
                    done.returncode,
                    done.stdout,
                    step=f"read its solution: no URL for {_stem(link)}",
                    error=BuildError,
                )
            records[str(record["name"])] = locked_from_record(record)
    return tuple(records[name] for name in sorted(records))


def _stem(record: Mapping[str, Any]) -> str:
    if record.get("dist_name"):
        return str(record["dist_name"])
    return f"{record.get('name')}-{record.get('version')}-{record.get('build_string') or record.get('build')}"


def _complete(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with rattler's and repodata's keys, whichever names the command gave them."""
    record["build"] = record.get("build") or record.get("build_string") or ""
    record["subdir"] = record.get("subdir") or record.get("platform") or ""
    if record.get("url"):
        # The base URL, as rattler gives it; conda has the channel's short name here.
        record["channel"] = str(record["url"]).rsplit("/", 2)[0] + "/"
        record["fn"] = str(record["url"]).rsplit("/", 1)[-1]
    for key in (
        "dist_name",
        "base_url",
        "build_string",
        "schannel",
        "package_tarball_full_path",
        "extracted_package_dir",
    ):
        record.pop(key, None)
    return {key: value for key, value in record.items() if value is not None}


def command_error(
    name: str,
    step: str,
    argv: Sequence[str],
    done: subprocess.CompletedProcess[str],
    answer: Mapping[str, Any] | None,
    secrets: Iterable[str] = (),
) -> PonchoError:
    """Return the error for a command that failed, in its own words.

    ``secrets`` are URLs that went in: what is secret in them is masked wherever it comes out; conda mangles URLs.
    """
    words = _mask(_without_traceback(_words(answer) or done.stderr.strip() or done.stdout.strip()), secrets)
    kind = _kind(str((answer or {}).get("exception_name") or ""), words, step)
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    if says_disk_full(words):
        tail = "\n".join(lines[-TAIL_LINES:])
        return DiskFullError(
            f"{name} cannot {step}: no space left on the file system of the cache", context={"tail": tail}
        )
    if kind is ResolveError:
        text = "\n".join(lines)
        return ResolveError(
            f"no set of conda packages satisfies the spec, says {name}: {text if len(lines) == 1 else chr(10) + text}",
            hint="loosen a version, or add a channel",
            context={"solver": text},
        )
    if kind is FetchError:
        return FetchError(
            f"{name} cannot read a channel or fetch a package: {' '.join(line.strip() for line in lines[:3])}",
            hint="check the network and the channel's name or URL",
            context={"tail": "\n".join(lines[-TAIL_LINES:])},
        )
    return BuildError(
        f"{name} cannot {step}: {lines[0].strip() if lines else f'exit status {done.returncode}'}",
        hint="these are its last words:\n" + "\n".join(lines[-TAIL_LINES:]) if len(lines) > 1 else None,
        context={"command": shlex.join(argv), "status": done.returncode, "tail": "\n".join(lines[-TAIL_LINES:])},
    )


def _kind(exception: str, words: str, step: str) -> type[PonchoError]:
    low_name, low = exception.lower(), words.lower()
    if any(part in low_name for part in _RESOLVE_NAMES):
        return ResolveError
    if any(part in low_name for part in _FETCH_NAMES):
        return FetchError
    if step == "solve" and any(part in low for part in _RESOLVE_WORDS):
        return ResolveError
    if not exception and any(part in low for part in _FETCH_WORDS):
        return FetchError
    return BuildError


def _words(answer: Mapping[str, Any] | None) -> str:
    """Return the words of an error object: conda's ``message`` (of each of several), libmamba's ``solver_problems``."""
    if not answer:
        return ""
    several = answer.get("errors")
    if isinstance(several, list) and several:
        words = (_words(one) for one in several if isinstance(one, dict))
        return "\n".join(text for text in words if text.strip("()"))
    problems = answer.get("solver_problems")
    if isinstance(problems, list) and problems:
        return "\n".join(map(str, problems))
    return str(answer.get("message") or answer.get("error") or "").strip()


def _without_traceback(words: str) -> str:
    """Return the exceptions that a traceback names when a command crashed, else the words as they are."""
    if "Traceback (most recent call last)" not in words:
        return words
    named = [line for line in words.splitlines() if _EXCEPTION.match(line)]
    own = [line for line in named if line.startswith("conda.")]
    return "\n".join(own[:1] or named[-1:]) or words


def _mask(text: str, urls: Iterable[str]) -> str:
    for url in urls:
        if is_file_url(url):
            continue
        for found in _SECRETS.finditer(url):
            text = text.replace(found["userinfo"] or found["token"], MASK)
    return text
