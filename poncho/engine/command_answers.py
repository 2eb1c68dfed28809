"""Read what conda, mamba and micromamba print with ``--json``: solutions and errors."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from poncho._redact import MASK, is_file_url, strip_channel, strip_credentials
from poncho.engine.libmamba import libmamba_words
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
    "error parsing",
    "invalidmatchspec",
    "could not solve",
    "nothing provides",
    "package conflicts",
    "not available from current channels",
    "does not exist",
)
_LAST_SECOND = 253402300799  # of the year 9999; a larger timestamp is in milliseconds
_CONDA_OFFLINE = "remote connection in offline mode"
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


def with_credentials(records: Iterable[LockedConda], channels: Iterable[str]) -> tuple[LockedConda, ...]:
    """Return the records with the credentials of the channels that they are from in their URLs, as far as they lack them.

    conda leaves them out, libmamba writes asterisks for a token.
    """
    secret = {strip_channel(url).rstrip("/") + "/": url.rstrip("/") + "/" for url in channels}
    secret = {bare: url for bare, url in secret.items() if bare != url}
    return tuple(_with_credentials(record, secret) for record in records)


def _with_credentials(record: LockedConda, secret: Mapping[str, str]) -> LockedConda:
    bare = strip_credentials(record.url)
    for prefix, channel in secret.items():
        if bare.startswith(prefix):
            url = channel + bare.removeprefix(prefix)
            document = {**record.record, "url": url, "channel": channel}
            return replace(record, url=url, channel=channel, record=document)
    return record


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
    for key in ("constrains", "track_features"):
        if not record.get(key):
            record.pop(key, None)
    timestamp = record.get("timestamp")
    if isinstance(timestamp, int) and 0 < timestamp <= _LAST_SECOND:
        record["timestamp"] = timestamp * 1000  # libmamba gives seconds, repodata and rattler milliseconds
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
    logged = libmamba_words(done.stderr)
    words = _mask(_without_traceback(logged or _words(answer) or done.stderr.strip() or done.stdout.strip()), secrets)
    unsolved = bool(answer and answer.get("solver_problems"))
    kind = ResolveError if unsolved else _kind(str((answer or {}).get("exception_name") or ""), words, step)
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    offline = "--offline" in argv
    if says_disk_full(words):
        tail = "\n".join(lines[-TAIL_LINES:])
        return DiskFullError(
            f"{name} cannot {step}: no space left on the file system of the cache", context={"tail": tail}
        )
    if kind is ResolveError:
        text = "\n".join(lines)
        return ResolveError(
            f"no set of conda packages satisfies the spec, says {name}: {text if len(lines) == 1 else chr(10) + text}",
            # libmamba takes a channel of which it has nothing for an empty one.
            hint="loosen a version, or add a channel"
            + (
                "; offline only what an earlier build fetched can be used: run once without --offline"
                if offline
                else ""
            ),
            context={"solver": text},
        )
    if kind is FetchError:
        return FetchError(
            f"{name} cannot read a channel or fetch a package: {' '.join(line.strip() for line in lines[:3])}",
            hint=_fetch_hint(words, offline=offline),
            context={"tail": "\n".join(lines[-TAIL_LINES:])},
        )
    return BuildError(
        f"{name} cannot {step}: {lines[0].strip() if lines else f'exit status {done.returncode}'}",
        hint="these are its last words:\n" + "\n".join(lines[-TAIL_LINES:]) if len(lines) > 1 else None,
        context={"command": shlex.join(argv), "status": done.returncode, "tail": "\n".join(lines[-TAIL_LINES:])},
    )


def _fetch_hint(words: str, *, offline: bool) -> str:
    if offline:
        return "offline only what an earlier build fetched can be used; run once without --offline"
    if re.search(r"\b(?:status: |HTTP )40[13]\b", words):
        return "the channel wants credentials: netrc, or in the URL"
    if "match expectation" in words or "checksum" in words.lower():
        return "the package was rebuilt or damaged: if the channel has a new one, solve again"
    return "check the network and the channel's name or URL"


def _kind(exception: str, words: str, step: str) -> type[PonchoError]:
    low_name, low = exception.lower(), words.lower()
    if any(part in low_name for part in _RESOLVE_NAMES):
        return ResolveError
    if any(part in low_name for part in _FETCH_NAMES):
        return FetchError
    if step == "solve" and any(part in low for part in _RESOLVE_WORDS):
        return ResolveError
    if (not exception and any(part in low for part in _FETCH_WORDS)) or _CONDA_OFFLINE in low:
        return FetchError
    return BuildError


def _words(answer: Mapping[str, Any] | None) -> str:
    """Return the words of an error object: conda's ``message`` (of each of several), libmamba's ``solver_problems``."""
    if not answer:
        return ""
    several = answer.get("errors")
    if isinstance(several, list) and several:
        words = (_words(one) for one in several if isinstance(one, dict))
        # One for each package that failed, often the same.
        return "\n".join(text for text in dict.fromkeys(words) if text.strip("()"))
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
