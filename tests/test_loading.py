"""What takes long to load is loaded by those who use it."""

import subprocess
import sys

import pytest

_HEAVY = ("requests", "urllib3", "yaml", "rich", "git", "rattler", "numpy")


@pytest.mark.parametrize("module", ["poncho.builder", "poncho.cli.create", "poncho.cli.analyze"])
def test_a_build_in_which_nothing_changed_loads_no_library_that_it_does_not_use(module: str):
    code = f"import sys, {module}; print(*(name for name in {_HEAVY!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
