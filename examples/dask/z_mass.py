"""The mass of the Z on a Dask cluster that runs already, and has no numpy: the package comes to the workers.

python z_mass.py SCHEDULER
"""

import sys

from dask.distributed import Client

import poncho
from poncho.integrations.dask import use_package

FIRST, BINS = 60, 60


def selected_masses(run, events):
    """Simulate one run of Z -> mu mu with a detector, select, and return the histogram of the pairs' masses (1 GeV)."""
    import numpy as np

    random = np.random.default_rng(run)
    mass = 91.1876 + 1.2476 * random.standard_cauchy(events)  # a Breit-Wigner of half the Z's width
    mass = mass[(mass > 50) & (mass < 130)]
    pt, eta = random.gamma(2.5, 20, mass.size), random.normal(0, 1.5, mass.size)
    accepted = (pt > 25) & (np.abs(eta) < 2.4)
    measured = (mass * random.normal(1, 0.011, mass.size))[accepted]
    # Lists, not arrays: what passes the scheduler is of types that it knows.
    return np.histogram(measured, np.arange(FIRST, FIRST + BINS + 1))[0].tolist()


def summed(histograms):
    """Add histograms, on a worker."""
    import numpy as np

    return np.sum(histograms, axis=0).tolist()


def fitted(counts):
    """Fit a Voigt profile on a flat background; return the peak, its error and the natural width (GeV)."""
    import numpy as np
    from scipy.optimize import curve_fit
    from scipy.special import voigt_profile

    counts, centres = np.asarray(counts, float), np.arange(FIRST, FIRST + BINS) + 0.5

    def shape(x, number, peak, sigma, gamma, flat):
        return number * voigt_profile(x - peak, sigma, gamma) + flat

    near = (centres > 75) & (centres < 105)
    start = (counts.sum(), 91, 1, 1.2, 1)
    best, covariance = curve_fit(
        shape, centres[near], counts[near], start, np.sqrt(counts[near] + 1), bounds=(0, np.inf), absolute_sigma=True
    )
    return int(counts.sum()), float(best[1]), float(np.sqrt(covariance[1, 1])), float(2 * best[3])


def has_numpy():
    """Tell whether numpy can be imported here."""
    import importlib.util

    return importlib.util.find_spec("numpy") is not None


if __name__ == "__main__":
    with Client(sys.argv[1]) as client:
        print("workers with numpy before:", sum(client.run(has_numpy).values()))
        spec = poncho.analyze([selected_masses, summed, fitted]).spec
        for difference in use_package(client, spec, upload=True):
            print("differs, which matters only where its values cross:", difference)
        print("workers with numpy after: ", sum(client.run(has_numpy).values()))

        histograms = client.map(selected_masses, range(16), events=50_000)
        total = client.submit(summed, histograms)  # on a worker: the histograms do not come here
        pairs, peak, error, width = client.submit(fitted, total).result()
        print(f"selected pairs  {pairs}")
        print(f"Z peak          {peak:.3f} +- {error:.3f} GeV, width {width:.2f} GeV")
