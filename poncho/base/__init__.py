"""The interpreter on this machine as the base of an environment, so that a spec without a conda channel needs none."""

from poncho.base.channel import BaseChannel, base_channel
from poncho.base.find import find_interpreter, parse_version_spec

__all__ = ["BaseChannel", "base_channel", "find_interpreter", "parse_version_spec"]
