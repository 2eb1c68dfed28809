"""No credential reaches a person, a log, a lock or a package."""

import pytest

from poncho._redact import redact, strip_channel, strip_credentials, strip_match_spec
from poncho.errors import FetchError

CANARY = "s3cr3t-CANARY"

LEAKY = [
    f"https://user:{CANARY}@host.example/path",
    f"https://{CANARY}@host.example/path",
    f"https://user:{CANARY}/more@host.example/path",
    f"https://user:a/{CANARY}@host.example:8080/path",
    f"netloc 'user:{CANARY}@host' contains invalid characters under NFKC normalization",
    f"clone of https://u:p@{CANARY}@host.example/x failed",
    f"https://conda.example/t/{CANARY}/channel/linux-64/repodata.json",
    f"https://host.example/x?a=1&token={CANARY}&b=2",
    f"https://host.example/x?X-Amz-Signature={CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"authorization=Basic {CANARY}",
]


@pytest.mark.parametrize("text", LEAKY)
def test_secret_is_masked_and_the_rest_stays(text):
    shown = redact(text)
    assert CANARY not in shown
    assert "****" in shown
    if "host.example" in text:
        assert "host.example" in shown


@pytest.mark.parametrize("text", LEAKY)
def test_errors_are_redacted_when_they_are_made(text):
    error = FetchError(f"cannot fetch {text}", hint=f"try {text}", context={"url": text})
    assert CANARY not in str(error)
    assert CANARY not in str(error.to_json())


def test_urls_for_a_lock_lose_their_credentials_and_still_work():
    assert strip_credentials(f"https://u:{CANARY}@h.example/a/b.conda") == "https://h.example/a/b.conda"
    assert strip_credentials(f"https://h.example/t/{CANARY}/c/b.conda") == "https://h.example/c/b.conda"


def test_a_local_directory_called_t_is_no_token():
    assert redact("/home/me/t/run/out: no such directory") == "/home/me/t/run/out: no such directory"


@pytest.mark.parametrize("url", ["file:///scratch/t/alice/channel/noarch/x.conda", "file:///t/alice/data.git"])
def test_nor_is_one_in_the_url_of_a_local_file(url):
    assert strip_credentials(url) == url
    assert strip_channel(url) == url
    assert redact(f"cannot read {url}") == f"cannot read {url}"


def test_ssh_user_names_are_no_secret():
    assert redact("ssh://git@host.example/repo") == "ssh://git@host.example/repo"
    assert redact("git@host.example:repo") == "git@host.example:repo"
    assert redact("nothing to hide: a@b") == "nothing to hide: a@b"


@pytest.mark.parametrize(
    "text",
    [
        "git+https://host.example:8080/repo.git@v1.0",
        "https://[::1]:8080/a@b",
        "https://host.example/a:b@c",
        "https://host.example: nobody@home answers",
    ],
)
def test_an_at_sign_behind_the_host_is_no_password(text):
    assert redact(text) == text


def test_what_a_url_names_is_left_as_it_is():
    for url in (
        "https://h.example/x?key=2&a=1",
        "ssh://git@h.example/r.git",
        "git@h.example:r.git",
        "/local/path",
        "file:///a b",
    ):
        assert strip_credentials(url) == url


def test_one_secret_parameter_goes_and_the_others_stay():
    assert strip_credentials(f"https://h.example/x?a=1&token={CANARY}&b=2") == "https://h.example/x?a=1&b=2"
    assert strip_credentials(f"https://h.example/x?token={CANARY}&a=1") == "https://h.example/x?a=1"
    assert strip_credentials(f"ssh://git:{CANARY}@h.example/r") == "ssh://git@h.example/r"


def test_a_token_at_the_end_of_a_channel_is_taken_out():
    assert strip_channel("https://h/t/tk-12345678") == "https://h"
    assert strip_channel("https://u:p@h/t/tk-12345678/c/") == "https://h/c/"
    assert strip_channel("conda-forge") == "conda-forge"
    assert strip_match_spec("https://u:p@h/t/tk-12345678::numpy=1.26") == "https://h::numpy=1.26"
    assert strip_match_spec("conda-forge::numpy") == "conda-forge::numpy"
    assert "tk-12345678" not in redact("cannot read https://h/t/tk-12345678: 401")
    assert redact("https://h/t/data.csv") == "https://h/t/data.csv"
