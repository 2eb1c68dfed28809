"""Which index pages a resolution reads, so that the next one of its kind can have them read all at once.

uv asks for a page when it meets the name, one generation of dependencies after the other; that waiting is most of what a
resolution takes. The names are no more than a hint: what they are good for is decided by what uv says it has read.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from poncho.store import Answers, BuilderCache, answer_key

_SEARCHED = re.compile(r"^DEBUG Searching for a compatible version of ([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_MISSING = re.compile(r"`([A-Za-z0-9][A-Za-z0-9._-]*)==([^`]+)` needs to be downloaded")
_NETWORK = re.compile(r"needs? to be downloaded|^DEBUG Sending (?:fresh GET request for: (\S+))?", re.MULTILINE)
_ASKED = re.compile(r"^DEBUG Sending fresh GET request for: (\S+)", re.MULTILINE)
_KEPT = re.compile(r"^DEBUG Found \S+ response for: (\S+)", re.MULTILINE)
_REMEMBERED = 8


def consulted_names(log: str) -> frozenset[str]:
    """Return the names whose index pages a resolver read, from what ``uv --verbose`` wrote to stderr."""
    return frozenset(canonicalize_name(name) for name in _SEARCHED.findall(log))


def missing_versions(log: str) -> dict[str, str]:
    """Return the first version of each name that uv wanted to read something of, and could not without the network."""
    found: dict[str, str] = {}
    for name, version in _MISSING.findall(log):
        found.setdefault(canonicalize_name(name), version)
    return found


def absent_pages(log: str) -> frozenset[str]:
    """Return the URLs of index pages that an index turned out not to have: with several indexes, most are in one only.

    uv says what it asks for, not what the answer was; an answer that it keeps nothing of is "not found", unless the index
    forbids to keep anything. So that is taken for it where other pages of the same index are kept.
    """
    keeping = {_index(url) for url in _KEPT.findall(log)}
    return frozenset(url for url in _ASKED.findall(log) if _index(url) in keeping)


def _index(page: str) -> str:
    return page.rstrip("/").rpartition("/")[0]


def wanted_network(log: str, *, absent: Container[str] = ()) -> bool:
    """Return whether uv tried to reach the network, other than for pages that are ``absent``."""
    return any(found[1] is None or found[1] not in absent for found in _NETWORK.finditer(log))


@dataclass(frozen=True, slots=True)
class Pages:
    """The names that ``wanted`` (names of requirements) led to before, with these indexes and this Python."""

    answers: Answers
    key: str
    wanted: frozenset[str]

    @classmethod
    def of(
        cls,
        requirements: Iterable[str],
        python: str,
        env: Mapping[str, str],
        arguments: Sequence[str],
        cache: BuilderCache,
    ) -> Pages | None:
        """Return the record for these requirements; None when one of them is more than a name in an index."""
        names = set()
        for text in requirements:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                return None
            if requirement.url:
                return None
            names.add(canonicalize_name(requirement.name))
        settings = {key: value for key, value in env.items() if key.startswith("UV_") and key != "UV_CACHE_DIR"}
        key = answer_key("index pages 1", python, sorted(settings.items()), list(arguments))
        return cls(Answers(cache.directory("solve")), key, frozenset(names))

    def names(self) -> frozenset[str]:
        """Return the names that were read by the resolution most like this one, and those wanted now."""
        best = max(self._known(), key=lambda one: len(self.wanted & set(one["wanted"])), default=None)
        if best is None or 2 * len(self.wanted & set(best["wanted"])) < len(self.wanted):
            return frozenset()
        return self.wanted | {str(name) for name in best["read"]}

    def remember(self, read: Iterable[str]) -> None:
        """Note what this resolution read."""
        mine = {"wanted": sorted(self.wanted), "read": sorted(read)}
        others = [one for one in self._known() if one["wanted"] != mine["wanted"]]
        if mine["read"]:
            self.answers.put(self.key, [mine, *others][:_REMEMBERED])

    def _known(self) -> list[dict[str, Any]]:
        known = self.answers.get(self.key)
        if not isinstance(known, list):
            return []
        return [one for one in known if isinstance(one, dict) and {"wanted", "read"} <= one.keys()]
