"""The spec that travels names what was on the building machine, and not where it was."""

from poncho.spec import dumps, loads_spec, portable


def test_paths_and_credentials_of_the_building_machine_stay_at_home(tmp_path):
    text = """{
        "conda": {"channels": ["https://u:CANARY@h.example/c", "https://h.example/t/CANARY/d"], "dependencies": []},
        "pip": ["./mine", "other @ file:///home/CANARY/other#content=abc", "x @ https://CANARY@h.example/x.whl", "numpy>=1"],
        "git": {"A": {"remote": "../repository"}, "B": {"remote": "https://u:CANARY@h.example/r.git", "ref": "v1"}},
        "http": {"C": {"url": "https://h.example/f?token=CANARY"}}
    }"""
    base = tmp_path / "CANARY"
    spec = portable(loads_spec(text, base=base))
    assert "CANARY" not in dumps(spec)
    assert spec.pip == ("./mine", "other", "x @ https://h.example/x.whl", "numpy>=1")
    assert spec.git["A"].remote == "repository"
    assert spec.channels == ("https://h.example/c", "https://h.example/d")


def test_what_names_no_place_is_left_as_it_is():
    text = '{"python": "3.11", "pip": ["numpy"], "git": {"A": {"remote": "https://h.example/r.git", "ref": "v1"}}}'
    assert portable(loads_spec(text)) == loads_spec(text)
