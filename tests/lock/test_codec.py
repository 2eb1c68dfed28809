"""Locks as text: deterministic, free of secrets, and read back with the place of each mistake."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poncho.errors import SpecError
from poncho.lock.codec import dumps, loads
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.spec import Spec, spec_digest

SHA = "a" * 64
RECORD = {
    "name": "numpy", "version": "1.26", "build": "py_0", "subdir": "noarch", "channel": "https://h/c/", "sha256": SHA,
    "url": "https://h/c/noarch/numpy-1.26-py_0.conda", "fn": "numpy-1.26-py_0.conda", "size": 7, "depends": ["python"],
}  # fmt: skip
CONDA = LockedConda("numpy", "1.26", "py_0", "noarch", "https://h/c/", RECORD["url"], sha256=SHA, size=7, record=RECORD)
WHOLE = Lock(
    platform="linux-64",
    spec_digest="d" * 64,
    virtual_packages=("__glibc=2.36=0",),
    channels=("https://h/c",),
    conda=(CONDA,),
    pip=(
        LockedPip("x", "1", "x==1", url="https://h/x-1-py3-none-any.whl", sha256=SHA),
        LockedPip("y", "", "/y", sha256=SHA),
    ),
    git={"CODE": LockedGit("https://h/r.git", "b" * 40, ref="main", depth=1, submodules=True)},
    http={"DATA": LockedHttp("https://h/d", SHA, 12, type="tar", compression="gzip")},
)


def test_a_lock_is_read_back_as_it_was_written():
    assert loads(dumps(WHOLE)) == WHOLE
    assert dumps(loads(dumps(WHOLE))) == dumps(WHOLE)


def test_the_text_does_not_depend_on_the_order_of_the_packages():
    other = LockedConda("abc", "1", "0", "noarch", "https://h/c/", "https://h/c/noarch/abc-1-0.conda")
    one, two = (Lock("linux-64", "d", conda=order) for order in ((CONDA, other), (other, CONDA)))
    assert dumps(one) == dumps(two)


def test_no_credential_is_written():
    secret = LockedConda("x", "1", "0", "noarch", "https://h/t/tk-SECRET/c", "https://u:SECRET@h/c/noarch/x-1-0.conda")
    lock = Lock(
        "linux-64",
        "d",
        channels=("https://u:SECRET@h/c",),
        conda=(secret,),
        pip=(LockedPip("p", "1", "p @ https://u:SECRET@h/p.whl", url="https://u:SECRET@h/p.whl"),),
        git={"A": LockedGit("https://u:SECRET@h/r.git", "b" * 40)},
        http={"B": LockedHttp("https://h/d?token=SECRET", SHA, 1)},
    )
    assert "SECRET" not in dumps(lock)


def test_the_base_of_this_machine_is_written_without_its_place():
    python = LockedConda(
        "python",
        "3.11.7",
        "0",
        "linux-64",
        "file:///home/me/.cache/x",
        "file:///home/me/.cache/x/linux-64/python-3.11.7-0.conda",
    )
    text = dumps(Lock("linux-64", "d", base=LockedBase("3.11.7", "pyenv", SHA), conda=(python,)))
    assert "/home/me" not in text
    assert json.loads(text)["conda"][0]["url"] == "base:linux-64/python-3.11.7-0.conda"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda lock: lock.pop("platform"), "/"),
        (lambda lock: lock.update(poncho_lock=99), "/"),
        (lambda lock: lock.update(extra=1), "/extra"),
        (lambda lock: lock.update(conda={}), "/conda"),
        (lambda lock: lock["conda"][0].pop("url"), "/conda/0"),
        (lambda lock: lock["conda"][0].update(sha256="xyz"), "/conda/0/sha256"),
        (lambda lock: lock["conda"][0].update(size=-1), "/conda/0/size"),
        (lambda lock: lock["conda"][0].update(record=[]), "/conda/0/record"),
        (lambda lock: lock["conda"][0].update(version="1.27"), "/conda/0/url"),
        (lambda lock: lock["conda"][0].update(name="scipy"), "/conda/0/url"),
        (lambda lock: lock["pip"][0].update(version="2"), "/pip/0/requirement"),
        (lambda lock: lock["pip"][1].update(requirement=7), "/pip/1/requirement"),
        (lambda lock: lock["git"]["CODE"].update(commit="main"), "/git/CODE/commit"),
        (lambda lock: lock["http"]["DATA"].pop("size"), "/http/DATA"),
    ],
)
def test_a_mistake_is_said_with_its_place(change, pointer):
    document = json.loads(dumps(WHOLE))
    change(document)
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document), source="lock.json")
    assert caught.value.pointer == pointer
    assert caught.value.message.startswith("lock.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"poncho_lock": "1"}'])
def test_what_is_no_lock_is_refused(text):
    with pytest.raises(SpecError):
        loads(text)


def test_headers_are_names_of_variables_and_are_kept():
    lock = replace(WHOLE, http={"DATA": LockedHttp("https://h/d", SHA, 12, headers={"Authorization": "TOKEN"})})
    assert loads(dumps(lock)).http["DATA"].headers == {"Authorization": "TOKEN"}


def test_the_spec_that_was_locked_stands_in_the_lock():
    spec = Spec(channels=("https://h/c",), conda=("numpy",), pip=("x",), python="3.11")
    lock = replace(WHOLE, spec=spec, spec_digest=spec_digest(spec))
    assert loads(dumps(lock)).spec == spec
    document = json.loads(dumps(lock))
    document["spec"]["conda"]["dependencies"].append("scipy")
    with pytest.raises(SpecError, match="changed by hand") as caught:
        loads(json.dumps(document))
    assert caught.value.pointer == "/spec_digest"
    document["spec"]["conda"] = 7
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document))
    assert caught.value.pointer == "/spec/conda"


def test_local_code_below_the_lock_is_written_relative_to_it(tmp_path):
    pip = (LockedPip("mine", "1", str(tmp_path / "code"), sha256=SHA), LockedPip("far", "1", "/elsewhere/far"))
    git = {"R": LockedGit(str(tmp_path / "data" / "r"), "b" * 40)}
    lock = Lock("linux-64", "d", pip=pip, git=git)
    text = dumps(lock, base=tmp_path)
    assert str(tmp_path) not in text
    assert [item["requirement"] for item in json.loads(text)["pip"]] == ["/elsewhere/far", "./code"]
    moved = loads(text, base=tmp_path / "moved")
    assert {item.name: item.requirement for item in moved.pip}["mine"] == str(tmp_path / "moved" / "code")
    assert moved.git["R"].remote == str(tmp_path / "moved" / "data" / "r")


def test_a_lock_of_a_newer_format_says_so():
    with pytest.raises(SpecError, match="newer PONCHO") as caught:
        loads('{"poncho_lock": 2, "anything": []}')
    assert caught.value.hint == "update PONCHO, or lock the spec again"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda lock: lock["pip"][0].update(requirement="--index-url http://evil"), "/pip/0/requirement"),
        (lambda lock: lock["pip"][0].update(requirement="x==1\n--pre"), "/pip/0/requirement"),
        (lambda lock: lock["pip"][1].update(name="../../y"), "/pip/1/name"),
        (lambda lock: lock["conda"][0].update(name="../x"), "/conda/0/name"),
        (lambda lock: lock["conda"][0].update(version="1 2"), "/conda/0/version"),
        (lambda lock: lock["conda"][0].update(subdir=".."), "/conda/0/subdir"),
        (lambda lock: lock["conda"][0].update(url="ext::sh -c id"), "/conda/0/url"),
        (lambda lock: lock["conda"][0].update(url="https://h/c/noarch/x.exe"), "/conda/0/url"),
        (lambda lock: lock["conda"].append(lock["conda"][0]), "/conda/1"),
        (lambda lock: lock["git"].update({"LD_PRELOAD": lock["git"]["CODE"]}), "/git/LD_PRELOAD"),
        (lambda lock: lock["http"]["DATA"].update(type="exe"), "/http/DATA/type"),
        (lambda lock: lock.update(platform="../.."), "/platform"),
        (lambda lock: lock["pip"][0].update(sise=7), "/pip/0/sise"),
    ],
)
def test_what_would_be_run_or_become_a_path_is_checked(change, pointer):
    document = json.loads(dumps(WHOLE))
    change(document)
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document))
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "1" * 5000, '{"poncho_lock": 1, "platform": "\\ud800"}', "[" * 99999]
)
def test_odd_json_is_refused(text):
    with pytest.raises(SpecError):
        loads(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


def _places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*path, key))


FUZZED = json.loads(dumps(WHOLE))
PLACES = [path for path in _places(FUZZED) if path]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_whatever_a_lock_holds_only_our_errors_escape(changes):
    document = json.loads(json.dumps(FUZZED))
    for path, value in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (LookupError, TypeError):
            continue
    try:
        lock = loads(json.dumps(document))
    except SpecError:
        return
    assert dumps(loads(dumps(lock))) == dumps(lock)
