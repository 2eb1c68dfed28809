"""All members of a package as it grows: those that were looked at as values, those known from before in columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, count

from poncho.pack.model import Member
from poncho.pack.runs import Run


class Members:
    """What was packed so far, in no particular order. Two threads may add."""

    def __init__(self) -> None:
        self.looked: list[Member] = []
        self._runs: list[Run] = []

    def __len__(self) -> int:
        return len(self.looked) + sum(len(run.entries) for run in self._runs)

    def add(self, members: Iterable[Member]) -> None:
        """Add members that were looked at."""
        self.looked += members

    def add_run(self, run: Run) -> None:
        """Add members that are known."""
        self._runs.append(run)

    def paths(self) -> list[str]:
        """Return the paths of all."""
        return [entry.path for run in self._runs for entry in run.entries] + [member.path for member in self.looked]

    def lines(self) -> list[bytes]:
        """Return the lines of all in ``poncho/contents``, without the newlines."""
        return [line for run in self._runs for line in run.lines] + [member.line[:-1] for member in self.looked]

    def changed(self) -> dict[str, tuple[str, int]]:
        """Return (sha256, size) of the files that have other bytes than in the prefix, by path."""
        found = {
            member.path: (member.sha256, member.size) for member in self.looked if member.changed and member.sha256
        }
        for run in self._runs:
            for at in run.changed():
                found[run.entries[at].path] = run.lines[at][:64].decode(), run.sizes[at]
        return found

    def by_path(self) -> Mapping[str, Member]:
        """Return a look-up by path."""
        return _ByPath(self.looked, self._runs)

    def totals(self) -> dict[str, int]:
        """Return the numbers of ``files`` and ``links``, and the ``bytes`` of all files."""
        files = sum(len(run.states) - run.states.count(b"-") for run in self._runs)
        links = sum(entry.link is not None for run in self._runs if b"-" in run.states for entry in run.entries)
        size = sum(sum(run.sizes) for run in self._runs)
        return {
            "files": files + sum(bool(member.sha256) for member in self.looked),
            "links": links + sum(member.link is not None for member in self.looked),
            "bytes": size + sum(member.size for member in self.looked),
        }


class _ByPath(Mapping[str, Member]):
    """Makes the values of those that are asked for."""

    def __init__(self, looked: Iterable[Member], runs: Sequence[Run]) -> None:
        self._looked = {member.path: member for member in looked}
        self._runs = runs
        self._ends = list(accumulate(len(run.entries) for run in runs))
        self._known = dict(zip((entry.path for run in runs for entry in run.entries), count(), strict=False))

    def __getitem__(self, path: str) -> Member:
        member = self._looked.get(path)
        if member is not None:
            return member
        number = self._known[path]
        at = bisect_right(self._ends, number)
        return self._runs[at].member(number - (self._ends[at - 1] if at else 0))

    def __contains__(self, path: object) -> bool:
        return path in self._looked or path in self._known

    def __iter__(self) -> Iterator[str]:
        yield from self._looked
        yield from self._known

    def __len__(self) -> int:
        return len(self._looked) + len(self._known)
