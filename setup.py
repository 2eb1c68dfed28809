"""Build PONCHO. What is declared stands in pyproject.toml; here is only what it cannot say.

The runner is one file, ``bin/poncho_package_run``. It is installed as a command, and a copy of the same file lies in the Python
package, from where it is put into every package that PONCHO makes.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithRunner(build_py):
    """Copy the runner into the Python package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "poncho" / "runtime" / "poncho_package_run"
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(HERE / "bin" / "poncho_package_run"), str(target))


setup(cmdclass={"build_py": BuildWithRunner})
