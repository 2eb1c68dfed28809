"""Apps that name a package of their own: one executor for each package, and each app on the one that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parsl.app.app import AppBase, bash_app, python_app
from parsl.executors.base import ParslExecutor

from poncho._arguments import kind, several
from poncho._types import Reporter, silent
from poncho.errors import UsageError
from poncho.integrations.packages import Source, engine_package
from poncho.integrations.parsl.executors import PARSL, in_package, own_roots
from poncho.package import open_package


@dataclass(frozen=True, slots=True)
class _Wish:
    app: AppBase
    package: Source | None
    pack: bool
    extra: tuple[str, ...]


class PackagedApps:
    """Apps of one program, each with the package that it asks for.

    ``python_app`` and ``bash_app`` are Parsl's decorators with three options more; ``executors`` makes what Parsl is to be
    loaded with. ``package`` here is for apps that ask for nothing themselves::

        apps = PackagedApps(package="env.tar.gz")

        @apps.python_app(pack=True)
        def fit(events): ...

        config = Config(executors=apps.executors(lambda label: HighThroughputExecutor(label=label)))
    """

    def __init__(self, package: Source | None = None) -> None:
        self._default = package
        self._wishes: list[_Wish] = []

    def python_app(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make a Python app. ``package`` names its package or spec; ``pack=True`` builds one from what it imports.

        ``extra`` are more pip requirements. Everything else is an option of Parsl's ``python_app``.
        """
        return self._decorator(python_app, function, options)

    def bash_app(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make a bash app: its command line finds the programs of its package. Options as for ``python_app``."""
        return self._decorator(bash_app, function, options)

    def executors(
        self, make: Callable[[str], ParslExecutor], *, reporter: Reporter = silent, **how: Any
    ) -> list[ParslExecutor]:
        """Return one executor for each package that the apps ask for, and send each app to its own.

        ``make`` is called with a label and returns a new executor of that label. ``how`` are options of ``in_package``
        (``staging``, ``stage_to``, ``store``, ``python_path``). Apps that need the same package share an executor. Packages are
        built here, when they are not in the cache; an app defined later is not served. Raises PonchoError.
        """
        if not self._wishes:
            raise UsageError(
                "no apps were made with this PackagedApps", hint="decorate them before calling executors()"
            )
        groups: dict[Path, tuple[list[AppBase], list[Path]]] = {}
        for wish in self._wishes:
            functions = [wish.app] if wish.pack else []
            built = engine_package(wish.package, PARSL, functions=functions, extra=wish.extra, reporter=reporter)
            apps, roots = groups.setdefault(built.path, ([], []))
            apps.append(wish.app)
            roots.extend(own_roots(built.own_modules))
        python_path = list(how.pop("python_path", ()))
        made = []
        for path, (apps, roots) in groups.items():
            label = f"poncho_{open_package(path).digest[:12]}"
            executor = make(label)
            if not isinstance(executor, ParslExecutor):
                raise UsageError(
                    f"the function returned {kind(executor)}, no executor", hint="return the one that it makes"
                )
            if executor.label != label:
                raise UsageError(
                    f"the executor's label is {executor.label!r}, not {label!r}", hint="pass it on: label=label"
                )
            own = list(dict.fromkeys([*several(python_path), *roots]))
            made.append(in_package(executor, path, python_path=own, reporter=reporter, **how))
            for app in apps:
                app.executors = [label]
        return made

    def _decorator(
        self, decorate: Callable[..., Any], function: Callable[..., Any] | None, options: dict[str, Any]
    ) -> Any:
        package, pack = options.pop("package", None), bool(options.pop("pack", False))
        extra: Sequence[str] = options.pop("extra", ())
        if "executors" in options:
            raise UsageError("which executor an app runs on follows from its package", hint="leave executors out")
        if pack and package is not None:
            raise UsageError("a package and pack=True exclude each other", hint="leave one of them out")
        if package is None and not pack:
            package = self._default
        if package is None and not pack:
            raise UsageError(
                "the app names no package", hint="package=…, pack=True, or a package for all: PackagedApps(…)"
            )

        def wrap(wrapped: Callable[..., Any]) -> AppBase:
            app: AppBase = decorate(**options)(wrapped)
            self._wishes.append(_Wish(app, package, pack, several(extra)))
            return app

        return wrap if function is None else wrap(function)
