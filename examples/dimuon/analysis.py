"""Measure the mass of the Z boson in a file of muon pairs, and draw it.

The events come from $EVENTS (a CSV file), the calibration from $CALIBRATION (a directory). The plot goes to the working
directory, or to where --plot says.
"""

import argparse
import json
import os
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from scipy.optimize import curve_fit
from scipy.special import voigt_profile

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Z_WIDTH = 2.4952  # GeV, natural width: what is measured here is mass and resolution
LOW, HIGH = 70.0, 112.0


def calibrate(events: pd.DataFrame, constants: dict) -> pd.DataFrame:
    """Divide out the momentum scale of each muon's region."""
    edges, scale = np.array(constants["eta_edges"]), np.array(constants["momentum_scale"])
    corrected = events.copy()
    for muon in "12":
        region = np.clip(np.digitize(events[f"eta{muon}"], edges) - 1, 0, len(scale) - 1)
        corrected[f"pt{muon}"] = events[f"pt{muon}"] / scale[region]
    return corrected


def invariant_mass(events: pd.DataFrame) -> np.ndarray:
    """Return the mass of each pair in GeV, muons taken as massless."""
    angle = np.cosh(events.eta1 - events.eta2) - np.cos(events.phi1 - events.phi2)
    return np.sqrt(2 * events.pt1 * events.pt2 * angle).to_numpy()


def model(mass, signal, mean, resolution, background, slope):
    """Return a resonance smeared by the detector over a falling background."""
    return signal * voigt_profile(mass - mean, abs(resolution), Z_WIDTH / 2) + background * np.exp(
        -slope * (mass - LOW)
    )


def fit(mass: np.ndarray):
    """Return bin centres, counts, best parameters and their errors."""
    counts, edges = np.histogram(mass, bins=84, range=(LOW, HIGH))
    centres = (edges[:-1] + edges[1:]) / 2
    start = (counts.sum() * 0.4, 91.0, 1.5, counts[:5].mean(), 0.03)
    best, covariance = curve_fit(model, centres, counts, p0=start, sigma=np.sqrt(np.maximum(counts, 1)))
    return centres, counts, best, np.sqrt(np.diag(covariance))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, default=Path("dimuon.png"))
    arguments = parser.parse_args()
    events = pd.read_csv(os.environ["EVENTS"])
    constants = json.loads((Path(os.environ["CALIBRATION"]) / "muon_scale.json").read_text())

    raw, corrected = invariant_mass(events), invariant_mass(calibrate(events, constants))
    figure, axes = plt.subplots(figsize=(7.5, 5))
    for name, mass, colour in (("as recorded", raw, "0.6"), ("calibrated", corrected, "tab:blue")):
        centres, counts, best, error = fit(mass)
        label = f"{name}: {best[1]:.2f} ± {error[1]:.2f} GeV"
        axes.errorbar(centres, counts, np.sqrt(counts), fmt=".", color=colour, label=label)
        axes.plot(centres, model(centres, *best), color=colour)
        print(
            f"{name:12} mass {best[1]:.3f} ± {error[1]:.3f} GeV, resolution {abs(best[2]):.2f} GeV, {counts.sum()} pairs"
        )
    axes.set(xlabel="muon pair mass [GeV]", ylabel="pairs per 0.5 GeV", title="Toy Z → μμ, simulated", xlim=(LOW, HIGH))
    axes.legend()
    figure.savefig(arguments.plot, dpi=120)
    print(f"plot: {arguments.plot.resolve()}")


if __name__ == "__main__":
    main()
