"""Every mistake in a spec is one line with a JSON pointer, and a hint where there is one to give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poncho.errors import PonchoError, SpecError
from poncho.spec import loads_spec, parse

MISTAKES = [
    ('{"conda": {"channel": []}}', "/conda/channel", "unknown key 'channel'", "did you mean 'channels'?"),
    ('{"pips": []}', "/pips", "unknown key", "did you mean 'pip'?"),
    ('{"git": {"A": {"remote": "r", "branch": "x"}}}', "/git/A/branch", "unknown key", "did you mean 'ref'?"),
    ('{"git": {"A": {"remote": "r", "color": "x"}}}', "/git/A/color", "unknown key", "remote, ref"),
    ('{"git": {"A": {"url": "r"}}}', "/git/A/url", "unknown key", "did you mean 'remote'?"),
    ('{"git": {"A": "https://h/x"}}', "/git/A", "must be an object", 'write {"remote": "https://h/x"}'),
    ('{"http": {"A": "https://h/x"}}', "/http/A", "must be an object", 'write {"url": "https://h/x"}'),
    ('{"dependencies": ["x"]}', "/dependencies", "unknown key", '"conda": {"dependencies"'),
    ('{"pip": "numpy"}', "/pip", "must be a list, not a string", '["numpy"]'),
    ('{"conda": 3}', "/conda", "not a number", None),
    ('{"python": 3.10}', "/python", "must be a string", "quotes"),
    ('{"python": "three"}', "/python", "no Python version", "3.11"),
    ('{"pip": ["a b"]}', "/pip/0", "no pip requirement", "name==1.2"),
    ('{"pip": ["-e ."]}', "/pip/0", "pip option", "directory alone"),
    ('{"pip": ["--index-url x"]}', "/pip/0", "pip option", "PIP_INDEX_URL"),
    ('{"conda": ["--channel"]}', "/conda/0", "an option", None),
    ('{"conda": {"dependencies": [{"npm": []}]}}', "/conda/dependencies/0/npm", "unknown key", None),
    ('{"git": {"A": {}}}', "/git/A", "'remote' is missing", "remote"),
    ('{"git": {"A": {"remote": "--upload-pack=x"}}}', "/git/A/remote", "must not begin", None),
    ('{"git": {"A": {"remote": "r", "depth": 0}}}', "/git/A/depth", "greater than 0", None),
    ('{"git": {"A": {"remote": "r", "subdirectory": "../x"}}}', "/git/A/subdirectory", "inside the repository", None),
    ('{"http": {"A": {}}}', "/http/A", "'url' is missing", "url"),
    ('{"http": {"A": {"url": "file:///etc/passwd"}}}', "/http/A/url", "no http or https URL", None),
    ('{"http": {"A": {"url": "http://h/x", "type": "rar"}}}', "/http/A/type", "must be one of file, tar, zip", None),
    ('{"http": {"A": {"url": "http://h/x", "sha256": "abc"}}}', "/http/A/sha256", "64 hexadecimal", "sha256sum"),
    ('{"http": {"A": {"url": "http://h/x", "filename": "../x"}}}', "/http/A/filename", "without directories", None),
    (
        '{"http": {"A": {"url": "http://h/x", "headers": {"Authorization": "Bearer abc.def"}}}}',
        "/http/A/headers/Authorization",
        "NAME of an environment variable",
        "never holds a secret",
    ),
    ("[]", "/", "must be a JSON object, not a list", "smallest spec"),
]


@pytest.mark.parametrize(("text", "pointer", "words", "hint"), MISTAKES, ids=[m[0][:60] for m in MISTAKES])
def test_mistake_is_named_with_pointer_and_hint(text, pointer, words, hint):
    with pytest.raises(SpecError) as caught:
        loads_spec(text, source="spec.json")
    error = caught.value
    assert error.pointer == pointer
    assert words in error.message
    assert error.message.startswith("spec.json: ")
    assert "\n" not in error.message
    assert error.hint
    assert (hint or "") in error.hint


def test_invalid_json_is_named_by_line_and_column():
    with pytest.raises(SpecError, match=r"^s: line 3, column 2: not JSON"):
        loads_spec('{"pip": ["a",\n  "b",\n c]}', source="s")


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(SpecError, match="'pip' stands twice"):
        loads_spec('{"pip": ["a"], "pip": ["b"]}')


HOSTILE_NAMES = ["X;touch pwned;Y", "../x", "a b", "1A", "$(id)", "A=B", "", "é", "A\nB", "A-B"]
LOADER_NAMES = ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "IFS", "BASH_ENV", "ENV", "HOME"]
LOADER_NAMES += ["PONCHO_STORE", "CONDA_PREFIX", "GLIBC_TUNABLES", "PS4", "SHELLOPTS", "GIT_SSH_COMMAND"]


@pytest.mark.parametrize("name", HOSTILE_NAMES + LOADER_NAMES)
@pytest.mark.parametrize("kind", ["git", "http"])
def test_variable_names_that_are_unsafe_are_refused(kind, name):
    source = {"remote": "https://h/r"} if kind == "git" else {"url": "https://h/f"}
    with pytest.raises(SpecError) as caught:
        parse({kind: {name: source}})
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_binary_input_is_refused_in_words(tmp_path):
    from poncho.spec import load_spec

    archive = tmp_path / "env.tar.gz"
    archive.write_bytes(b"\x1f\x8b\x08" + bytes(range(256)))
    with pytest.raises(SpecError, match="is not text") as caught:
        load_spec(archive)
    assert "poncho_package_run" in caught.value.hint


def test_python_source_gets_the_command_that_makes_a_spec_of_it():
    with pytest.raises(SpecError, match="is Python source") as caught:
        loads_spec("import numpy\n\nnumpy.zeros(3)\n", source="app.py")
    assert "poncho_package_analyze app.py" in caught.value.hint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["conda", "pip", "git", "http", "channels", "dependencies", "remote", "url", "A", "x"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_no_json_value_raises_anything_but_a_poncho_error(value):
    try:
        parse(value)
        message = ""
    except PonchoError as error:
        message = error.message
    assert "\n" not in message


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_poncho_error(text):
    try:
        loads_spec(text)
    except PonchoError:
        pass


DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"conda": ' + DEEP * "[" + DEEP * "]" + "}", "nested too deeply"),
        ("dependencies: " + DEEP * "[" + DEEP * "]", "nested too deeply"),
        ("dependencies:\n  " + 20_000 * "- " + "x", "nested too deeply"),
        ("[project]\ndependencies = " + DEEP * "[" + DEEP * "]", "nested too deeply"),
        ("# /// script\n# dependencies = " + DEEP * "[" + "\n# ///\n", "nested too deeply"),
        ("[project]\nnumber = " + 5000 * "9" + "\n", "not TOML: Exceeds the limit"),
        ("dependencies: &a [*a]\n", "recursive"),
    ],
    ids=["json", "yaml", "yaml in blocks", "toml", "script", "number", "recursion"],
)
def test_what_would_exhaust_the_parser_is_refused(text: str, words: str):
    with pytest.raises(SpecError, match=words):
        loads_spec(text)


def test_a_list_of_requirements_without_an_end_is_not_read(tmp_path):
    with pytest.raises(SpecError, match="larger than"):
        loads_spec("-r /dev/zero\n", base=tmp_path)


@pytest.mark.parametrize("text", ['{"pip": ["numpy"', '{"pip": ["nu', "{", '{"pip":'])
def test_a_text_that_was_cut_off_is_told_so(text: str) -> None:
    with pytest.raises(SpecError, match="not JSON") as caught:
        loads_spec(text)
    assert "was cut off" in str(caught.value.hint)


@pytest.mark.parametrize("text", ['{"pip": ["a\ud800"]}', '{"pip": ["a\\ud800"]}'], ids=["as it is", "escaped"])
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="half of a surrogate pair"):
        loads_spec(text)


@pytest.mark.parametrize("name", ["", " ", "num\npy", "\ud800", 1])
def test_a_pinned_name_that_is_none_is_refused(name: object) -> None:
    with pytest.raises(SpecError, match="/pinned/conda/"):
        parse({"pinned": {"conda": {name: "1.26.4"}}})


def test_local_code_must_be_there_when_that_is_asked_and_the_place_is_told(tmp_path):
    from poncho.spec import loads_spec

    texts = {
        '{"conda": {"dependencies": ["pip", {"pip": ["./nope[x]"]}]}}': "/conda/dependencies/1/pip/0",
        '{"pip": ["six", "./there", "nope.whl"]}': "/pip/2",
    }
    (tmp_path / "there").mkdir()
    for text, pointer in texts.items():
        assert loads_spec(text, base=tmp_path).pip
        with pytest.raises(SpecError, match="no such file") as caught:
            loads_spec(text, base=tmp_path, there=True)
        assert caught.value.pointer == pointer
    with pytest.raises(SpecError, match=r"line 2: '\./nope'"):
        loads_spec("six\n./nope\n", base=tmp_path, there=True)
