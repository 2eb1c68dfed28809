"""Make the example's data: a toy simulation of muon pairs as a detector that is a little off would see them.

It was run once; what it wrote is committed. numpy is all it needs. The same seed gives the same events.
"""

import gzip
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
EVENTS = 8000
Z_MASS, Z_WIDTH = 91.1876, 2.4952  # GeV
# The momentum scale that the detector gets wrong, per region of pseudorapidity. The analysis divides it out again.
REGIONS = [-2.4, -1.2, 0.0, 1.2, 2.4]
SCALES = [0.952, 0.979, 0.993, 1.011]


def main() -> None:
    random = np.random.default_rng(20261121)
    signal = random.random(EVENTS) < 0.8
    mass = np.where(
        signal,
        Z_MASS + Z_WIDTH / 2 * np.tan(np.pi * (random.random(EVENTS) - 0.5) * 0.96),
        60 + random.exponential(30, EVENTS),
    )
    transverse, rapidity = random.exponential(12, EVENTS), random.normal(0, 0.9, EVENTS)
    azimuth = random.uniform(-np.pi, np.pi, EVENTS)
    first, second = decay(random, mass, transverse, rapidity, azimuth)
    columns = []
    for pt, eta, phi in (first, second):
        region = np.clip(np.digitize(eta, REGIONS) - 1, 0, len(SCALES) - 1)
        columns += [pt * np.array(SCALES)[region] * random.normal(1, 0.012, EVENTS), eta, phi]
    charge = random.choice([-1, 1], EVENTS)
    keep = (columns[0] > 10) & (columns[3] > 10) & (abs(columns[1]) < 2.4) & (abs(columns[4]) < 2.4)
    lines = ["pt1,eta1,phi1,q1,pt2,eta2,phi2,q2"]
    for i in np.flatnonzero(keep):
        a, b, c, d, e, f = (column[i] for column in columns)
        lines.append(f"{a:.3f},{b:.4f},{c:.4f},{charge[i]},{d:.3f},{e:.4f},{f:.4f},{-charge[i]}")
    text = ("\n".join(lines) + "\n").encode()
    (HERE / "data" / "events.csv.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    constants = {"eta_edges": REGIONS, "momentum_scale": SCALES, "valid_from_run": 1}
    (HERE / "calibration" / "muon_scale.json").write_text(json.dumps(constants, indent=2) + "\n")
    print(f"{len(lines) - 1} events, {len(text)} bytes of CSV")


def decay(random, mass, transverse, rapidity, azimuth):
    """Return (pt, eta, phi) of both muons of an isotropic two-body decay (massless muons), boosted to the laboratory."""
    cosine, phi = random.uniform(-1, 1, mass.size), random.uniform(-np.pi, np.pi, mass.size)
    sine = np.sqrt(1 - cosine**2)
    direction = np.array([sine * np.cos(phi), sine * np.sin(phi), cosine])
    mt = np.sqrt(mass**2 + transverse**2)
    parent = np.array([transverse * np.cos(azimuth), transverse * np.sin(azimuth), mt * np.sinh(rapidity)])
    energy = mt * np.cosh(rapidity)
    muons = []
    for sign in (1, -1):
        rest = sign * direction * mass / 2
        along = (parent * rest).sum(axis=0)
        momentum = rest + parent * (along / (mass * (energy + mass)) + 0.5)  # a muon has half the energy at rest
        pt = np.hypot(momentum[0], momentum[1])
        muons.append((pt, np.arcsinh(momentum[2] / pt), np.arctan2(momentum[1], momentum[0])))
    return muons


if __name__ == "__main__":
    main()
