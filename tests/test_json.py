"""Whatever is wrong with JSON of others is one kind of error."""

import pytest

from poncho import _json


def test_a_value_comes_out():
    assert _json.loads('{"a": [1, null]}') == {"a": [1, None]}
    assert _json.loads(b'"\xc3\xa4"') == "ä"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "Expecting value", id="nothing"),
        pytest.param('{"a": 1', "Expecting", id="cut"),
        pytest.param(b'"\xff"', "decode", id="no text"),
        pytest.param("[" * 200_000, "nested too deeply", id="lists"),
        pytest.param('{"a":' * 200_000, "nested too deeply", id="objects"),
    ],
)
def test_what_is_no_json_is_a_value_error(text: str | bytes, said: str):
    with pytest.raises(ValueError, match=said):
        _json.loads(text)
