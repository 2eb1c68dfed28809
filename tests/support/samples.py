"""The small conda packages of the test channel: each is one thing that a conda package can do.

| package | what it is there for |
| --- | --- |
| ``greet`` | noarch Python with two entry points and a data file |
| ``text-prefix`` | a script and a configuration file that hold the prefix; a shebang that holds it |
| ``prefix-tool`` | C: a program and its library that hold the prefix in binary, header, static library; no Python |
| ``yaml`` | the C library, NOT what ``import yaml`` means (that is ``pyyaml``) |
| ``post-link-ok``, ``post-link-fails`` | ``bin/.NAME-post-link.sh``, one that succeeds and one that exits 3 |
| ``activation`` | ``activate.d``, ``deactivate.d`` and ``env_vars.d`` |
| ``clobber-one``, ``clobber-two`` | both hold ``share/clobbered.txt``, with other bytes |
| ``oddities`` | spaces, unicode, quotes and long names, an empty file, links; ``.tar.bz2`` |
| ``ladder`` 1.0 1.1 1.2 2.0 | several versions and builds, 1.0 and 1.1 as ``.tar.bz2`` |
| ``wants-old-ladder``, ``wants-new-ladder`` | together unsatisfiable |
| ``constrains-ladder`` | ``constrains: ladder <1.2`` without depending on it |
| ``future`` | needs ``__glibc >=999``: unsatisfiable on any machine |
| ``missing-dependency`` | depends on what no channel has |
| ``shadowed`` | 1.0 here, 2.0 in the second channel: channel priority |
| ``only-second`` | in the second channel only |
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.conda_package import PLACEHOLDER, CondaPackage, Entry, File, Link, text

_GREET = """\
import sys
from pathlib import Path

def main():
    print("hello from", Path(sys.prefix).resolve())
    print((Path(__file__).parent / "words.txt").read_text().strip())

def fail():
    sys.exit(7)
"""

_TOOL = """\
#include <stdio.h>
#include <string.h>
extern const char *prefix_of(void);
int main(int argc, char **argv) {
    char line[4096];
    if (argc > 1 && strcmp(argv[1], "--library") == 0) { puts(prefix_of()); return 0; }
    if (argc > 1 && strcmp(argv[1], "--data") == 0) {
        FILE *data = fopen(PREFIX "/share/prefix-tool/data.txt", "r");
        if (!data || !fgets(line, sizeof line, data)) return 1;
        fputs(line, stdout);
        return 0;
    }
    puts(PREFIX);
    return 0;
}
"""

_LIBRARY = 'const char *prefix_of(void) { return PREFIX "/lib"; }\n'


def has_compiler() -> bool:
    """Tell whether the packages written in C can be made on this machine."""
    return shutil.which("gcc") is not None


def small_packages() -> list[CondaPackage]:
    """Return the packages of the first channel that need no compiler."""
    return [
        _greet(),
        _text_prefix(),
        *_scripts(),
        *_clobbering(),
        _oddities(),
        *_ladder(),
        *_unsatisfiable(),
        _shadowed("1.0", "first"),
    ]


def second_channel_packages() -> list[CondaPackage]:
    """Return the packages of the second channel."""
    return [
        _shadowed("2.0", "second"),
        CondaPackage("only-second", "1.0", {"share/only-second.txt": text("second\n")}, noarch="generic"),
        _rung("ladder", "3.0", 0),
    ]


def compiled_packages(scratch: Path) -> list[CondaPackage]:
    """Return the packages written in C, compiled with gcc in ``scratch``."""
    (scratch / "tool.c").write_text(_TOOL)
    (scratch / "library.c").write_text(_LIBRARY)
    (scratch / "yaml.c").write_text('const char *yaml_get_version_string(void) { return "0.2.5"; }\n')
    _gcc(scratch, "-shared", "-fPIC", "-o", "libprefix-tool.so", "library.c")
    _gcc(scratch, "-c", "-o", "library.o", "library.c")
    subprocess.run(["ar", "rcs", "libprefix-tool.a", "library.o"], cwd=scratch, check=True)
    _gcc(scratch, "-o", "prefix-tool", "tool.c", "-L.", "-lprefix-tool", "-Wl,-rpath,$ORIGIN/../lib")
    _gcc(scratch, "-shared", "-fPIC", "-Wl,-soname,libyaml-0.so.2", "-o", "libyaml-0.so.2", "yaml.c")
    tool = CondaPackage(
        "prefix-tool",
        "1.0",
        {
            "bin/prefix-tool": File((scratch / "prefix-tool").read_bytes(), executable=True),
            "lib/libprefix-tool.so": File((scratch / "libprefix-tool.so").read_bytes(), executable=True),
            "lib/libprefix-tool.a": File((scratch / "libprefix-tool.a").read_bytes()),
            "include/prefix-tool.h": text("const char *prefix_of(void);\n"),
            "share/prefix-tool/data.txt": text("data of prefix-tool\n"),
        },
    )
    yaml = CondaPackage(
        "yaml",
        "0.2.5",
        {
            "lib/libyaml-0.so.2": File((scratch / "libyaml-0.so.2").read_bytes(), executable=True),
            "lib/libyaml.so": Link("libyaml-0.so.2"),
            "include/yaml.h": text("const char *yaml_get_version_string(void);\n"),
        },
    )
    return [tool, yaml]


def _gcc(scratch: Path, *arguments: str) -> None:
    subprocess.run(["gcc", "-O1", f'-DPREFIX="{PLACEHOLDER}"', *arguments], cwd=scratch, check=True)


def _greet() -> CondaPackage:
    files = {
        "site-packages/greet/__init__.py": text("__version__ = '1.2'\n"),
        "site-packages/greet/cli.py": text(_GREET),
        "site-packages/greet/words.txt": text("grüß dich\n"),
        "site-packages/greet-1.2.dist-info/METADATA": text("Metadata-Version: 2.1\nName: greet\nVersion: 1.2\n"),
        "site-packages/greet-1.2.dist-info/INSTALLER": text("conda\n"),
        "site-packages/greet-1.2.dist-info/RECORD": text(
            "greet/__init__.py,,\ngreet/cli.py,,\ngreet/words.txt,,\ngreet-1.2.dist-info/METADATA,,\n"
        ),
    }
    entry_points = ("greet = greet.cli:main", "greet-fails = greet.cli:fail")
    return CondaPackage("greet", "1.2", files, noarch="python", depends=("python",), entry_points=entry_points)


def _text_prefix() -> CondaPackage:
    files = {
        "bin/where-am-i": text("#!/bin/sh\necho '{PREFIX}'\n", executable=True),
        "bin/where-is-python": text("#!{PREFIX}/bin/python\nimport sys\nprint(sys.prefix)\n", executable=True),
        "etc/text-prefix.conf": text("root={PREFIX}\npath={PREFIX}/bin:{PREFIX}/sbin\n"),
        "etc/plain.conf": text("no prefix here\n"),
    }
    return CondaPackage("text-prefix", "1.0", files)


def _scripts() -> list[CondaPackage]:
    ok = '#!/bin/sh\necho "$PREFIX $PKG_NAME $PKG_VERSION" > "$PREFIX/share/post-link-ran.txt"\n'
    fails = "#!/bin/sh\necho 'the post-link script fails on purpose' >&2\nexit 3\n"
    activation = {
        "etc/conda/activate.d/activation.sh": text(
            'export ACTIVATION_PREFIX="$CONDA_PREFIX"\nexport ACTIVATION_HOME="{PREFIX}/share"\n'
        ),
        "etc/conda/deactivate.d/activation.sh": text("unset ACTIVATION_PREFIX ACTIVATION_HOME\n"),
        "etc/conda/env_vars.d/activation.json": text('{"ACTIVATION_VARIABLE": "from env_vars.d"}\n'),
    }
    return [
        CondaPackage(
            "post-link-ok",
            "1.0",
            {"bin/.post-link-ok-post-link.sh": text(ok, executable=True), "share/post-link-ok.txt": text("x\n")},
        ),
        CondaPackage("post-link-fails", "1.0", {"bin/.post-link-fails-post-link.sh": text(fails, executable=True)}),
        CondaPackage("activation", "1.0", activation),
    ]


def _clobbering() -> list[CondaPackage]:
    return [
        CondaPackage(
            f"clobber-{number}",
            "1.0",
            {"share/clobbered.txt": text(f"{number}\n"), f"share/clobber-{number}.txt": text(f"{number}\n")},
            noarch="generic",
        )
        for number in ("one", "two")
    ]


def _oddities() -> CondaPackage:
    files: dict[str, Entry] = {
        "share/oddities/with space.txt": text("space\n"),
        "share/oddities/ünïcödé ✓.txt": text("unicode\n"),
        "share/oddities/$(touch pwned);'quoted\".txt": text("quotes\n"),
        "share/oddities/empty": File(b""),
        "share/oddities/link to space": Link("with space.txt"),
        "share/oddities/link-to-directory": Link("../oddities"),
        "share/oddities/dangling": Link("not-there"),
        "share/oddities/deep/" + "/".join(["deeper"] * 20) + "/leaf.txt": text("leaf\n"),
        "share/oddities/" + "n" * 180 + ".txt": text("long name\n"),
        "bin/odd": text("#!/bin/sh\necho odd\n", executable=True),
    }
    return CondaPackage("oddities", "1.0", files, archive=".tar.bz2")


def _rung(name: str, version: str, build_number: int) -> CondaPackage:
    return CondaPackage(
        name,
        version,
        {f"share/{name}.txt": text(f"{version} {build_number}\n")},
        build_number=build_number,
        noarch="generic",
        archive=".tar.bz2" if version in ("1.0", "1.1") else ".conda",
    )


def _ladder() -> list[CondaPackage]:
    rungs = [("1.0", 0), ("1.1", 0), ("1.2", 0), ("1.2", 1), ("2.0", 0)]
    return [_rung("ladder", version, number) for version, number in rungs]


def _unsatisfiable() -> list[CondaPackage]:
    return [
        CondaPackage("wants-old-ladder", "1.0", noarch="generic", depends=("ladder <2",)),
        CondaPackage("wants-new-ladder", "1.0", noarch="generic", depends=("ladder >=2",)),
        CondaPackage("constrains-ladder", "1.0", noarch="generic", constrains=("ladder <1.2",)),
        CondaPackage("future", "1.0", depends=("__glibc >=999",)),
        CondaPackage("missing-dependency", "1.0", noarch="generic", depends=("no-such-package >=1",)),
    ]


def _shadowed(version: str, channel: str) -> CondaPackage:
    return CondaPackage("shadowed", version, {"share/shadowed.txt": text(f"{channel}\n")}, noarch="generic")
