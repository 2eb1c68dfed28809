"""A manager of TaskVine: 20 functions, sent as they are, run inside the package; the worker unpacks it once, in its cache."""

import json
from pathlib import Path

import ndcctools.taskvine as vine


def mean_mass(seed):
    import numpy

    masses = numpy.random.default_rng(seed).normal(91.2, 2.5, 1000)
    return {"task": seed, "mean": round(float(masses.mean()), 3), "numpy": numpy.__file__}


manager = vine.Manager(port=0)
manager.set_password_file("password")
environment = manager.declare_poncho("env.tar.gz", cache=True, peer_transfer=True)
for seed in range(20):
    task = vine.PythonTask(mean_mass, seed)
    task.add_environment(environment)
    task.set_cores(1)
    task.set_memory(200)
    task.set_disk(500)
    manager.submit(task)
Path("port").write_text(str(manager.port))
while not manager.empty():
    task = manager.wait(5)
    if task:
        print(json.dumps(task.output) if isinstance(task.output, dict) else task.std_output, flush=True)
