"""Compile a prefix's Python files once, so that no node does it again and the bytes are always the same.

The .pyc files are "unchecked hash-based" (PEP 552): they hold no time, and the interpreter never compares them with the
source.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.engine.pip_tools import clean_environment, run_tool
from poncho.install.distributions import site_packages

# Runs in the prefix's own Python (3.7 or later): only it writes its own bytecode.
#
# marshal marks each object that is referred to from elsewhere in the process, so what a file compiles to depends on
# what is in memory by then (bpo-34093). Hence one fresh child for each directory, all of them copies of the same
# parent, files sorted: other directories and their order make no difference. The name in the code is relative to the
# prefix; on import the interpreter puts the real one in its place.
_COMPILER = r"""
import gc, importlib.util, marshal, os, sys, warnings
prefix, jobs, *roots = sys.argv[1:]
needle, magic, tag = os.fsencode(prefix), importlib.util.MAGIC_NUMBER, sys.implementation.cache_tag
warnings.simplefilter("ignore")
gc.disable()

def compile_directory(directory, names):
    for name in names:
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as stream:
                source = stream.read()
            if needle in source:
                continue
            code = compile(source, os.path.relpath(path, prefix), "exec", dont_inherit=True)
            data = magic + b"\1\0\0\0" + importlib.util.source_hash(source) + marshal.dumps(code)
            cache = os.path.join(directory, "__pycache__")
            os.makedirs(cache, exist_ok=True)
            target = os.path.join(cache, name[:-2] + tag + ".pyc")
            temporary = target + ".tmp"
            with open(temporary, "wb") as stream:
                stream.write(data)
            os.replace(temporary, target)
        except Exception:
            continue

running = 0
total = 0
for root in roots:
    for directory, children, files in os.walk(root):
        children[:] = sorted(name for name in children if name != "__pycache__")
        names = sorted(name for name in files if name.endswith(".py"))
        if not names:
            continue
        total += len(names)
        if running >= int(jobs):
            os.wait()
            running -= 1
        if os.fork() == 0:
            try:
                compile_directory(directory, names)
            finally:
                os._exit(0)
        running += 1
while running:
    os.wait()
    running -= 1
print(total)
"""


def compile_bytecode(
    prefix: Path,
    *,
    reporter: Reporter = silent,
    jobs: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Compile the standard library and site-packages of ``prefix`` and return how many source files were looked at.

    Files that do not compile are passed over: packages ship templates, and tests of syntax errors. So are those that
    hold the prefix itself, as their text changes when the package is relocated. Existing .pyc files are replaced.
    ``jobs`` None means one per processor. Raises BuildError when the prefix's Python cannot be run.
    """
    python = prefix / "bin" / "python"
    roots = [path.parent for path in site_packages(prefix)] or sorted(prefix.glob("lib/python3.*"))
    if not python.exists() or not roots:
        return 0
    env = clean_environment(os.environ if environ is None else environ)
    # The order of a set constant, and so the bytecode, depends on the seed.
    env["PYTHONHASHSEED"] = "0"
    version = run_tool(
        [str(python), "-S", "-E", "-c", "import sys; print(list(sys.version_info[:2]))"], env=env, step="run Python"
    )
    if json.loads(version.stdout) < [3, 7]:
        reporter(Event("info", "compile", "this Python writes no relocatable bytecode: nothing is compiled"))
        return 0
    reporter(Event("start", "compile", "compiling Python files"))
    # Not -I: it would ignore PYTHONHASHSEED.
    jobs = jobs or os.cpu_count() or 1
    argv = [str(python), "-S", "-s", "-B", "-c", _COMPILER, str(prefix), str(jobs), *map(str, roots)]
    # In the prefix: what lies in the caller's directory must not be imported instead of the standard library.
    answer = run_tool(argv, env=env, step="compile the Python files", cwd=prefix)
    count = int(answer.stdout.split()[-1])
    reporter(Event("done", "compile", f"{count} Python files", done=count, total=count, unit="files"))
    return count
