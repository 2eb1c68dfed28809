"""What was installed from a damaged copy in an installer's cache is fetched again, once; what is so in the package stays so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poncho._types import Event, Reporter
from poncho.errors import BuildError
from poncho.install.intact import Wrong, new_ones, remember
from poncho.store import BuilderCache


@dataclass(frozen=True, slots=True)
class Mending:
    """How packages of one ``kind`` are looked at and fetched again.

    ``look`` returns the files that are wrong. ``again`` installs packages (by name) once more, from new copies, and tells
    whether they are new.
    """

    kind: str
    step: str
    whole: str
    look: Callable[[], list[Wrong]]
    again: Callable[[Sequence[str]], bool]
    cache: BuilderCache
    offline: bool
    reporter: Reporter

    def mend(self, names: Sequence[str] = ()) -> None:
        """Fetch again the packages of which files are wrong; or those called ``names``, when nothing could be installed.

        Raises BuildError when that is not allowed and something is missing.
        """
        wrong = [] if names else new_ones(self.look(), self.cache)
        damaged = list(names) or sorted({one.package for one in wrong})
        if not damaged:
            return
        first = next((one for one in wrong if one.is_lost), wrong[0]) if wrong else None
        what = f"the cache's copy of {self.kind} package {first.package if first else damaged[0]} is damaged"
        what += f" ({first})" if first else ""
        if self.offline:
            if first is None or first.is_lost:
                raise BuildError(what, hint="build once without --offline: it is fetched again")
            self._warn(f"{what}, or was made so: without --offline it is fetched again")
            return
        self._warn(f"{what}: it is fetched again")
        is_new = self.again(damaged)
        still = new_ones(self.look(), self.cache)
        if is_new:
            remember(still, self.cache)
        for one in still:
            self._warn(f"{self.kind} package {one.package}: {one}, in the {self.whole} itself")

    def _warn(self, message: str) -> None:
        self.reporter(Event("warning", self.step, message))
