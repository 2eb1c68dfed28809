"""Import modules and load a function in a fresh process of an environment; say what failed and what was loaded.

python function_probe.py JOB RESULT: two JSON files. Runs on any Python 3; needs nothing. Never copied into a package.
"""

import base64
import importlib
import json
import os
import re
import sys


def imported(name):
    """Import a.b.c, of which the last parts may be attributes; return what is wrong, or None."""
    parts = name.split(".")
    try:
        value = importlib.import_module(parts[0])
        for depth in range(1, len(parts)):
            if hasattr(value, parts[depth]):
                value = getattr(value, parts[depth])
            else:
                value = importlib.import_module(".".join(parts[: depth + 1]))
    except BaseException as error:
        return words(error)
    return None


def words(error):
    return "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:500])


def pickler(job):
    """Return cloudpickle and where it comes from: the environment, else the copy that the caller lends."""
    try:
        return importlib.import_module("cloudpickle"), "environment"
    except ImportError:
        sys.path.append(job["lent"])
        return importlib.import_module("cloudpickle"), "lent"


def load(job, result):
    here = list(sys.version_info[:2])
    if job.get("pickle") is not None:
        if here != job["python"]:
            return "pickled by Python %d.%d, and this is %d.%d" % (tuple(job["python"]) + tuple(here))
        try:
            pickle, result["cloudpickle"] = pickler(job)
            pickle.loads(base64.b64decode(job["pickle"]))
        except BaseException as error:
            return words(error)
    elif job.get("code") is not None:
        space = {"__name__": "__poncho_function__"}
        sys.modules["__poncho_function__"] = type(sys)("__poncho_function__")
        space = sys.modules["__poncho_function__"].__dict__
        try:
            exec(compile(job["code"], "<function>", "exec", dont_inherit=True), space)
            for name in job["names"]:
                value = space[name.split(".")[0]]
                for part in name.split(".")[1:]:
                    if part == "<locals>" or not isinstance(value, type):
                        break
                    value = getattr(value, part)
        except BaseException as error:
            return words(error)
    return None


def owners():
    """Return {file below the prefix: (name, version, manager)} of all that is installed."""
    found = {}
    for directory in sys.path:
        try:
            entries = os.listdir(directory)
        except OSError:
            continue
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")):
                continue
            name, version = distribution(os.path.join(directory, entry))
            for listing in ("RECORD", "installed-files.txt"):
                for line in text(os.path.join(directory, entry, listing)).splitlines():
                    file = line.rsplit(",", 2)[0] if listing == "RECORD" else os.path.join(entry, line)
                    path = os.path.normpath(os.path.join(directory, file.strip('"')))
                    found[path] = (name, version, "pip")
    meta = os.path.join(sys.prefix, "conda-meta")
    for entry in os.listdir(meta) if os.path.isdir(meta) else ():
        if entry.endswith(".json"):
            record = json.loads(text(os.path.join(meta, entry)) or "{}")
            for file in record.get("files", ()):
                found[os.path.join(sys.prefix, file)] = (record["name"], record["version"], "conda")
    return found


def distribution(path):
    head = text(os.path.join(path, "METADATA")) or text(os.path.join(path, "PKG-INFO"))
    fields = dict(re.findall(r"(?m)^(Name|Version): *(.*?) *$", head.split("\n\n")[0]))
    return fields.get("Name", os.path.basename(path)), fields.get("Version", "")


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def loaded(before):
    known = owners()
    found = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in before or not isinstance(file, str):
            continue
        owner = known.get(os.path.normpath(file))
        if owner is not None and owner[0] != "python":
            found.setdefault(owner, set()).add(str(getattr(module, "__name__", name)).split(".")[0])
    return [
        {"name": name, "version": version, "manager": manager, "modules": sorted(tops)}
        for (name, version, manager), tops in sorted(found.items())
    ]


def main(job_file, result_file):
    job = json.loads(text(job_file))
    before = set(sys.modules)
    result = {"python": ".".join(map(str, sys.version_info[:3])), "cloudpickle": None, "prefix": sys.prefix}
    # The function first, as it will be on a node: what it needs must come by itself.
    result["function"] = load(job, result)
    result["imports"] = {name: imported(name) for name in job["imports"]}
    result["loaded"] = loaded(before)
    with open(result_file, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
    # What was imported may have started threads that never end.
    sys.stdout.flush()
    os._exit(0)
