"""Completion that real shells complete with, and manual pages that real formatters accept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from poncho._version import __version__
from poncho.cli import manual
from poncho.cli.completion import SHELLS, completion
from poncho.cli.main import COMMANDS
from tests.support.cli import CHECKOUT, command_path, environment, run_cli

PYTHON_COMMANDS = [name for name in manual.NAMES if manual.NAMES[name] != "run"]


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} on this machine")
    return found


def ask(*command: str, text: str = "", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", manual.NAMES)
def test_every_shell_can_read_its_completion(name: str, shell: str, tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(completion(name, shell))
    done = subprocess.run([need(shell), "-n", tmp_path / "completion"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def bash(words: list[str], tmp_path: Path, name: str = "poncho") -> set[str]:
    """Return what bash completes the last word to."""
    (tmp_path / "completion").write_text(completion(name, "bash"))
    line = " ".join(words)
    script = f"""
    source {tmp_path / "completion"}
    COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
    COMP_LINE={line!r}; COMP_POINT={len(line)}
    spec=$(complete -p {name}); function=${{spec##*-F }}; function=${{function%% *}}
    "$function" {words[0]} {words[-1]!r} {words[-2] if len(words) > 1 else ""!r} 2>/dev/null
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(ask(need("bash"), "--norc", "-c", script).split())


def test_bash_completes_commands_options_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bash(["poncho", ""], tmp_path) >= set(COMMANDS)
    assert bash(["poncho", "cr"], tmp_path) == {"create"}
    assert "--conda-executable" in bash(["poncho", "create", "--c"], tmp_path)
    assert {"list", "prune", "verify", "path"} <= bash(["poncho", "store", ""], tmp_path)
    assert {"auto", "live", "plain", "json", "none"} <= bash(["poncho", "create", "--progress", ""], tmp_path)
    assert {"--isolate", "--clean-env"} <= bash(["poncho_package_run", "--"], tmp_path, "poncho_package_run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").touch()
    assert "spec.json" in bash(["poncho_package_create", "sp"], tmp_path, "poncho_package_create")


def test_bash_completes_when_a_person_presses_tab(tmp_path: Path) -> None:
    (tmp_path / "rc").write_text(f"PS1='$ '\n{completion('poncho', 'bash')}\n")
    shell = pexpect.spawn(need("bash"), ["--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"], timeout=20)
    shell.expect(re.escape("$ "))
    shell.send("poncho ser\t")
    shell.expect("poncho serverize ")
    shell.sendcontrol("u")
    shell.send("exit\r")
    shell.close()


def test_zsh_completes(tmp_path: Path) -> None:
    for name in ("poncho", "poncho_package_create"):
        (tmp_path / f"_{name}").write_text(completion(name, "zsh"))
    (tmp_path / ".zshrc").write_text(
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump; PS1='$ '; unsetopt beep\n"
    )
    env = environment({"ZDOTDIR": tmp_path, "TERM": "dumb"})
    shell = pexpect.spawn(need("zsh"), ["-i"], env=env, timeout=30, dimensions=(50, 150))
    shell.expect(re.escape("$ "))
    shell.send("poncho ser\t")
    shell.expect("poncho serverize ")
    shell.sendcontrol("u")
    shell.send("poncho_package_create --conda-e\t")
    shell.expect("--conda-executable ")
    shell.close(force=True)


def test_fish_completes(tmp_path: Path) -> None:
    fish = need("fish")
    directory = tmp_path / "config" / "fish" / "completions"
    directory.mkdir(parents=True)
    (directory / "poncho.fish").write_text(completion("poncho", "fish"))
    # fish completes only what is a command.
    path = f"{command_path('poncho').parent}:{os.environ['PATH']}"
    home = {"XDG_CONFIG_HOME": tmp_path / "config", "XDG_DATA_HOME": tmp_path / "data", "HOME": tmp_path}
    env = environment({**home, "PATH": path})

    def completes(line: str) -> set[str]:
        said = ask(fish, "-c", f'complete --do-complete "{line}"', env=env)
        return {row.split("\t")[0] for row in said.splitlines()}

    assert set(COMMANDS) <= completes("poncho ")
    assert "--conda-executable" in completes("poncho create --c")


@pytest.mark.parametrize("file", manual.pages())
def test_manual_pages_are_clean_roff(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(manual.pages()[file])
    if manual.pages()[file].startswith(".so "):
        assert manual.pages()[file].split("/")[1].strip() in manual.pages()
        return
    done = subprocess.run([need("mandoc"), "-Tlint", tmp_path / file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run([need("groff"), "-ww", "-man", "-Tutf8", tmp_path / file], capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_a_manual_page_has_what_help_has(tmp_path: Path) -> None:
    page = run_cli("poncho", "man", "create").ok().stdout
    (tmp_path / "page").write_text(page)
    shown = ask(need("mandoc"), "-Tascii", "-Owidth=200", str(tmp_path / "page"))
    shown = re.sub(r".\x08", "", shown)
    for option in re.findall(
        r"^  (?:-\w, )?(--[\w-]+)", run_cli("poncho", "create", "--help").ok().stdout, re.MULTILINE
    ):
        assert option in shown or option == "--help"
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
        assert f"\n{section}\n" in shown
    assert "poncho_package_create" in run_cli("poncho", "man", "poncho_package_create").ok().stdout


@pytest.mark.parametrize("epoch", ["soon", "99999999999999999999", "-1"])
def test_a_time_that_is_none_is_said_of_a_manual_page(epoch: str) -> None:
    done = run_cli("poncho", "man", "create", "--roff", env={"SOURCE_DATE_EPOCH": epoch}).failed()
    assert f"SOURCE_DATE_EPOCH={epoch}: not a number of seconds since 1970" in done.stderr


def test_a_manual_page_tells_the_exit_status_once() -> None:
    assert "EXIT STATUS" in manual.manual_page("poncho create")
    for name in ("diff", "verify", "trace"):
        page = manual.manual_page(f"poncho {name}")
        assert "EXIT STATUS" not in page
        assert "xit status" in page


def test_the_manual_of_the_runner_has_all_its_options() -> None:
    told = run_cli("poncho_package_run", "--help").ok().stdout
    page = manual.manual_page("poncho_package_run").replace("\\-", "-").replace("\\", "")
    for option in re.findall(r"^  (?:-\w,|   ) (--[\w-]+)", told, re.MULTILINE):
        assert option in page, option


def test_an_unknown_page_names_those_that_exist() -> None:
    done = run_cli("poncho", "man", "pakc").failed()
    assert done.returncode == 2
    assert "poncho create" in done.stderr


def test_help_lists_every_command_in_groups() -> None:
    told = run_cli("poncho", "--help").ok().stdout
    for name, words in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", told, re.MULTILINE)
    assert run_cli("poncho").failed().returncode == 2
    assert "did you mean create?" in run_cli("poncho", "creat").failed().stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_has_help(name: str) -> None:
    assert run_cli("poncho", name, "--help").ok().stdout.lower().startswith("usage")


@pytest.mark.parametrize("name", PYTHON_COMMANDS)
def test_every_command_says_its_version(name: str) -> None:
    if name == "poncho_package_serverize":
        return  # its --version says for which system
    said = name.replace("python_", "poncho_")
    assert run_cli(name, "--version").ok().stdout == f"{said} {__version__}\n"


def test_every_installed_command_has_a_page_and_completion() -> None:
    installed = {path.name for path in (CHECKOUT / "bin").iterdir() if path.is_file()}
    assert set(manual.NAMES) == installed
    assert {f"{name}.1" for name in installed} <= set(manual.pages())


@pytest.mark.slow
@pytest.mark.network
def test_an_installation_has_pages_and_completion_where_they_are_looked_for(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info", "__pycache__", ".*_cache", ".cache")
    shutil.copytree(CHECKOUT, source, ignore=ignored, symlinks=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    pip = [str(tmp_path / "env" / "bin" / "pip"), "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, str(source)], check=True)
    share = tmp_path / "env" / "share"
    for name in manual.NAMES:
        assert (share / "man" / "man1" / f"{name}.1").is_file()
        assert (share / "bash-completion" / "completions" / name).is_file()
        assert (share / "zsh" / "site-functions" / f"_{name}").is_file()
        assert (share / "fish" / "vendor_completions.d" / f"{name}.fish").is_file()
    if shutil.which("man"):
        env = {"PATH": f"{tmp_path / 'env' / 'bin'}:/usr/bin:/bin"}
        assert ask("man", "-w", "poncho_package_create", env=env).startswith(str(share))


def test_a_command_is_found_where_the_tests_think() -> None:
    assert command_path("poncho").is_file()
