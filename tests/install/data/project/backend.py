"""A build back end with no requirements, which leaves litter in its tree as setuptools does."""

import pathlib
import zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path("build").mkdir(exist_ok=True)
    pathlib.Path("build/litter").write_text("x")
    name = "local_code-0.3-py3-none-any.whl"
    info = "local_code-0.3.dist-info"
    files = {
        "local_code.py": pathlib.Path("local_code.py").read_text(),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: local-code\nVersion: 0.3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
