"""The live display, seen on real terminals: a pty, and a screen that is rendered as a terminal does."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.cli.live import line
from poncho.cli.steps import Steps
from tests.support.cli import command_path, run_cli
from tests.support.httpserver import HttpServer
from tests.support.terminal import Terminal, on_terminal, start


def create(spec: Path, **how: object) -> Terminal:
    cache = {"PONCHO_CACHE_DIR": spec.parent / "cache", **how.pop("env", {})}  # type: ignore[dict-item]
    return on_terminal("poncho_package_create", spec, spec.parent / "env.tar.gz", env=cache, **how)  # type: ignore[arg-type]


def spec_for(directory: Path, url: str) -> None:
    (directory / "spec.json").write_text(json.dumps({"http": {"A": {"url": url}}}))


@pytest.mark.parametrize("columns", [200, 80, 40, 24])
def test_a_step_is_a_line_that_is_redrawn_in_place(small_spec: Path, columns: int) -> None:
    terminal = create(small_spec, size=(columns, 30))
    assert terminal.end() == 0
    shown = terminal.everything()
    for step in ("data", "solve", "install", "pack"):
        assert sum(row.startswith(f"✓ {step}") for row in shown) == 1, shown
    assert not any(row[:1] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" for row in shown if row), shown
    # The display comes first and the result last; nothing of a former state was left between or above them.
    assert shown[0][:1] == "✓"
    assert "".join(shown).count("unpacked") == 1
    if columns >= 80:
        assert any("3.0 MB" in row or "events.bin" in row for row in shown), shown


def test_it_says_how_far_how_fast_and_how_long(tmp_path: Path) -> None:
    with HttpServer() as web:
        web.put("/large.bin", os.urandom(900_000), stall_after=450_000, stalls=1, stall_seconds=1.5)
        spec_for(tmp_path, web.url("/large.bin"))
        terminal = create(tmp_path / "spec.json", size=(110, 20))
        terminal.read(until=lambda: any("of 900 kB" in row and "━" in row for row in terminal.shown()))
        row = next(row for row in terminal.shown() if "data" in row)
        assert "large.bin" in row
        assert "%" in row
        assert terminal.end() == 0


def test_there_are_never_more_lines_than_the_terminal_has(small_spec: Path) -> None:
    terminal = create(small_spec, size=(60, 4))
    assert terminal.end() == 0
    assert sum(row.startswith("✓ pack") for row in terminal.everything()) == 1


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(small_spec: Path, term: str) -> None:
    terminal = create(small_spec, term=term, size=(200, 30))
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw
    assert any(row.startswith("poncho_package_create: pack: ") for row in terminal.everything())


def test_without_colour_and_without_unicode_it_still_works(small_spec: Path) -> None:
    plain = {"NO_COLOR": "1", "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    terminal = create(small_spec, env=plain)
    assert terminal.end() == 0
    assert not any(f"\x1b[{number}m".encode() in terminal.raw for number in range(30, 50))
    assert terminal.raw.isascii()
    assert any(row.startswith("* pack") for row in terminal.everything())


def test_a_warning_stands_above_the_display(tmp_path: Path) -> None:
    with HttpServer() as web:
        web.put("/a.bin", os.urandom(90_000), failures=2)
        spec_for(tmp_path, web.url("/a.bin"))
        terminal = create(tmp_path / "spec.json", size=(150, 20))
        assert terminal.end() == 0
    shown = terminal.everything()
    assert "HTTP 500" in shown[0]
    assert "trying again in 0.2 s (1 of 4)" in shown[0] or "trying again in 0.3 s (1 of 4)" in shown[0]
    assert "warning" in shown[1]
    assert all(row.startswith("✓") for row in shown[2:6]), shown


@pytest.mark.parametrize("how", ["interrupted", "killed", "hung up"])
def test_it_never_leaves_a_terminal_broken(tmp_path: Path, how: str) -> None:
    with HttpServer() as web:
        web.put("/a.bin", os.urandom(900_000), stall_after=400_000, stall_seconds=30)
        spec_for(tmp_path, web.url("/a.bin"))
        terminal = create(tmp_path / "spec.json")
        terminal.read(until=lambda: any("a.bin" in row for row in terminal.shown()))
        if how == "interrupted":
            terminal.process.sendintr()
        else:
            terminal.process.kill(signal.SIGKILL if how == "killed" else signal.SIGHUP)
        status = terminal.end()
    assert status == {"interrupted": 130, "killed": 137, "hung up": 129}[how]
    # What can outlive a process: a hidden cursor, colours, another screen, modes of mouse and keys.
    assert terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l")
    assert not terminal.screen.cursor.hidden
    assert not terminal.screen.cursor.attrs.bold
    assert terminal.screen.cursor.attrs.fg == "default"
    assert b"\x1b[?1049" not in terminal.raw
    if how == "interrupted":
        assert terminal.shown()[-1] == "poncho_package_create: interrupted (SIGINT); nothing was written"
        assert list(tmp_path.glob("cache/tmp/*")) == []


def test_in_the_background_it_does_not_draw(small_spec: Path) -> None:
    """What a shell has put into the background writes lines: the terminal is somebody else's."""
    script = f"set -m; {command_path('poncho_package_create')} {small_spec} {small_spec.parent}/x.tar.gz & wait"
    terminal = start(["bash", "-c", script], env={"PONCHO_CACHE_DIR": small_spec.parent / "cache"}, size=(200, 30))
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw
    assert (small_spec.parent / "x.tar.gz").exists()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("width", range(1, 130, 3))
def test_a_line_is_never_wider_than_the_terminal(width: int) -> None:
    clock = Clock()
    steps = Steps(clock)
    for number in range(12):
        clock.now = number * 0.5
        steps.add(Event("progress", "fetch", "ä漢字" * 20, done=number * 1_000_000, total=40_000_000, unit="bytes"))
    for step in steps.all:
        assert line(step, clock.now, width).cell_len < max(2, width)
        step.ended = clock.now
        assert line(step, clock.now, width).cell_len < max(2, width)


def test_rate_and_time_left_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    steps = Steps(clock)
    for number in range(101):
        clock.now = number * 0.5
        # Slow for forty seconds, then ten times as fast.
        done = min(number, 80) * 50 + max(0, number - 80) * 500
        step = steps.add(Event("progress", "fetch", done=done, total=24_000, unit="bytes"))
    assert step.rate(clock.now) == pytest.approx(1000, rel=0.1)
    assert step.left(clock.now) == pytest.approx(10, rel=0.1)


def test_a_halt_does_not_make_the_rest_take_for_ever() -> None:
    clock = Clock()
    steps = Steps(clock)
    for number in range(101):
        clock.now = float(number)
        # Ten a second for a minute, then next to nothing.
        step = steps.add(
            Event("progress", "compile", done=min(number, 60) * 10 + number // 61, total=1200, unit="files")
        )
    assert step.rate(clock.now) is None
    steps.add(Event("progress", "compile", done=602, total=1200, unit="files"))
    assert step.left(clock.now) == pytest.approx(3 * (1200 - 602) / 6, rel=0.1)


def test_items_side_by_side_are_summed_and_end_with_the_last() -> None:
    steps = Steps(Clock())
    steps.add(Event("start", "data", item="a"))
    steps.add(Event("start", "data", item="b"))
    steps.add(Event("progress", "data", done=10, total=100, unit="bytes", item="a"))
    step = steps.add(Event("progress", "data", done=5, total=50, unit="bytes", item="b"))
    assert (step.done, step.total, step.ended) == (15, 150, None)
    steps.add(Event("done", "data", done=100, total=100, unit="bytes", item="a"))
    assert step.ended is None
    steps.add(Event("done", "data", done=50, total=50, unit="bytes", item="b"))
    assert step.ended is not None
    assert step.amount == "150 B"


def test_into_a_pipe_the_last_step_has_a_line_of_its_own(small_spec: Path) -> None:
    done = run_cli("poncho", "create", small_spec, small_spec.with_name("env.tar.gz"), "--progress", "live").ok()
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("poncho create: ")
    assert "pack" in lines[-2]
