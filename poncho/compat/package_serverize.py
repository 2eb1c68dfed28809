"""``ndcctools.poncho.package_serverize``: turn functions into programs that TaskVine and Work Queue workers start once
and call often, with an environment that holds what the functions import."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from poncho._arguments import kind, several
from poncho._types import Reporter, silent
from poncho.analysis import SourceText, analyze
from poncho.analysis.assemble import refuse_unresolved
from poncho.compat import generate
from poncho.compat.cache import place_package
from poncho.compat.extract import extract_file, extract_functions
from poncho.compat.fingerprint import fingerprint
from poncho.compat.own_code import pickled
from poncho.errors import UsageError
from poncho.spec import Spec
from poncho.store import atomic_file
from poncho.store.outputs import check_apart, check_kept

__all__ = [
    "create_library_code",
    "generate_functions_hash",
    "generate_library",
    "generate_library_hash",
    "pack_library_code",
    "serverize_library_from_code",
]

EXEC_MODES = ("fork", "direct")
# What a library itself needs on a node. TaskVine need not be there: its one function for calls is stood in for.
_EXTRA = ("cloudpickle",)
_MAPPING = {"ndcctools.taskvine.utils": ""}
_INFO = "library_info.clpk"

Function = Callable[..., Any]


def generate_library_hash(
    library_name: str,
    function_list: Iterable[Function],
    poncho_env: str | None,
    init_command: str | None,
    add_env: bool,
    exec_mode: str,
    hoisting_modules: Sequence[Any] | None,
    library_context_info: Sequence[Any] | None,
) -> str:
    """Return hexadecimal digits that stand for a library: the same for the same functions, values and settings.

    Raises UsageError for a function without a name, two of the same name, and a context that is none.
    """
    functions = _listed(function_list)
    context = _context(library_context_info)
    _check_names(functions)
    settings = (str(library_name), str(poncho_env), str(init_command), bool(add_env), str(exec_mode))
    return fingerprint(settings, functions, list(hoisting_modules or ()), context)


def generate_functions_hash(functions: Iterable[Function], hoisting_modules: Sequence[Any] | None = None) -> str:
    """Return hexadecimal digits that stand for functions and what is hoisted for them."""
    return fingerprint(_listed(functions), list(hoisting_modules or ()))


def generate_library(
    library_cache_path: str | Path,
    library_code_path: str | Path,
    library_env_path: str | Path,
    library_info_path: str | Path,
    functions: Iterable[Function],
    library_name: str,
    need_pack: bool = True,
    exec_mode: str = "fork",
    hoisting_modules: Sequence[Any] | None = None,
    library_context_info: Sequence[Any] | None = None,
) -> None:
    """Write a TaskVine library: its program, the pickled functions, and with ``need_pack`` the package to run it in.

    The functions may be lambdas, made by ``exec`` or defined in the program's own modules. ``library_context_info`` is
    ``[function, args, kwargs]``: it runs once on each node and returns a dict of values that calls share.
    ``library_cache_path`` is the directory of the three and is not used. Raises PonchoError; the files appear whole.
    """
    functions = _listed(functions)
    context = _context(library_context_info)
    if exec_mode not in EXEC_MODES:
        raise UsageError(f"exec_mode {exec_mode!r} is unknown", hint=f"use {' or '.join(EXEC_MODES)}")
    _check_names(functions)
    check_apart(library_code_path, library_info_path, library_env_path if need_pack else None)
    info = {
        "name": library_name,
        "exec_mode": exec_mode,
        "functions": {function.__name__: pickled(function, f"function {function.__name__}") for function in functions},
        "context": pickled(context, "the library's context") if context else None,
    }
    program = generate.pickled_source(_INFO, generate.hoisted_code(hoisting_modules))
    if need_pack:
        hoisted = [
            SourceText(f"import {item.__name__}\n", "hoisting_modules") if isinstance(item, ModuleType) else item
            for item in hoisting_modules or ()
        ]
        needed = [*functions, *(item for item in context or () if callable(item)), *hoisted]
        place_package(_spec(needed, Path(sys.prefix)), Path(library_env_path))
    with atomic_file(Path(library_info_path)) as private:
        private.write_bytes(pickle.dumps(info, protocol=4))
    generate.write_program(program, Path(library_code_path))


def serverize_library_from_code(
    path: str | Path,
    functions: Iterable[Function],
    name: str,
    need_pack: bool = True,
    hoisting_modules: Sequence[Any] | None = None,
) -> None:
    """Write ``library_code.py`` (and ``library_env.tar.gz``) into the directory ``path``, from the functions' source.

    Unlike ``generate_library`` the program is complete in itself and can be read. Raises PonchoError.
    """
    directory = Path(path)
    found = extract_functions(_listed(functions))
    if "name" in found.functions:
        raise UsageError("a function of a library cannot be called 'name'", hint="that one names the library")
    named = f"{found.code}\n\ndef name():\n    return {name!r}\n"
    extract = type(found)(named, found.futures, (*found.functions, "name"))
    program = directory / "library_code.py"
    generate.write_program(
        generate.served_source(extract, "taskvine", generate.hoisted_code(hoisting_modules)), program
    )
    if need_pack:
        pack_library_code(program, directory / "library_env.tar.gz")


def create_library_code(
    path: str | Path,
    funcs: Sequence[str],
    dest: str | Path,
    version: str,
    hoisting_modules: Sequence[Any] | None = None,
) -> None:
    """Write the program ``dest`` that serves the functions ``funcs`` of the source file ``path``.

    ``version`` is ``taskvine`` or ``work_queue``. With the functions comes what they use of their module: imports,
    other functions, classes, variables. The library's name is what the module's function ``name()`` returns, or
    ``my_coprocess``. Raises PonchoError, for functions that are not there too.
    """
    kind = generate.check_version(version)
    hoisted = generate.hoisted_code(hoisting_modules)
    funcs = several(funcs or ())
    if not funcs:
        raise UsageError("a library needs at least one function")
    check_kept(dest, path)
    extract = extract_file(Path(path), list(dict.fromkeys(funcs)), optional=["name"])
    generate.write_program(generate.served_source(extract, kind, hoisted), Path(dest))


def pack_library_code(
    path: str | Path, envpath: str | Path, *, prefix: Path | None = None, reporter: Reporter = silent
) -> None:
    """Make the package ``envpath`` with what the program ``path`` imports; one that is there and still right stays.

    ``prefix`` is the environment whose versions count (default: this interpreter's). Raises PonchoError.
    """
    check_kept(envpath, path)
    place_package(_spec([Path(path)], prefix or Path(sys.prefix)), Path(envpath), reporter=reporter)


def _spec(sources: list[Any], prefix: Path) -> Spec:
    analysis = analyze(sources, mapping=_MAPPING, extra=_EXTRA, prefix=prefix, strict=False)
    refuse_unresolved(analysis.unresolved)
    return analysis.spec


def _check_names(functions: Sequence[Any]) -> None:
    names: set[str] = set()
    for function in functions:
        name = getattr(function, "__name__", None)
        if not callable(function) or not name:
            raise UsageError(f"{function!r} is no function with a name", hint="wrap it in a function (def)")
        if name in names:
            raise UsageError(f"two functions of a library are called {name}", hint="rename one of them")
        names.add(name)
    if not names:
        raise UsageError("a library needs at least one function")


def _listed(functions: Any) -> list[Function]:
    """Return functions as a list: one alone is that one."""
    if callable(functions):
        return [functions]
    if isinstance(functions, Iterable) and not isinstance(functions, str):
        return list(functions)
    raise UsageError(f"functions must be a list, not {kind(functions)}", hint="for example [fit]")


def _context(given: Sequence[Any] | None) -> tuple[Function, list[Any], dict[str, Any]] | None:
    if not given:
        return None
    context = list(given) if isinstance(given, (list, tuple)) else [None]
    if not callable(context[0]) or len(context) > 3:
        raise UsageError(
            "library_context_info must be [function, args, kwargs]", hint="for example [load_model, ['model.bin'], {}]"
        )
    args = list(context[1]) if len(context) > 1 and context[1] is not None else []
    return context[0], args, dict(context[2]) if len(context) > 2 and context[2] else {}
