"""Run a command and record what its Python processes load: PYTHONPATH leads them to the recorder.

The recorder (``poncho/runtime/trace/sitecustomize.py``) writes lines of JSON, one file for each process; here they
become a Trace. Processes of another environment than the first one's are left out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poncho import _json
from poncho._redact import redact
from poncho.analysis.model import Place
from poncho.analysis.trace import Loaded, Trace
from poncho.errors import AnalysisError

_RECORDER = Path(__file__).parent.with_name("runtime") / "trace" / "sitecustomize.py"
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PATIENCE = 0.5
_SITES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(slots=True)
class _Process:
    """One process's record."""

    start: dict[str, Any]
    loads: list[tuple[str, str, int]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    ended: bool = False


def trace(command: Sequence[str], environ: Mapping[str, str]) -> tuple[int, Trace | None]:
    """Run a command with its streams as they are; return its exit status (128+n for a signal) and what was recorded.

    No Trace: no Python process was recorded. Raises AnalysisError when the command cannot be started: its
    ``context["status"]`` is 127 or 126.
    """
    with TemporaryDirectory(prefix="poncho-trace-") as private:
        recorder, records = Path(private, "recorder"), Path(private, "records")
        recorder.mkdir()
        records.mkdir()
        try:
            shutil.copyfile(_RECORDER, recorder / "sitecustomize.py")
        except OSError as error:
            raise AnalysisError(
                f"{_RECORDER.name} is missing from this installation of PONCHO", hint="install PONCHO again"
            ) from error
        paths = [str(recorder), *([environ["PYTHONPATH"]] if environ.get("PYTHONPATH") else [])]
        child = {**environ, "PYTHONPATH": os.pathsep.join(paths), "PONCHO_TRACE_TO": str(records)}
        status = _run(command, child)
        _wait_for_the_last(records)
        processes = [one for file in sorted(records.iterdir()) if (one := _read(file))]
    return status, _traced(command, status, processes) if processes else None


def _wait_for_the_last(records: Path) -> None:
    """Give helpers that end with the program (those of multiprocessing) the time to say so."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if not any(_is_running(file) and b'{"end":' not in file.read_bytes() for file in records.iterdir()):
            return
        time.sleep(0.02)


def _is_running(record: Path) -> bool:
    try:
        os.kill(int(record.name.partition("-")[0]), 0)
    except (OSError, ValueError):
        return False
    return True


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    with _signals() as children:
        try:
            # The caller's own process group and descriptors: the program must not notice.
            child = subprocess.Popen(list(command), env=environ, close_fds=False)
        except FileNotFoundError as error:
            hint = (
                f"a file of that name is here: poncho trace -- python {command[0]}"
                if os.path.isfile(command[0])
                else None
            )
            raise AnalysisError(f"{command[0]}: not found", hint=hint, context={"status": 127}) from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise AnalysisError(f"{command[0]}: cannot be run: {why}", context={"status": 126}) from error
        children.append(child)
        status = child.wait()
    return 128 - status if status < 0 else status


@contextmanager
def _signals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Leave the keyboard's signals to the program, which gets them too, and pass the others on."""
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: Any) -> None:
        for child in children:
            child.send_signal(number)

    def keep_on(number: int, frame: Any) -> None:
        """Not SIG_IGN: that the program would inherit."""

    before = {number: signal.signal(number, keep_on) for number in (signal.SIGINT, signal.SIGQUIT)}
    before |= {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(file: Path) -> _Process | None:
    """Return one process's record; a last line that was cut off is left out."""
    process: _Process | None = None
    for line in file.read_text("utf-8", "surrogateescape").splitlines():
        try:
            (kind, value), *_ = _json.loads(line).items()
        except (ValueError, AttributeError):
            continue
        if kind == "start":
            process = _Process(value)
        elif process is None:
            continue
        elif kind == "load":
            process.loads.append(tuple(value))
        elif kind == "data":
            process.data.append(value)
        elif kind == "run":
            process.programs.append(value)
        elif kind == "end":
            process.modules, process.libraries, process.ended = value["modules"], value["libraries"], True
    return process


def _traced(command: Sequence[str], status: int, processes: list[_Process]) -> Trace:
    processes.sort(key=lambda one: bool(one.start["forked"]))
    start = processes[0].start
    prefix, standard = start["prefix"], start["standard"]
    same = [one for one in processes if one.start["prefix"] == prefix]
    importers: dict[str, tuple[str, int]] = {}
    modules: dict[str, str] = {}
    for process in same:
        for path, importer, line in process.loads:
            importers.setdefault(_source(path), (importer, line))
        modules.update(process.modules)
        if not process.ended:
            modules.update(_from_files(process, {*modules.values()}))
    loaded = [
        Loaded(name, file, _by(importers.get(_source(file)), standard))
        for name, file in sorted(modules.items())
        if name not in ("__main__", "__mp_main__") and os.path.isabs(file) and not _is_standard(file, standard)
    ]
    extensions = {one.file for one in loaded} | set(modules.values())
    libraries = {path for process in same for path in process.libraries}
    opened = {path for process in same for path in process.data}
    libraries |= {path for path in opened if ".so" in os.path.basename(path)}
    return Trace(
        tuple(redact(word) for word in command),
        status,
        Path(prefix),
        start["version"],
        len(processes),
        sum(not one.ended for one in same),
        tuple(loaded),
        tuple(sorted(path for path in libraries - extensions if not _is_standard(path, standard))),
        tuple(sorted(path for path in opened - libraries if not _is_standard(path, standard))),
        tuple(
            sorted(
                {found for one in same for program in one.programs if (found := _program(program, one.start, prefix))}
            )
        ),
    )


def _source(path: str) -> str:
    """Return the source file that a cached bytecode file (PEP 3147) stands for."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == "__pycache__":
        return os.path.join(os.path.dirname(folder), name.split(".")[0] + ".py")
    return path


def _from_files(process: _Process, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the modules that a process without a last word had loaded, as their files tell."""
    for path, _, _ in process.loads:
        file = _source(path)
        site = next((site for site in _SITES if site in file), None)
        if site is None or file in known:
            continue
        parts = file.partition(site)[2].split(os.sep)
        parts[-1] = parts[-1].split(".")[0]
        name = ".".join(parts).removesuffix(".__init__")
        if all(part.isidentifier() for part in name.split(".")):
            yield name, file


def _by(importer: tuple[str, int] | None, standard: str) -> Place | None:
    if importer is None or importer[0] == standard:
        return None
    return Place(importer[0], importer[1])


def _is_standard(path: str, standard: str) -> bool:
    return path.startswith(standard) and not any(site in path for site in _SITES)


def _program(program: str, start: Mapping[str, Any], prefix: str) -> str | None:
    """Return the path of a started program if it lies below the environment; an interpreter is none."""
    path = program if os.sep in program else shutil.which(program, path=start["path"])
    if path is None:
        return None
    path = os.path.normpath(os.path.join(start["cwd"], path))
    is_python = os.path.basename(path).startswith("python")
    return path if path.startswith(os.path.join(prefix, "")) and not is_python else None
