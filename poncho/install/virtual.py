"""A virtual environment becomes a prefix of its own: its interpreter, which lies elsewhere, repackaged; its packages, copied.

Formats: ``pyvenv.cfg`` (PEP 405; the standard library's venv, virtualenv and uv write it). What Python would import there
is what it imports here: with ``include-system-site-packages`` the interpreter's own packages come along, those that the
virtual environment hides left out.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from poncho import _regular
from poncho._trees import make_directories
from poncho._types import Event, Reporter
from poncho._words import counted
from poncho.base import BaseChannel, base_channel
from poncho.base.facts import InterpreterFacts, ask
from poncho.engine import CondaEngine
from poncho.engine.pip_tools import clean_environment, run_tool
from poncho.errors import BuildError
from poncho.install.conda import install_conda
from poncho.install.distributions import site_packages
from poncho.lock.model import LockedConda
from poncho.resolution import resolve_conda
from poncho.spec import Spec
from poncho.store import BuilderCache

# What makes a directory a virtual environment, or a cache, and is of no use without the interpreter elsewhere.
_OWN_TOP = frozenset({"pyvenv.cfg", ".gitignore", "CACHEDIR.TAG", ".lock", ".Python", "pip-selfcheck.json"})
_OWN_SCRIPTS = re.compile(
    r"bin/(?:python(?:w|\d(?:\.\d+t?)?)?|pypy\d*|(?:de)?activate(?:[._].*)?|Activate\.ps1|pydoc\.bat)\Z"
)
_OWN_MODULES = re.compile(r".*/site-packages/_virtualenv\.(?:py|pth)\Z")
_THREADS = 4
_SITE = "import site; print('\\n'.join(site.getsitepackages()))"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of a virtual environment: its base, the conda packages of that, how many files were copied."""

    base: BaseChannel
    records: tuple[LockedConda, ...]
    files: int


def is_virtual_environment(prefix: Path) -> bool:
    """Tell whether ``prefix`` is a virtual environment (and not a conda environment that holds such a file)."""
    return (prefix / "pyvenv.cfg").is_file() and not any((prefix / "conda-meta").glob("*.json"))


def rebuild_virtual_environment(
    venv: Path,
    prefix: Path,
    *,
    engine: CondaEngine,
    cache: BuilderCache,
    platform: str,
    reporter: Reporter,
    environ: Mapping[str, str],
) -> Rebuilt:
    """Make the new directory ``prefix`` an environment that is complete in itself and holds what ``venv`` holds.

    ``venv`` is only read. Bytecode is not copied: it is compiled anew. Text that holds the path of ``venv`` still does:
    pack it as a spelling of the prefix. Raises BuildError when the interpreter is gone or cannot be repackaged, or a file
    cannot be read.
    """
    python = venv / "bin" / "python"
    facts = ask(python, environ)
    if facts is None:
        home = read_settings(venv).get("home", "an unknown place")
        raise BuildError(
            f"{venv}: its Python cannot be run; it was made with the one in {home}",
            hint="make the virtual environment again, or create the package from its requirements",
        )
    shown = shown_sites(venv, facts, environ)
    base = base_channel(interpreter=python, cache=cache, reporter=reporter, environ=environ)
    records = resolve_conda(Spec(), engine=engine, base=base, platform=platform, reporter=reporter)
    install_conda(records, prefix, engine=engine, platform=platform, cache=cache, reporter=reporter)
    reporter(Event("start", "copy", f"copying the packages of {venv}"))
    own = dict(_files_of(venv))
    below = dict(_system_files(venv, facts.name, shown, reporter)) if shown else {}
    files = {**below, **own}
    _copy(files, prefix, venv)
    reporter(Event("done", "copy", counted(len(files), "file"), done=len(files), unit="files"))
    return Rebuilt(base, records, len(files))


def read_settings(venv: Path) -> dict[str, str]:
    """Return the settings in ``pyvenv.cfg``, keys in lower case; empty when it cannot be read."""
    try:
        lines = _regular.read_text(venv / "pyvenv.cfg", "surrogateescape").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _files_of(venv: Path) -> Iterator[tuple[str, str]]:
    """Yield what the virtual environment itself holds: (path in the new prefix, where it lies)."""
    for relative, path in _walk(venv):
        name = relative.partition("/")[0]
        if name in _OWN_TOP or _OWN_SCRIPTS.match(relative) or _OWN_MODULES.match(relative):
            continue
        if relative == "lib64" or (name == "lib64" and (venv / name).is_symlink()):
            continue
        if relative.startswith("lib64/"):
            # Fedora's own layout has a real directory; a conda prefix knows lib only.
            relative = relative.replace("lib64/", "lib/", 1)
        yield relative, path


def shown_sites(venv: Path, facts: InterpreterFacts, environ: Mapping[str, str]) -> list[Path]:
    """Return where the packages lie that ``venv`` shows of its interpreter, in the order of ``sys.path``; mostly nowhere.

    Raises BuildError when it shows those of a conda environment.
    """
    if read_settings(venv).get("include-system-site-packages", "").lower() != "true":
        return []
    if facts.kind == "conda":
        raise BuildError(
            f"{venv}: uses the packages of the conda environment {facts.prefix}, of which it shows a part only",
            hint="install what it adds into the conda environment, and name that one",
        )
    argv = [str(facts.executable), "-I", "-B", "-S", "-c", _SITE]
    said = run_tool(argv, env=clean_environment(environ), step=f"run {facts.executable}").stdout
    return [Path(line) for line in dict.fromkeys(said.splitlines()) if line and os.path.isdir(line)]


def _system_files(venv: Path, name: str, shown: Iterable[Path], reporter: Reporter) -> Iterator[tuple[str, str]]:
    """Yield the packages of the interpreter itself, as far as the ones above do not hide them."""
    target = f"lib/{name}/site-packages"
    hidden = _Hidden()
    for site in site_packages(venv):
        hidden.add(site)
    machine = False
    for directory in shown:
        for relative, path in _walk(directory, hidden.hides):
            machine = machine or relative.endswith(".so")
            yield f"{target}/{relative}", path
        hidden.add(directory)
    if machine:
        reporter(
            Event(
                "warning",
                "copy",
                "packages of the system's Python come along (include-system-site-packages); "
                "libraries of this machine that they need do not",
            )
        )


class _Hidden:
    """What the directories before one on ``sys.path`` hide of it: modules, packages, distributions; by top-level name."""

    def __init__(self) -> None:
        self._modules: set[str] = set()
        self._namespaces: set[str] = set()
        self._distributions: set[str] = set()

    def add(self, site: Path) -> None:
        for entry in os.scandir(site):
            name = _distribution(entry.name)
            if name:
                self._distributions.add(name)
            elif os.path.isdir(entry.path):
                # A directory without __init__ is a part of a namespace: other parts of it are seen, too.
                whole = any((Path(entry.path) / f"__init__{end}").exists() for end in (".py", ".pyc"))
                (self._modules if whole else self._namespaces).add(entry.name)
            else:
                self._modules.add(entry.name.partition(".")[0] if not entry.name.endswith(".pth") else entry.name)

    def hides(self, relative: str) -> bool:
        """Tell whether a path relative to a later directory is not seen; asked from the top on."""
        if "/" in relative:
            return False
        name = _distribution(relative)
        if name:
            return name in self._distributions
        if relative.endswith(".pth"):
            return relative in self._modules
        return relative.partition(".")[0] in self._modules


def _distribution(name: str) -> str | None:
    stem, dot, suffix = name.rpartition(".")
    if suffix not in ("dist-info", "egg-info") or not dot:
        return None
    return canonicalize_name(stem.partition("-")[0])


def _walk(root: Path, leave_out: Callable[[str], bool] = lambda relative: False) -> Iterator[tuple[str, str]]:
    """Yield files and links below ``root`` (relative path, path) but for compiled ones; links are not followed."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            children = list(os.scandir(root / inside))
        except OSError as error:
            raise _cannot_read(error) from error
        for child in children:
            relative = f"{inside}/{child.name}" if inside else child.name
            if child.name == "__pycache__" or leave_out(relative):
                continue
            if child.is_dir(follow_symlinks=False):
                waiting.append(relative)
            elif child.is_symlink() or child.is_file(follow_symlinks=False):
                yield relative, child.path


def _copy(files: Mapping[str, str], prefix: Path, venv: Path) -> None:
    for directory in {os.path.dirname(relative) for relative in files}:
        make_directories(f"{prefix}/{directory}")
    top = os.path.realpath(venv)

    def copy(item: tuple[str, str]) -> None:
        target = prefix / item[0]
        if target.is_symlink() or target.exists():
            target.unlink()  # perhaps a hard link to a cache
        if os.path.islink(item[1]):
            target.symlink_to(_link_target(item[1], top))
            return
        shutil.copyfile(item[1], target)
        info = os.stat(item[1])
        os.chmod(target, stat.S_IMODE(info.st_mode) | stat.S_IRUSR | stat.S_IWUSR)
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(copy, files.items(), chunksize=64):
                pass
    except OSError as error:
        raise _cannot_read(error) from error


def _link_target(link: str, top: str) -> str:
    """Return a link's target; one that leads out of the environment is made absolute, as the link moves."""
    target = os.readlink(link)
    there = os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(os.path.dirname(link)) + "/"), target))
    return target if os.path.isabs(target) or (there + "/").startswith(top + "/") else os.path.realpath(link)


def _cannot_read(error: OSError) -> BuildError:
    return BuildError(
        f"{error.filename}: cannot be copied ({error.strerror})",
        hint="every file of the environment must be readable, and PONCHO_CACHE_DIR needs space for a copy of it",
    )
