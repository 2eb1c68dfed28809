"""The mass of the Z from simulated muon pairs: many tasks that need numpy, one that needs scipy, a machine that has neither.

Each app gets a package of what it imports itself, built once; Parsl's workers run inside.
"""

import argparse
import sys
from pathlib import Path

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from poncho.integrations.parsl import PackagedApps

EDGES = [60 + index for index in range(61)]
apps = PackagedApps()


@apps.python_app(pack=True)
def selected_masses(run, events, edges):
    """Simulate one run of Z -> mu mu with a detector, select, and return the histogram of the pairs' masses (GeV)."""
    import numpy as np

    random = np.random.default_rng(run)
    mass = 91.1876 + 1.2476 * random.standard_cauchy(events)  # a Breit-Wigner of half the Z's width
    mass = mass[(mass > 50) & (mass < 130)]
    # The decay in the Z's rest frame, then the boost along the beam.
    cosine, phi = random.uniform(-1, 1, mass.size), random.uniform(-np.pi, np.pi, mass.size)
    eta_z = random.normal(0, 1.2, mass.size)
    sine, energy = np.sqrt(1 - cosine**2), mass / 2
    pt = energy * sine
    pairs = []
    for sign in (1, -1):
        pz = sign * energy * cosine
        boosted = np.cosh(eta_z) * pz + np.sinh(eta_z) * energy
        smeared = pt * random.normal(1, 0.015, mass.size)  # the detector's momentum resolution
        pairs.append((smeared, np.arcsinh(boosted / pt), phi + (sign < 0) * np.pi))
    (pt1, eta1, phi1), (pt2, eta2, phi2) = pairs
    accepted = (pt1 > 25) & (pt2 > 25) & (np.abs(eta1) < 2.4) & (np.abs(eta2) < 2.4)
    measured = np.sqrt(2 * pt1 * pt2 * (np.cosh(eta1 - eta2) - np.cos(phi1 - phi2)))[accepted]
    # Lists, not arrays: where the program runs there is no numpy.
    return np.histogram(measured, edges)[0].tolist(), np.__file__


@apps.python_app(pack=True)
def fitted(counts, edges):
    """Fit a Voigt profile on a flat background; return the peak, its error and the natural width (GeV)."""
    import numpy as np
    from scipy.optimize import curve_fit
    from scipy.special import voigt_profile

    counts, edges = np.asarray(counts, float), np.asarray(edges, float)
    centres = (edges[1:] + edges[:-1]) / 2

    def shape(x, number, peak, sigma, gamma, flat):
        return number * voigt_profile(x - peak, sigma, gamma) + flat

    near = (centres > 75) & (centres < 105)
    start = (counts.sum(), 91, 1, 1.2, 1)
    best, covariance = curve_fit(
        shape, centres[near], counts[near], start, np.sqrt(counts[near] + 1), bounds=(0, np.inf), absolute_sigma=True
    )
    return float(best[1]), float(np.sqrt(covariance[1, 1])), float(2 * best[3])


def executor(label):
    """Return an executor; on a cluster the provider is SlurmProvider, CondorProvider, …"""
    return HighThroughputExecutor(
        label=label, address="127.0.0.1", max_workers_per_node=1, provider=LocalProvider(init_blocks=1, max_blocks=1)
    )


def say(event):
    """Tell what the builder does, in one line a step."""
    if event.kind == "done":
        print(f"   {event.step}: {event.message}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=8)
    options.add_argument("--events", type=int, default=50_000)
    given = options.parse_args()

    executors = apps.executors(executor, reporter=say)
    with parsl.load(Config(executors=executors)):
        futures = [selected_masses(run, given.events, EDGES) for run in range(given.runs)]
        results = [future.result() for future in futures]
        counts = [sum(column) for column in zip(*(histogram for histogram, _ in results), strict=True)]
        peak, error, width = fitted(counts, EDGES).result()
    numpy = Path(results[0][1])
    print(f"numpy was in    {numpy.parents[4]}  (this program's Python: {sys.prefix})")
    print(f"selected pairs  {sum(counts)}")
    print(f"Z peak          {peak:.3f} +- {error:.3f} GeV, width {width:.2f} GeV")
