"""Say in words what differs: between a lock's spec and the spec as it is now, between two locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name

from poncho.lock.model import Lock
from poncho.spec import Spec, portable

_NAMED = 6


def spec_changes(locked: Spec, wanted: Spec) -> tuple[str, ...]:
    """Return what changed in the spec since it was locked, one phrase for each part: ``conda: +scipy, -numpy=1.24``."""
    old, new = portable(locked), portable(wanted)
    found = []
    for name in ("channels", "conda", "pip"):
        before, after = getattr(old, name), getattr(new, name)
        words = _moved(before, after)
        if words or before != after:
            found.append(f"{name}: {words or 'in another order'}")
    if old.python != new.python:
        found.append(f"python: {old.python or 'any'} → {new.python or 'any'}")
    for name in ("pinned", "git", "http"):
        words = _entries(getattr(old, name), getattr(new, name))
        if words:
            found.append(f"{name}: {words}")
    return tuple(found)


def lock_changes(old: Lock, new: Lock) -> tuple[str, ...]:
    """Return what moved from one lock to another, one line for each package: ``numpy 1.26.4 → 2.0.1 (conda)``."""
    before, after = _versions(old), _versions(new)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was != now:
            lines.append(f"{key[0]} {was or '(new)'} → {now or '(gone)'} ({key[1]})")
    return tuple(lines)


def _versions(lock: Lock) -> dict[tuple[str, str], str]:
    found = {(item.name, "conda"): f"{item.version} {item.build}".rstrip() for item in lock.conda}
    for item in lock.pip:
        # A branch moves, and local code changes, without another version.
        commit = item.requirement.rpartition("@")[2][:12] if "git+" in item.requirement else ""
        content = (item.sha256 or "")[:12] if item.requirement.startswith(("/", "./")) else ""
        found[canonicalize_name(item.name), "pip"] = " ".join(filter(None, (item.version, commit, content)))
    found.update({(name, "git"): source.commit[:12] for name, source in lock.git.items()})
    found.update({(name, "http"): f"sha256 {source.sha256[:12]}" for name, source in lock.http.items()})
    return found


def _moved(before: Iterable[str], after: Iterable[str]) -> str:
    old, new = list(before), list(after)
    words = [f"+{item}" for item in new if item not in old] + [f"-{item}" for item in old if item not in new]
    return _few(words)


def _entries(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    words = [f"+{name}" for name in after if name not in before]
    words += [f"-{name}" for name in before if name not in after]
    words += [f"{name} changed" for name in after if name in before and after[name] != before[name]]
    return _few(words)


def _few(words: list[str]) -> str:
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")
