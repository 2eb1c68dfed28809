"""Words for the scripts of batch systems: what survives them, and what is refused."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from poncho.errors import UsageError
from poncho.integrations.command import Placed, shell_text


def test_braces_survive_the_rounds_of_formatting_that_parsl_gives_a_launch_command():
    words = ["run", "/store {a}/env.tar.gz", "it's"]
    text = shell_text(words, formatted=2) + " {port} --block={{block}}"
    assert shlex.split(text.format(port=1).format(block=2)) == [*words, "1", "--block=2"]


@pytest.mark.parametrize("word", ["/a$HOME", "/a`id`", "/a\\b", "/a\nb", "/a!b"])
def test_a_path_that_a_batch_script_would_expand_is_refused(word: str):
    with pytest.raises(UsageError, match="expand") as caught:
        shell_text([word])
    assert caught.value.hint


def test_a_command_goes_through_a_here_document_as_the_launchers_write_it():
    text = shell_text(["printf", "%s", "/a b'c{d}"])
    script = f"cat << END > cmd.sh\n{text}\nEND\nsh ./cmd.sh; rm cmd.sh"
    run = subprocess.run(["bash", "-c", f"cd $(mktemp -d) && {script}"], capture_output=True, text=True, check=True)
    assert run.stdout == "/a b'c{d}"


def test_store_and_module_directories_stand_where_the_runner_reads_them():
    words = Placed("/r", "/e.tar.gz").argv(store="/s", python_path=["/a", "/b"])
    assert words == ["env", "PONCHO_STORE=/s", "/r", "-e", "/e.tar.gz", "--env", "PYTHONPATH=/a:/b", "--"]
