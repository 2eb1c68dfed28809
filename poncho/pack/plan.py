"""Decide what goes into the package and in which order, before any content is read."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from poncho import _regular
from poncho.errors import BuildError
from poncho.pack import boot, editable, scrub
from poncho.pack.layout import PLACEHOLDER
from poncho.pack.model import Entry, Overlay, PackOptions, Trimmed
from poncho.pack.owners import Owners, find_owners, reader_in, record_paths
from poncho.pack.pyc import source_of
from poncho.pack.runtime_files import activation_script, runtime_file
from poncho.pack.transform import CODE, rule_for
from poncho.pack.walk import LeaveOut, walk
from poncho.runner import runner_path

_BOOT, _DATA, _RECORDS, _META = (0, ""), (3, ""), (4, ""), (5, "")
_NOBODY = (2, "")
_LATE = ("record", "conda-meta")
_DATA_DIRECTORY = "poncho/data/"
_UNPACKER = re.compile(r"poncho/(?:unpack\.py|_deflate\.[^/]+)\Z")
_DEFLATE_LICENSE = "poncho/LICENSE.deflate"
# Work in progress of the runner, and other environments, in a directory that --unpack-to made (docs/store.md).
_NODES_OWN = ".poncho"
_PYTHON = re.compile(r"bin/python(?:\d(?:\.\d+)?)?t?\Z")
# What makes a directory conda's own installation: its caches and other environments are no part of it.
_ROOT_ONLY = frozenset({"pkgs", "envs", "conda-bld", "locks"})


@dataclass(slots=True)
class Plan:
    """What to pack. ``entries`` are in order; ``records`` (pip's and conda's) depend on them and come after.

    ``found`` are all of them by their paths; ``directories`` those in which they were found, or would have been.
    """

    entries: list[Entry]
    records: list[Entry]
    found: Mapping[str, Entry]
    directories: set[str]
    owners: Owners
    boot: boot.Boot | None
    prefixes: tuple[str, ...]
    pythons: frozenset[str]
    dropped: set[str]
    warnings: list[str]
    trimmed: Trimmed | None = None


def make_plan(
    prefix: Path, output: Path, data: Path | None, options: PackOptions, overlay: Overlay | None = None
) -> Plan:
    """List, classify and sort everything. Raises BuildError for what cannot be packed."""
    prefixes = spellings(prefix, options.build_prefixes)
    _refuse_outside_interpreter(prefix, prefixes)
    private: list[str] = []
    notes: list[str] = []
    leave_out = _leave_out(prefix, output, data is not None, private, notes)
    recorded: dict[str, list[str]] = {}

    def read_records(directories: Sequence[str]) -> None:
        read = reader_in(prefix)
        found = (directory[:-1] for directory in directories if directory.endswith(".dist-info/"))
        recorded.update({directory: record_paths(read, directory) for directory in found})

    tree = walk(prefix, prefixes, leave_out, meanwhile=read_records if options.workers() > 1 else None)
    # Which process lists what differs from time to time, and so does the order of what was found.
    warnings = sorted(tree.warnings)
    warnings += [f"{path}: left out, it may hold credentials" for path in sorted(private)]
    by_path = {entry.path: entry for entry in tree.entries}
    files = _files(by_path)
    python = boot.find_python(files)
    # It is asked while the rest is planned.
    helper = ThreadPoolExecutor(1, thread_name_prefix="poncho-ask")
    asked = helper.submit(boot.ask, prefix, python, runtime_file("unpack.py")) if python is not None else None
    helper.shutdown(wait=False)
    owners = find_owners(prefix, files, recorded)
    warnings += owners.unread
    replaced = overlay.replaces if overlay else frozenset[str]()
    gone = _without_editables(prefix, prefixes, files, owners, by_path, options, replaced, warnings)
    dropped = {*private, *notes} | gone
    if overlay is not None:
        prefixes = (*prefixes, *spellings(overlay.root, ()))
        dropped |= _put_over(by_path, overlay.root, prefix, owners, tree.directories)
        dropped -= by_path.keys()
    if "conda-meta/history" in by_path or any(path.startswith("conda-meta/") for path in files):
        # conda knows an environment by this file; what was typed to make it stays here.
        by_path["conda-meta/history"] = Entry("conda-meta/history", data=b"")
    if (prefix / "poncho/relocation").is_file():
        prefixes = (*prefixes, PLACEHOLDER)
    trimmed = None
    if options.trim:
        from poncho.pack.trim import trim  # loads what reads ELF files

        trimmed, trimmed_off = trim(by_path, owners, options.trim)
        dropped |= trimmed_off
    _add_python_names(by_path)
    if gone or overlay is not None or trimmed is not None:
        files = _files(by_path)
    booted = _add_boot(prefix, python, asked.result() if asked is not None else None, files, by_path)
    pythons = frozenset(path[4:] for path in by_path if path.startswith("bin/") and _PYTHON.match(path))
    _classify(by_path.values(), owners, booted, files)
    entries = list(by_path.values())
    if data is not None:
        nobody = Owners()
        more = walk(data, (os.fspath(data.absolute()),), below=_DATA_DIRECTORY)
        warnings += more.warnings
        for entry in more.entries:
            rule_for(entry, nobody)
            entry.group = _DATA
        entries += more.entries
        by_path.update({entry.path: entry for entry in more.entries})
        tree.directories |= more.directories
    entries = _sorted(entries)
    records = [entry for entry in entries if entry.rule in _LATE]
    entries = [entry for entry in entries if entry.rule not in _LATE]
    return Plan(
        entries, records, by_path, tree.directories, owners, booted, prefixes, pythons, dropped, warnings, trimmed
    )


def spellings(prefix: Path, more: Iterable[str]) -> tuple[str, ...]:
    """Return every absolute path that stands for the prefix: as given, with links resolved, and ``more``."""
    given = [os.path.abspath(prefix), os.path.realpath(prefix), *(os.path.normpath(path) for path in more)]
    return tuple(dict.fromkeys(path for path in given if path != "/"))


def added_members(spec: bytes, lock: bytes, env: bytes) -> list[Entry]:
    """Return the members that PONCHO adds, apart from those that are known only at the end."""
    scripts = {f"bin/{name}": runtime_file(name) for name in ("conda-unpack", "run_in_env")}
    scripts["bin/poncho_package_run"] = runner_path().read_bytes()
    plain = {f"bin/{name}": activation_script(name) for name in ("activate", "deactivate", "activate.fish")}
    plain["conda_spec.yml"] = spec
    plain["poncho/lock.json"] = lock
    plain["poncho/env.sh"] = env
    plain["poncho/relocate.py"] = runtime_file("relocate.py")
    made = [made_entry(path, content, mode=0o755) for path, content in scripts.items()]
    return made + [made_entry(path, content) for path, content in plain.items()]


def made_entry(path: str, data: bytes, *, mode: int = 0o644) -> Entry:
    """Return an entry of PONCHO's own with content from memory."""
    return Entry(path, data=data, size=len(data), mode=mode, group=_META)


def _leave_out(prefix: Path, output: Path, has_data: bool, private: list[str], notes: list[str]) -> LeaveOut:
    target = os.path.realpath(output)
    base = os.path.realpath(prefix)
    own = {target[len(base) + 1 :]} if target.startswith(base + "/") else set()
    is_root = (prefix / "condabin").is_dir() and (prefix / "pkgs/urls.txt").is_file()

    def leave_out(path: str) -> bool:
        name = path.rpartition("/")[2]
        if name in scrub.PRIVATE_NAMES:
            private.append(path)
            return True
        if name in scrub.INSTALLER_NOTES:
            notes.append(path)
            return True
        if path in own or path == _NODES_OWN or (is_root and path in _ROOT_ONLY):
            return True
        # A package that was unpacked brings these itself, new; only its data stay, unless there are others.
        return path.startswith("poncho/") and (has_data or not (path + "/").startswith(_DATA_DIRECTORY))

    names = {*scrub.PRIVATE_NAMES, *scrub.INSTALLER_NOTES, *(posixpath.basename(path) for path in own)}
    return LeaveOut(names, leave_out)


def _refuse_outside_interpreter(prefix: Path, prefixes: tuple[str, ...]) -> None:
    try:
        text = _regular.read_text(prefix / "pyvenv.cfg", "surrogateescape")
    except OSError:
        return
    for line in text.splitlines():
        key, _, home = line.partition("=")
        home = home.strip()
        if key.strip() == "home" and not any((home + "/").startswith(known + "/") for known in prefixes):
            raise BuildError(
                f"{prefix}: is a virtual environment; its interpreter lies outside of it, in {home}",
                hint="make the package from a spec or a requirements file, or from a conda environment",
            )


def _without_editables(
    prefix: Path,
    prefixes: tuple[str, ...],
    files: Mapping[str, None],
    owners: Owners,
    by_path: dict[str, Entry],
    options: PackOptions,
    replaced: frozenset[str],
    warnings: list[str],
) -> set[str]:
    found = editable.find(prefix, prefixes, files, owners.distributions)
    warnings += [f"{line}: lies outside of the environment and does not travel" for line in found.outside]
    if not found.found:
        return set()
    lost = sorted(found.found.keys() - replaced)
    listed = ", ".join(f"{name} ({found.found[name]})" for name in lost)
    if lost and not options.ignore_editable:
        raise BuildError(
            f"editable installs cannot travel, their code lies outside of the environment: {listed}",
            hint="install them without -e, or leave them out with --ignore-editable-packages",
            context={"editable": lost},
        )
    if lost:
        warnings.append(f"editable installs are left out: {listed}")
    directories = tuple(path for path in found.files if path.endswith("/"))
    gone = {path for path in files if path in found.files or path.startswith(directories or ("\0",))}
    gone |= {path for path in files if (source := source_of(path)) is not None and source in gone}
    for path in gone:
        del by_path[path]
    for path, content in found.rewritten.items():
        by_path[path] = Entry(path, data=content, size=len(content))
    owners.packages[:] = [p for p in owners.packages if editable.normalise(p.name) not in found.found]
    return gone


def _put_over(by_path: dict[str, Entry], root: Path, prefix: Path, owners: Owners, directories: set[str]) -> set[str]:
    """Put the overlay's files in the place of the prefix's, or beside them; return what is left out of it."""
    notes: list[str] = []
    tree = walk(root, spellings(root, ()), _leave_out(root, root, True, notes, notes))
    directories |= tree.directories
    for entry in tree.entries:
        if entry.directory and entry.path in by_path:
            continue
        source = source_of(entry.path)
        if source is not None:
            kept = by_path.get(posixpath.dirname(entry.path))
            if kept is not None and not kept.directory:
                continue  # a file or link __pycache__, as some make to have no bytecode there
            beside = root / source if (root / source).is_file() else prefix / source
            entry.compiled_from = os.fspath(beside)
        by_path[entry.path] = entry
    owners.add(find_owners(root, {entry.path: None for entry in tree.entries if entry.source is not None}))
    return set(notes)


def _add_python_names(by_path: dict[str, Entry]) -> None:
    python = boot.find_python({path for path in by_path if path.startswith("bin/")})
    for name in ("bin/python", "bin/python3") if python else ():
        if name not in by_path and python is not None:
            by_path[name] = Entry(name, link=posixpath.basename(python), mode=0o777)


def _add_boot(
    prefix: Path, python: str | None, answer: bytes | None, files: Mapping[str, None], by_path: dict[str, Entry]
) -> boot.Boot | None:
    by_path["poncho/unpack.py"] = made_entry("poncho/unpack.py", runtime_file("unpack.py"))
    if python is None or answer is None:
        return None
    links = {path: entry.link for path, entry in by_path.items() if entry.link is not None}
    found = boot.understand(answer, prefix, python, files, links)
    if found is not None and found.files and found.deflate is not None:
        extension = f"poncho/{found.deflate.name}"
        by_path[extension] = made_entry(extension, found.deflate.read_bytes(), mode=0o755)
        by_path[_DEFLATE_LICENSE] = made_entry(_DEFLATE_LICENSE, runtime_file("LICENSE.deflate"))
    return found


def _files(by_path: Mapping[str, Entry]) -> dict[str, None]:
    # In the order in which they were found: to walk through it is many times faster than through a set of them.
    return {path: None for path, entry in by_path.items() if entry.source is not None}


def _classify(entries: Iterable[Entry], owners: Owners, booted: boot.Boot | None, files: Mapping[str, None]) -> None:
    needed = booted.files if booted is not None else frozenset[str]()
    groups = owners.groups
    recorded = {*owners.placeholders, *owners.texts, *owners.replaced}
    for entry in entries:
        path = entry.path
        # Most files are code of which no rule says anything.
        if entry.source is not None and (not path.endswith(CODE) or path in recorded or path.startswith("bin/")):
            rule_for(entry, owners)
            if entry.rule == "pyc" and "__pycache__/" not in path and entry.compiled not in files:
                entry.rule = ""  # a module that is delivered without its source
        if path in needed:
            entry.group = _BOOT
        elif path.startswith("poncho/") and ((needed and _UNPACKER.match(path)) or path.startswith(_DATA_DIRECTORY)):
            entry.group = _DATA if path.startswith(_DATA_DIRECTORY) else _BOOT
        elif entry.rule in _LATE:
            # A group for each, so that one which changes moves no boundary of another one.
            entry.group = (_RECORDS[0], path)
        elif entry.group is not _META:
            group = groups.get(path)
            if group is None and entry.rule == "pyc":
                group = groups.get(entry.compiled)
            entry.group = group or _NOBODY


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries by group, and in it by path; but a compiled file follows its source: both are needed to look at it."""
    groups: dict[tuple[int, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    return [entry for group in sorted(groups) for entry in sorted(groups[group], key=_order)]


def _order(entry: Entry) -> str:
    # No path has a NUL in it, and nothing comes before it.
    return f"{entry.compiled}\0{entry.path}" if entry.rule == "pyc" else entry.path


def check_variables(prefix: Path, data: Path | None, variables: Mapping[str, str]) -> None:
    """Raise BuildError for a variable that points to nothing in the package or out of it."""
    for name, path in variables.items():
        parts = path.strip("/").split("/")
        if ".." in parts or "\0" in path or path.startswith("/"):
            raise BuildError(f"{name}: {path} leads out of the package", hint="give a path relative to its root")
        inside = path.strip("/")
        if data is not None and (inside + "/").startswith(_DATA_DIRECTORY):
            where = data / inside[len(_DATA_DIRECTORY) :]
        else:
            where = prefix / inside
        if not os.path.lexists(where):
            raise BuildError(f"{name}: there is no {path} to point to", context={"variable": name})
