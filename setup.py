"""Build PONCHO. What is declared stands in pyproject.toml; here is only what it cannot say.

The runner is one file, ``bin/poncho_package_run``. It is installed as a command, and a copy of the same file lies in the Python
package, from where it is put into every package that PONCHO makes.

Manual pages and shell completion are made from the commands' own parsers, and installed where man and the shells look.
"""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# setuptools' own copy: it has no name of its own for this command.
from distutils.command.install_data import install_data  # isort: skip

HERE = Path(__file__).resolve().parent


class BuildWithRunner(build_py):
    """Copy the runner into the Python package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "poncho" / "runtime" / "poncho_package_run"
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(HERE / "bin" / "poncho_package_run"), str(target))


class MadeData(install_data):
    """Make what goes to ``share/`` of the prefix."""

    def run(self) -> None:
        sys.path.insert(0, str(HERE))
        from poncho.cli.completion import completion
        from poncho.cli.manual import NAMES, pages

        made = {f"share/man/man1/{name}": text for name, text in pages().items()}
        for name in NAMES:
            made[f"share/bash-completion/completions/{name}"] = completion(name, "bash")
            made[f"share/zsh/site-functions/_{name}"] = completion(name, "zsh")
            made[f"share/fish/vendor_completions.d/{name}.fish"] = completion(name, "fish")
        self.data_files = []
        for place, text in sorted(made.items()):
            file = HERE / "build" / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            self.data_files.append((str(Path(place).parent), [str(file.relative_to(HERE))]))
        super().run()


# With data_files set, setuptools runs install_data; which files there are is known once they are made.
setup(cmdclass={"build_py": BuildWithRunner, "install_data": MadeData}, data_files=[("share/man/man1", [])])
