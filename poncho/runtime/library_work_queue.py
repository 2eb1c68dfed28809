"""Serve functions to a Work Queue worker, as its coprocess. Needs Python 3.6 and nothing else.

What the worker says and expects (cctools: work_queue/src/work_queue_coprocess.c, work_queue_process.c):

    to the worker, on standard output      LENGTH newline, then  {"name": ..., "port": ...}        once: ready
    from the worker, to 127.0.0.1:port     FUNCTION TASK LENGTH newline, then  {"fn_args", "fn_kwargs", "remote_task_exec_method"}
    to the worker, on that connection      LENGTH newline, then  {"Result": ..., "StatusCode": 200 or 500}

The task's files lie in t.TASK, beside where the worker started us. Nobody reads standard output after the first
message, so what functions print goes to standard error.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import traceback

SECONDS_BETWEEN_LOOKS = 5


def run(function, event):
    """Call a function with what the task holds; return the response as bytes."""
    try:
        result = function(*event.get("fn_args", ()), **event.get("fn_kwargs", {}))
        return json.dumps({"Result": result, "StatusCode": 200}).encode()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return failure("{}: {}".format(type(error).__name__, error))


def failure(text):
    return json.dumps({"Result": text, "StatusCode": 500}).encode()


def run_in_thread(function, event):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(run(function, event)))
    thread.start()
    thread.join()
    return answers[0]


def run_in_child(function, event):
    """Call a function in a child process: what it leaks or breaks goes with it."""
    receive, send = os.pipe()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            with os.fdopen(send, "wb") as stream:
                stream.write(run(function, event))
            sys.stderr.flush()
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        answer = stream.read()
    status = os.waitpid(pid, 0)[1]
    if answer:
        return answer
    if os.WIFSIGNALED(status):
        return failure("the function was killed by signal {}".format(os.WTERMSIG(status)))
    return failure("the function ended its process with status {}".format(os.WEXITSTATUS(status)))


METHODS = {"direct": run, "thread": run_in_thread, "fork": run_in_child}


def answer_call(functions, name, task, text):
    """Return the response to one call, made in the task's own directory where there is one."""
    function = functions.get(name)
    if function is None:
        return failure("no function {!r} here; there are: {}".format(name, ", ".join(sorted(functions))))
    try:
        event = json.loads(text)
        method = METHODS[event.get("remote_task_exec_method", "fork")]
    except (ValueError, AttributeError, KeyError) as error:
        return failure("the task's input cannot be used: {}: {}".format(type(error).__name__, error))
    home = os.getcwd()
    sandbox = os.path.join(home, "t." + task)
    try:
        if os.path.isdir(sandbox):
            os.chdir(sandbox)
        return method(function, event)
    finally:
        os.chdir(home)


def serve_connection(functions, connection):
    """Answer calls until the worker closes the connection."""
    with connection, connection.makefile("rb") as stream:
        while True:
            header = stream.readline().split()
            if len(header) != 3:
                return
            name, task, length = (word.decode() for word in header)
            text = stream.read(int(length))
            if len(text) < int(length):
                return
            answer = answer_call(functions, name, task, text)
            connection.sendall(b"%d\n%s" % (len(answer), answer))


def main(name, functions):
    """Serve ``functions`` (by name) as the coprocess ``name`` until the worker goes."""
    parent = os.getppid()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        ready = json.dumps({"name": name, "port": listener.getsockname()[1]}).encode()
        os.write(1, b"%d\n%s" % (len(ready), ready))
        os.dup2(2, 1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Standard input comes from the worker: when it ends, so does the worker.
        watched = [listener, 0]
        while os.getppid() == parent:
            readable = select.select(watched, [], [], SECONDS_BETWEEN_LOOKS)[0]
            if 0 in readable and not os.read(0, 1 << 12):
                return
            if listener in readable:
                try:
                    serve_connection(functions, listener.accept()[0])
                except (OSError, ValueError):
                    traceback.print_exc()
