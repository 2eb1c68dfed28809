"""``task.sh``: what every job of every batch system runs; one task, or every n-th."""

from __future__ import annotations

import shlex
from pathlib import Path

from poncho._words import shown
from poncho.integrations.batch.model import INDEX, Job
from poncho.runner import RUNNER

TASK = "task.sh"

_HEAD = """\
#!/bin/sh
# {title}
{usage}
#   task.sh 0       become task 0
#   task.sh 0 10    tasks 0, 10, 20, … one after another: what the first of ten jobs does
#   task.sh         only unpack the package on this node
#
# Exit status: the task's own; of several, that of the last one that failed. 125: the environment could not be set up.
tasks={tasks}
package={package}
runner={runner}
"""

_SENT = """\
# A node that has a copy of its own says so.
package=${PONCHO_PACKAGE:-$package}
"""

_WORKDIR = """
# Where the tasks run, and their relative paths start.
cd -- {workdir} || exit 125
"""

# The runner trusts a store that PONCHO_STORE names; so this directory is looked at first, as /tmp belongs to everybody.
_NODE_STORE = """
# One unpacked package for each node and user: who comes first unpacks it, the others wait for that and use it. Not in the scratch
# directory that some sites make for each job and delete with it. It stays; poncho store prune, or rm -r, deletes it.
if [ -z "${PONCHO_STORE-}" ]; then
    store=/tmp/poncho-$(id -u)
    mkdir -m 700 "$store" 2>/dev/null
    # shellcheck disable=SC3067  # -O: dash, bash, ksh, zsh and busybox have it
    if [ -d "$store" ] && [ -O "$store" ] && [ ! -L "$store" ]; then
        PONCHO_STORE=$store
        export PONCHO_STORE
    fi
fi
"""

_NAMED_STORE = """
# Where each node keeps the package unpacked.
PONCHO_STORE={store}
export PONCHO_STORE
"""

_TAIL = """
become() {{ # INDEX
    index=$1
    exec /bin/sh "$runner" -e "$package" -- {command}
}}

case $# in
    0) exec /bin/sh "$runner" -e "$package" ;;
    1) become "$1" ;;
esac
status=0
next=$1
while [ "$next" -lt "$tasks" ]; do
    (become "$next") || {{
        status=$?
        echo "task $next: exit status $status" >&2
    }}
    next=$((next + $2))
done
exit "$status"
"""


def task_script(job: Job, *, travels: bool) -> str:
    """Return the text of ``task.sh``.

    ``travels``: package and runner are transferred, and lie beside the script on the node; else they are named by their paths.
    """
    # Nothing of it can leave the line of its comment.
    title = shown(f"{job.tasks} times: {shlex.join(job.command)}")
    if travels:
        package, runner = f"./{job.package.name}", f"./{RUNNER}"
        usage = "# Runs on the node, in the job's own directory, where the package and the runner lie beside it."
    else:
        package, runner = str(job.package), str(job.directory / RUNNER)
        usage = "# Try one task here before you submit: sh task.sh 0"
    parts = [_HEAD.format(title=title, usage=usage, tasks=job.tasks, package=quote(package), runner=quote(runner))]
    if job.nodes is not None:
        parts.append(_SENT)
    if not travels:
        parts.append(_WORKDIR.format(workdir=quote(str(job.workdir))))
    if job.store is not None:
        parts.append(_NAMED_STORE.format(store=quote(str(job.store))))
    elif not travels:
        parts.append(_NODE_STORE)
    parts.append(_TAIL.format(command=" ".join(map(_word, job.command))))
    return "".join(parts)


def task_words(job: Job, number: str) -> str:
    """Return the arguments of ``task.sh`` for the job with that number: itself, and the step when it has several tasks."""
    return number if job.width == job.tasks else f"{number} {job.width}"


def task_path(directory: Path) -> str:
    """Return the path of ``task.sh`` as a word of a shell."""
    return quote(str(directory / TASK))


def quote(text: str) -> str:
    """Return text as one word of any POSIX shell."""
    return shlex.quote(text)


def _word(word: str) -> str:
    parts = [quote(part) if part else "" for part in word.split(INDEX)]
    return '"$index"'.join(parts) or "''"
