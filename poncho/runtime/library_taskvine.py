"""Serve functions to a TaskVine worker: one call each in a child process ("fork") or in this one ("direct").

Needs Python 3.6 and cloudpickle. What the worker says and expects (cctools: taskvine/src/worker/vine_process.c,
check_library_startup in vine_worker.c):

    from the worker, on --in-pipe-fd    LENGTH newline, then  TASK FUNCTION SANDBOX OUTPUT
    to the worker, on --out-pipe-fd     LENGTH newline, then  {"name": ..., "taskid": ..., "exec_mode": ...}   once: ready
                                        LENGTH newline, then  TASK STATUS                                      for each call

Every message goes out by one write, because the worker reads without waiting, and is followed by SIGCHLD to
--worker-pid, which ends its sleep. In the directory SANDBOX, `infile` is a pickled {"fn_args", "fn_kwargs"}, and the
manager wants `outfile`: a pickled {"Success", "Result", "Reason"}. An argument {"VineFutureFile": name} (futures.py)
stands for the outcome in that file. What a function prints goes to the file OUTPUT.
A function that raises is a call that worked (status 0): the reason is in `outfile`.
"""

import argparse
import importlib
import importlib.util
import json
import os
import pickle
import select
import signal
import sys
import traceback
import types

import cloudpickle

STATE_MODULE = "ndcctools.taskvine.utils"
THREADS = ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")
SECONDS_BETWEEN_LOOKS = 5


class Library:
    """A name, functions by name, how calls run, and the values that calls share."""

    def __init__(self, name, functions, exec_mode="fork"):
        self.name = name
        self.functions = functions
        self.exec_mode = exec_mode


def load_library(path):
    """Return the library in a file that PONCHO made: pickled bytes for each function, so that one can be named on failure."""
    with open(path, "rb") as stream:
        info = pickle.load(stream)
    stand_in_for_taskvine()
    if info["context"] is not None:
        share_context(info["context"])
    functions = {}
    for name, pickled in info["functions"].items():
        try:
            functions[name] = pickle.loads(pickled)
        except Exception as error:
            raise SystemExit("function {!r} cannot be loaded: {}: {}".format(name, type(error).__name__, error))
    return Library(info["name"], functions, info["exec_mode"])


def stand_in_for_taskvine():
    """Give functions their load_variable_from_library where TaskVine's own modules are not installed."""
    if importlib.util.find_spec("ndcctools") is not None:
        return
    parent = None
    parts = STATE_MODULE.split(".")
    for end in range(1, len(parts) + 1):
        module = types.ModuleType(".".join(parts[:end]))
        module.__path__ = []
        sys.modules[module.__name__] = module
        if parent is not None:
            setattr(parent, parts[end - 1], module)
        parent = module
    values = vars(parent)
    parent.load_variable_from_library = lambda name: values[name]


def share_context(pickled):
    """Run the library's set-up function once; calls find what it returns by load_variable_from_library."""
    function, args, kwargs = pickle.loads(pickled)
    values = function(*args, **kwargs)
    if not isinstance(values, dict):
        raise SystemExit("the library's context function must return a dictionary, not {}".format(type(values).__name__))
    vars(importlib.import_module(STATE_MODULE)).update(values)


def limit_threads(cores, slots):
    """Divide the cores among the calls that run at once; a number of threads that the user has set stays."""
    if cores < 1 or slots < 1:
        return
    share = max(1, cores // slots)
    for name in THREADS:
        variable = name + "_NUM_THREADS"
        if os.environ.get(variable, str(cores)) == str(cores):
            os.environ[variable] = str(share)
    if os.environ["OMP_NUM_THREADS"] == str(share) and importlib.util.find_spec("threadpoolctl"):
        # For libraries that are loaded already, and so have read the variables.
        importlib.import_module("threadpoolctl").threadpool_limits(limits=share)


def lead_group(worker_pid):
    """Become the leader of a process group, if the worker has not made us one.

    It ends a library by a signal to the group of its child, and waits. But it makes that group after the fork, when the
    child may have called exec already: then that fails, and the worker would wait for ever.
    """
    if os.getppid() == worker_pid and os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


class Call:
    """One request of the worker."""

    def __init__(self, message):
        task, self.function, places = message.split(" ", 2)
        self.task = int(task)
        # Two paths with one space between them; the second lies in the first, which tells paths with spaces apart.
        cut = places.find(" ")
        while not places[cut + 1 :].startswith(places[:cut] + "/"):
            cut = places.find(" ", cut + 1)
            if cut < 0:
                raise ValueError("not a call: {!r}".format(message))
        self.sandbox, self.output = places[:cut], places[cut + 1 :]


class Worker:
    """The worker at the other end of two pipes."""

    def __init__(self, in_fd, out_fd, pid):
        self.in_fd = in_fd
        self._out_fd = out_fd
        self._pid = pid
        self._bytes = b""
        for fd in (in_fd, out_fd):
            os.set_inheritable(fd, False)

    def receive(self):
        """Return the calls that have come, or None when the worker has gone. Waits for the first byte."""
        data = os.read(self.in_fd, 1 << 16)
        if not data:
            return None
        self._bytes += data
        calls = []
        while True:
            length, newline, rest = self._bytes.partition(b"\n")
            if not newline or len(rest) < int(length):
                return calls
            calls.append(Call(os.fsdecode(rest[: int(length)])))
            self._bytes = rest[int(length) :]

    def send(self, text):
        data = text.encode()
        os.write(self._out_fd, b"%d\n%s" % (len(data), data))
        try:
            os.kill(self._pid, signal.SIGCHLD)
        except OSError:
            pass

    def leave_to_parent(self):
        """Close the pipes in a child: they are the library's."""
        os.close(self.in_fd)
        os.close(self._out_fd)


def argument_of(value):
    """Return an argument; {"VineFutureFile": name} stands for what an earlier task left in that file."""
    if not isinstance(value, dict) or set(value) != {"VineFutureFile"}:
        return value
    with open(value["VineFutureFile"], "rb") as stream:
        found = cloudpickle.load(stream)
    if not isinstance(found, dict) or set(found) != {"Success", "Result", "Reason"}:
        return found
    if not found["Success"]:
        raise ValueError("an argument could not be computed: {}".format(found["Reason"]))
    return found["Result"]


def call_function(library, call):
    """Run one call in its sandbox and write its `outfile`."""
    os.chdir(call.sandbox)
    try:
        with open("infile", "rb") as stream:
            event = cloudpickle.load(stream)
        if call.function not in library.functions:
            known = ", ".join(sorted(library.functions))
            raise LookupError("library {!r} has no function {!r}; it has: {}".format(library.name, call.function, known))
        args = [argument_of(value) for value in event["fn_args"]]
        result = library.functions[call.function](*args, **event["fn_kwargs"])
        outcome = cloudpickle.dumps({"Success": True, "Result": result, "Reason": None})
    except (Exception, SystemExit) as error:
        reason = "".join(traceback.format_exception(type(error), error, error.__traceback__.tb_next))
        outcome = cloudpickle.dumps({"Success": False, "Result": None, "Reason": reason})
    with open("outfile", "wb") as stream:
        stream.write(outcome)


def print_to(path):
    """Send standard output and error to a file; return descriptors of where they went before."""
    flush()
    before = os.dup(1), os.dup(2)
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    return before


def print_back(before):
    flush()
    for target, fd in zip((1, 2), before):
        os.dup2(fd, target)
        os.close(fd)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def serve_direct(library, worker, parent):
    """Run calls here, one after the other."""
    home = os.getcwd()
    while True:
        if not select.select([worker.in_fd], [], [], SECONDS_BETWEEN_LOOKS)[0]:
            if os.getppid() != parent:
                return
            continue
        calls = worker.receive()
        if calls is None:
            return
        for call in calls:
            status = 0
            before = print_to(call.output)
            try:
                call_function(library, call)
            except Exception:
                traceback.print_exc()
                status = 1
            finally:
                print_back(before)
                os.chdir(home)
            worker.send("{} {}".format(call.task, status))


def serve_fork(library, worker, parent):
    """Run each call in a child, as many at once as the worker asks for."""
    wake, woken = os.pipe()
    for fd in (wake, woken):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken)
    running = {}
    try:
        while os.getppid() == parent:
            ready = select.select([worker.in_fd, wake], [], [], SECONDS_BETWEEN_LOOKS)[0]
            if wake in ready:
                os.read(wake, 1 << 12)
            for pid in list(running):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else os.WTERMSIG(status)
                    worker.send("{} {}".format(running.pop(pid), code))
            if worker.in_fd in ready:
                calls = worker.receive()
                if calls is None:
                    return
                for call in calls:
                    running[start_child(library, worker, call)] = call.task
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


def start_child(library, worker, call):
    flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.leave_to_parent()
        print_to(call.output)
        call_function(library, call)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        flush()
        os._exit(status)


def main(library, functions=None, arguments=None):
    """Serve ``functions`` (by name) as the library of that name, or those of the file ``library``, until the worker goes."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(description="Serve functions to a TaskVine worker, which starts this program.")
    for option in ("--in-pipe-fd", "--out-pipe-fd", "--task-id", "--worker-pid"):
        parser.add_argument(option, type=int, required=True, metavar="N")
    for option in ("--library-cores", "--function-slots"):
        parser.add_argument(option, type=int, default=0, metavar="N")
    # Later workers may say more.
    options = parser.parse_known_args(arguments)[0]
    lead_group(options.worker_pid)
    worker = Worker(options.in_pipe_fd, options.out_pipe_fd, options.worker_pid)
    library = load_library(library) if functions is None else Library(library, functions)
    direct = library.exec_mode == "direct"
    limit_threads(options.library_cores, 1 if direct else options.function_slots)
    ready = {"name": library.name, "taskid": options.task_id, "exec_mode": library.exec_mode}
    try:
        worker.send(json.dumps(ready))
        (serve_direct if direct else serve_fork)(library, worker, parent)
    except BrokenPipeError:
        pass
