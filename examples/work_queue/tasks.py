"""A manager of Work Queue in Python: 20 functions, sent as they are, run inside the package."""

import json
from pathlib import Path

import ndcctools.work_queue as work_queue


def mean_mass(seed):
    import numpy

    masses = numpy.random.default_rng(seed).normal(91.2, 2.5, 1000)
    return {"task": seed, "mean": round(float(masses.mean()), 3), "numpy": numpy.__file__}


queue = work_queue.WorkQueue(port=0)
queue.specify_password_file("password")
for seed in range(20):
    task = work_queue.PythonTask(mean_mass, seed)
    task.specify_environment("env.tar.gz")
    task.specify_cores(1)
    task.specify_memory(200)
    task.specify_disk(500)
    queue.submit(task)
Path("port").write_text(str(queue.port))
while not queue.empty():
    task = queue.wait(5)
    if task:
        print(json.dumps(task.output) if isinstance(task.output, dict) else task.std_output, flush=True)
