"""One task: 1,000 toy decays of a Z boson, their mean mass. The number of the task is the seed."""

import json
import sys

import numpy

seed = int(sys.argv[1])
masses = numpy.random.default_rng(seed).normal(91.2, 2.5, 1000)
print(json.dumps({"task": seed, "mean": round(float(masses.mean()), 3), "numpy": numpy.__file__}))
