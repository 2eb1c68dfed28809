"""The identity of a spec: the same wishes, the same digest."""

from __future__ import annotations

import hashlib

from poncho.spec.codec import dumps
from poncho.spec.model import Spec


def spec_digest(spec: Spec) -> str:
    """Return the sha256 (64 hexadecimal digits) of the spec as it is written. The order of channels counts."""
    return hashlib.sha256(dumps(spec).encode()).hexdigest()
