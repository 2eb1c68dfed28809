"""Locks as text: deterministic, free of secrets, and read back with the place of each mistake."""

from __future__ import annotations

import json

import pytest

from poncho.errors import SpecError
from poncho.lock.codec import dumps, loads
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedHttp, LockedPip

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
