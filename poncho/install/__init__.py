"""A lock becomes a prefix: conda packages, pip packages on top, bytecode; and what there is to know of a prefix."""

from poncho.install.bytecode import compile_bytecode
from poncho.install.conda import install_conda
from poncho.install.distributions import (
    EditableDistribution,
    InstalledDistribution,
    editable_distributions,
    installed_distributions,
    site_packages,
)
from poncho.install.environment import Installer
from poncho.install.existing import check_prefix, describe_prefix
from poncho.install.local_code import with_local_code
from poncho.install.pip import install_pip
from poncho.install.prepare import Existing, prepare_existing

__all__ = [
    "EditableDistribution",
    "Existing",
    "InstalledDistribution",
    "Installer",
    "check_prefix",
    "compile_bytecode",
    "describe_prefix",
    "editable_distributions",
    "install_conda",
    "install_pip",
    "installed_distributions",
    "prepare_existing",
    "site_packages",
    "with_local_code",
]
