"""Record what a Python process loads, for ``poncho trace``. Runs in the traced program: any Python 3.6 or newer.

Found through PYTHONPATH, so that processes which the program starts are recorded too. Each process appends lines of
JSON to a file of its own in $PONCHO_TRACE_TO; what goes wrong here never reaches the program.

Lines: ``{"start": …}`` once; ``{"load": [file, importer, line]}`` for each module's file below the environment;
``{"data": path}``, ``{"run": program}``; at the end ``{"end": {"modules": {name: file}, "libraries": [path]}}``.
"""

import atexit
import json
import os
import sys
import time
from collections import deque

_TO = os.environ.get("PONCHO_TRACE_TO", "")
_HERE = os.path.dirname(os.path.abspath(__file__))
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SITES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn")
_FLUSH = 64
_real_exit = os._exit


def _roots():
    """Return the beginnings of all paths that belong to the environment."""
    found = {os.path.join(prefix, "") for prefix in (sys.prefix, sys.base_prefix) if prefix not in ("/usr", "/usr/local", "/")}
    found.add(_STANDARD)
    for entry in sys.path:
        if any((entry + os.sep).endswith(site) for site in _SITES):
            found.add(os.path.join(os.path.abspath(entry), ""))
    return tuple(found)


class _Recorder:
    def __init__(self):
        self.roots = _roots()
        self.seen = set()
        self.begin(frozenset())

    def begin(self, inherited):
        """Start the record of this process; ``inherited`` are modules that a parent's record has."""
        self.lines = deque()
        self.inherited = inherited
        self.ended = False
        self.path = os.path.join(_TO, "%d-%d.jsonl" % (os.getpid(), time.time() * 1e9))
        self.say(
            "start",
            {
                "prefix": sys.prefix,
                "base_prefix": sys.base_prefix,
                "version": ".".join(map(str, sys.version_info[:3])),
                "standard": _STANDARD,
                "forked": bool(inherited),
                "cwd": _cwd(),
                "path": os.environ.get("PATH", ""),
            },
        )

    def say(self, kind, value):
        self.lines.append(json.dumps({kind: value}))
        if len(self.lines) >= _FLUSH:
            self.flush()

    def flush(self):
        lines = []
        while self.lines:
            lines.append(self.lines.popleft())
        if lines:
            # Opened anew each time: a program that closes all descriptors must not make this write into its files.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                os.write(descriptor, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
            finally:
                os.close(descriptor)

    def hook(self, event, args):
        """Take an audit event (PEP 578)."""
        try:
            if event == "open":
                path = args[0]
                if type(path) is str and path.startswith(self.roots) and path not in self.seen:
                    self.opened(path)
            elif event == "import":
                path = args[1]  # of an extension module; None for others, which open their file
                if path and path not in self.seen:
                    self.opened(path)
            elif event in _STARTS:
                self.started(event, args)
        except Exception:
            pass

    def opened(self, path):
        self.seen.add(path)
        if path.endswith((".pyc", ".py", ".so")):
            importer, line = _importer()
            # Without an importer it is no import: a library that is opened, a source that a traceback shows.
            if importer:
                self.say("load", [path, importer, line])
                # What the program itself imports is on disk at once: it may be killed.
                if not any(site in importer for site in _SITES):
                    self.flush()
                return
        if not path.endswith((".pyc", ".py", ".pth", "pyvenv.cfg", os.sep)) and not os.path.isdir(path):
            self.say("data", path)

    def started(self, event, args):
        program = args[0]
        if not program and len(args) > 1 and args[1]:
            program = args[1] if isinstance(args[1], str) else args[1][0]
        program = os.fsdecode(program)
        if program not in self.seen:
            self.seen.add(program)
            self.say("run", program)
        self.flush()
        if event == "os.exec":
            self.end()
            self.ended = False  # it may fail, and then the program goes on

    def end(self):
        """Write what is loaded now, once."""
        if self.ended:
            return
        self.ended = True
        try:
            modules = {}
            for name, module in list(sys.modules.items()):
                if name in self.inherited or name == "sitecustomize":
                    continue
                try:
                    file = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None)
                except Exception:
                    continue
                if isinstance(file, str) and isinstance(name, str):
                    modules[name] = file
            self.say("end", {"modules": modules, "libraries": self.libraries()})
            self.flush()
        except Exception:
            pass

    def libraries(self):
        """Return the shared libraries below the environment that are mapped."""
        found = set()
        try:
            with open("/proc/self/maps", errors="surrogateescape") as stream:
                for row in stream:
                    path = row[row.find("/") :].rstrip("\n") if "/" in row else ""
                    if ".so" in path and path.startswith(self.roots):
                        found.add(path)
        except OSError:
            pass
        return sorted(found)


def _importer():
    """Return file and line of the code that asks for the import which is under way; nothing where there is none."""
    frame = sys._getframe(3)
    importing = False
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen "):
            importing = importing or "importlib" in file
        elif not (file.startswith(_STANDARD) and not any(site in file for site in _SITES)):
            return (file, frame.f_lineno) if importing else ("", 0)
        frame = frame.f_back
    return (_STANDARD if importing else ""), 0


def _cwd():
    try:
        return os.getcwd()
    except OSError:
        return ""


def _start():
    recorder = _Recorder()

    def exit_now(*args, **options):
        recorder.end()
        _real_exit(*args, **options)

    def in_child():
        try:
            recorder.begin(frozenset(sys.modules))
        except Exception:
            pass

    # Registered first, so run last: what other handlers import is seen.
    atexit.register(recorder.end)
    os._exit = exit_now
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(recorder.hook)
    recorder.flush()


def _chain():
    """Run the sitecustomize that this one stands before."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if _TO:
    try:
        _start()
    except Exception:
        pass
_chain()
