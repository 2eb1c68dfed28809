"""Three dialects are read, one is written, nothing of the caller's is changed."""

import copy
import json

import pytest

from poncho.errors import SpecError
from poncho.spec import Spec, as_spec, document, dumps, loads_spec, parse, spec_digest


def test_oldest_dialect_is_a_plain_list_with_top_level_pip():
    spec = parse({"conda": ["conda-forge::numpy=1.26", "defaults::python=3.9"], "pip": ["dill"]})
    assert spec.conda == ("conda-forge::numpy=1.26", "defaults::python=3.9")
    assert spec.pip == ("dill",)
    assert spec.names_a_channel


def test_packages_dialect_keeps_channels_and_top_level_pip():
    spec = parse({"conda": {"channels": ["b", "a"], "packages": ["numpy"]}, "pip": ["dill"]})
    assert (spec.channels, spec.conda, spec.pip) == (("b", "a"), ("numpy",), ("dill",))


def test_dependencies_dialect_merges_nested_and_top_level_pip():
    spec = parse({"conda": {"channels": ["c"], "dependencies": ["python=3.11", {"pip": ["x==1"]}]}, "pip": ["y"]})
    assert spec.conda == ("python=3.11",)
    assert spec.pip == ("x==1", "y")


def test_pinned_is_read_in_every_dialect():
    for conda in (["numpy"], {"packages": ["numpy"]}, {"dependencies": ["numpy"]}):
        assert parse({"conda": conda, "pinned": {"conda": {"NumPy": "1.26"}}}).pinned == {"numpy": "1.26"}
    assert parse({"pip": ["x"], "pinned": {"conda": {"numpy": "1"}}}).pinned == {"numpy": "1"}


def test_channel_order_is_priority_and_never_changes():
    channels = ["zeta", "alpha", "mid", "alpha"]
    assert parse({"conda": {"channels": channels, "dependencies": []}}).channels == ("zeta", "alpha", "mid")


def test_the_argument_is_left_as_it_is():
    given = {"conda": {"channels": ["b", "a"], "dependencies": ["z", "a", {"pip": ["q", "b"]}]}, "pip": ["z", "a"]}
    before = copy.deepcopy(given)
    spec = as_spec(given)
    given["conda"]["channels"].append("c")
    assert spec.channels == ("b", "a")
    given["conda"]["channels"].pop()
    assert given == before


def test_what_is_written_reads_back_as_the_same_spec():
    text = json.dumps(
        {
            "python": "3.11",
            "conda": {"channels": ["x"], "dependencies": ["numpy"]},
            "pip": ["dill"],
            "git": {"A": {"remote": "https://h/r.git", "ref": "main", "depth": 1, "submodules": True}},
            "http": {"B": {"url": "https://h/f.tar.xz", "type": "tar", "headers": {"X-Key": "MY_KEY"}}},
            "pinned": {"conda": {"numpy": "1.26"}},
        }
    )
    spec = loads_spec(text)
    assert loads_spec(dumps(spec)) == spec
    assert dumps(loads_spec(dumps(spec))) == dumps(spec)


def test_written_form_nests_pip_below_conda_as_callers_expect():
    assert document(parse({"pip": ["dill"]})) == {"conda": {"channels": [], "dependencies": [{"pip": ["dill"]}]}}


def test_digest_depends_on_channel_order_and_not_on_the_file_name():
    one = loads_spec('{"conda": {"channels": ["a", "b"], "dependencies": ["x"]}}', source="one.json")
    two = loads_spec('{"conda": {"dependencies": ["x"], "channels": ["a", "b"]}}', source="two.json")
    other = loads_spec('{"conda": {"channels": ["b", "a"], "dependencies": ["x"]}}')
    assert spec_digest(one) == spec_digest(two) != spec_digest(other)


@pytest.mark.parametrize(("alias", "name"), [("gz", "gzip"), ("zstd", "zst"), ("bzip2", "bz2"), ("xz", "xz")])
def test_common_names_of_compressions_are_understood(alias, name):
    spec = parse({"http": {"A": {"url": "http://h/x", "compression": alias}}})
    assert spec.http["A"].compression == name


def test_what_only_leads_to_a_spec_is_none(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text("{}")
    with pytest.raises(SpecError, match="is a file, not the text of a spec") as caught:
        as_spec(str(path))
    assert "poncho.spec.load_spec(" in str(caught.value.hint)

    class Holder:
        spec = Spec()

    with pytest.raises(SpecError, match="Holder is no spec, but holds one"):
        as_spec(Holder())  # type: ignore[arg-type]
