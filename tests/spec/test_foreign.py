"""environment.yml, requirements.txt, pyproject.toml and PEP 723 scripts are specs, told by their content."""

import pytest

from poncho.errors import SpecError
from poncho.source import is_package
from poncho.spec import included_files, load_spec, loads_spec


def test_environment_yml_keeps_versions_as_written():
    spec = loads_spec("name: a\nchannels: [conda-forge, nodefaults]\ndependencies:\n- python=3.10\n- pip:\n  - dill\n")
    assert spec.channels == ("conda-forge",)
    assert spec.conda == ("python=3.10",)
    assert spec.pip == ("dill",)


def test_environment_yml_with_a_mistake_gets_a_pointer():
    with pytest.raises(SpecError) as caught:
        loads_spec("dependencies:\n- python=3.10\n- pip: dill\n", source="environment.yml")
    assert caught.value.pointer == "/conda/dependencies/1/pip"


def test_a_tab_in_yaml_is_named():
    with pytest.raises(SpecError, match="not YAML") as caught:
        loads_spec("dependencies:\n\t- numpy\n")
    assert caught.value.hint == "YAML is indented with blanks, never with tabs"


def test_broken_yaml_is_named_by_line():
    with pytest.raises(SpecError, match=r"line \d+, column \d+: not YAML"):
        loads_spec("dependencies:\n  - a\n - b: [\n")


def test_environment_yml_variables_are_refused_not_dropped():
    with pytest.raises(SpecError, match="'variables' is not supported"):
        loads_spec("dependencies: [python]\nvariables:\n  A: b\n")


def test_requirements_with_comments_continuations_includes_and_hashes(tmp_path):
    (tmp_path / "base.txt").write_text("scipy>=1.10\n")
    file = tmp_path / "any name"
    file.write_text(
        "# comment\nnumpy==1.26.4 \\\n  --hash=sha256:" + "0" * 64 + "\n-r base.txt\npandas ; python_version > '3'\n"
    )
    assert load_spec(file).pip == ("numpy==1.26.4", "scipy>=1.10", "pandas ; python_version > '3'")


def test_what_is_included_is_told_once_however_it_is_spelled(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    (tmp_path / "all.txt").write_text("-r x/../all.txt\n-r y/../all.txt\n-r x/../some.txt\n-r some\0.txt\n")
    (tmp_path / "some.txt").write_text("-r y/../x/../some.txt\nrequests\n")
    (tmp_path / "more.txt").write_text("-r x/../all.txt\n-r y/../some.txt\n")
    assert set(included_files(tmp_path / "more.txt")) == {tmp_path / "all.txt", tmp_path / "some.txt"}


def test_requirements_that_include_themselves_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("numpy\n-r b.txt\n")
    (tmp_path / "b.txt").write_text("-r b.txt\n")
    with pytest.raises(SpecError, match="includes itself"):
        load_spec(tmp_path / "a.txt")


def test_links_that_lead_in_a_circle_are_named(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "all.txt").write_text("-r circle\n")
    with pytest.raises(SpecError, match="circle: cannot be read"):
        load_spec(tmp_path / "all.txt")
    (tmp_path / "spec.json").write_text('{"pip": ["./circle"], "git": {"A": {"remote": "./circle"}}}')
    found = load_spec(tmp_path / "spec.json")
    assert found.pip == (str(tmp_path / "circle"),)
    assert found.git["A"].remote == str(tmp_path / "circle")


def test_local_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "spec.json").write_text('{"pip": ["./mine", "../other[x]", "numpy"]}')
    assert load_spec(tmp_path / "spec.json").pip == (
        str(tmp_path / "mine"),
        str(tmp_path.parent / "other") + "[x]",
        "numpy",
    )


def test_editable_requirement_becomes_local_code(tmp_path):
    (tmp_path / "requirements.txt").write_text("-e .\n")
    assert load_spec(tmp_path / "requirements.txt").pip == (str(tmp_path),)


def test_pyproject_gives_dependencies_and_python():
    spec = loads_spec('[project]\nname = "x"\nrequires-python = ">=3.10"\ndependencies = ["numpy>1"]\n')
    assert (spec.python, spec.pip) == (">=3.10", ("numpy>1",))


def test_pyproject_with_dynamic_dependencies_says_what_to_do():
    with pytest.raises(SpecError, match="dynamic") as caught:
        loads_spec('[project]\nname = "x"\ndynamic = ["dependencies"]\n')
    assert '"."' in caught.value.hint


def test_pep_723_script_gives_dependencies_and_python():
    text = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "rich",\n# ]\n# ///\nimport rich\n'
    spec = loads_spec(text)
    assert (spec.python, spec.pip) == (">=3.11", ("rich",))


def test_kind_is_told_by_content_and_not_by_name(tmp_path):
    file = tmp_path / "environment.yml"
    file.write_text('{"pip": ["dill"]}')
    assert load_spec(file).pip == ("dill",)


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "x").write_text("\n")
    with pytest.raises(SpecError, match="is empty"):
        load_spec(tmp_path / "x")


def test_a_key_that_stands_twice_in_yaml_is_refused_as_conda_does():
    with pytest.raises(SpecError, match=r"line 4, column 1: .*'dependencies' stands twice"):
        loads_spec("name: a\ndependencies:\n- python=3.10\ndependencies:\n- numpy\n")


def test_what_is_left_empty_in_an_environment_yml_is_no_entry():
    spec = loads_spec("name:\nchannels:\ndependencies:\n- python\n- pip:\n")
    assert (spec.channels, spec.conda, spec.pip) == ((), ("python",), ())
    assert loads_spec("channels: null\ndependencies: ~\n").conda == ()


def test_a_script_with_line_endings_of_windows_is_a_spec(tmp_path):
    (tmp_path / "fit.py").write_bytes(b'# /// script\r\n# dependencies = ["numpy"]\r\n# ///\r\nimport numpy\r\n')
    assert load_spec(tmp_path / "fit.py").pip == ("numpy",)


def test_a_json_null_is_not_the_project_of_that_name():
    with pytest.raises(SpecError, match="must be a JSON object, not null"):
        loads_spec("null\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_requirements_as_powershell_writes_them_are_read(tmp_path, encoding):
    text = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "more.txt").write_bytes(f"{text}rich>=13\r\n".encode(encoding))
    (tmp_path / "requirements.txt").write_bytes(f"{text}numpy==2.0\r\n-r more.txt\r\n".encode(encoding))
    assert load_spec(tmp_path / "requirements.txt").pip == ("numpy==2.0", "rich>=13")
    assert not is_package(tmp_path / "requirements.txt")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("dependecies", "dependencies"),
        ("Dependencies", "dependencies"),
        ("dependency", "dependencies"),
        ("requirements", "dependencies"),
        ("install_requires", "dependencies"),
        ("requires_python", "requires-python"),
        ("python-requires", "requires-python"),
    ],
)
def test_a_slip_in_what_a_script_or_project_declares_is_refused(key: str, meant: str):
    script = f'# /// script\n# {key} = ["six"]\n# ///\n'
    with pytest.raises(SpecError, match=f"unknown key '{key}'") as caught:
        loads_spec(script, source="app.py")
    assert caught.value.pointer == f"/{key}"
    assert caught.value.source == "app.py"
    assert meant in str(caught.value.hint)
    with pytest.raises(SpecError) as caught:
        loads_spec(f'[project]\nname = "x"\n{key} = ["six"]\n')
    assert caught.value.pointer == f"/project/{key}"
    assert meant in str(caught.value.hint)


def test_keys_of_others_in_what_a_script_or_project_declares_are_left_to_them():
    keys = ("dev-dependencies", "build-dependencies", "optional-dependencies", "packages", "import-names", "groups")
    rest = "".join(f"{key} = []\n" for key in keys)
    assert loads_spec(f'[project]\nname = "x"\ndependencies = ["six"]\n{rest}').pip == ("six",)
    commented = "".join(f"# {line}\n" for line in ('dependencies = ["six"]', *rest.splitlines(), "[tool.uv]"))
    assert loads_spec(f"# /// script\n{commented}# ///\n").pip == ("six",)


def test_a_requirement_in_a_script_that_is_none_is_told_whole():
    with pytest.raises(SpecError, match=r"/dependencies/0: 'six ==' is no pip requirement: \w") as caught:
        loads_spec('# /// script\n# dependencies = ["six =="]\n# ///\n', source="app.py")
    assert caught.value.pointer == "/dependencies/0"
