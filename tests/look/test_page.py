"""The page is one file, can be clicked and typed through, and nothing in a package acts in it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from poncho.look import look
from poncho.look.page import make_page
from poncho.pack import PackedPackage
from tests.look.conftest import ODD


@pytest.fixture
def page(full: PackedPackage, browser: Any, tmp_path: Path) -> Any:
    """Yield the page, open in a browser that may ask nobody; nothing that it says on its console is accepted."""
    file = tmp_path / "page.html"
    file.write_text(make_page(look(full.path)), "utf-8")
    opened = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light")
    asked: list[str] = []
    said: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    assert opened.evaluate("window.pwned") is None
    assert said == []
    assert [url for url in asked if url.partition("#")[0] != file.as_uri()] == []
    opened.close()


def until(page: Any, expression: str) -> None:
    """Wait until a JavaScript expression is true; the page's own policy forbids playwright's way of waiting."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def crumbs(page: Any) -> list[str]:
    return page.locator("#crumbs").all_inner_texts()[0].split("›")


def labels(page: Any) -> list[str]:
    return [
        label.partition(", ")[0] for label in page.locator(".cell.top").evaluate_all("all => all.map(e => e.ariaLabel)")
    ]


def test_the_same_package_gives_the_same_page_and_it_refers_to_nothing(full: PackedPackage) -> None:
    text = make_page(look(full.path))
    assert text == make_page(look(full.path))
    assert not re.search(r"<(?:link|img|iframe|script[^>]* src)|@import|url\(", re.sub(r"(?s)<script.*", "", text))
    assert "default-src 'none'" in text
    data = re.search(r'(?s)<script type="application/json" id="data">(.*?)</script>', text)
    assert data is not None
    assert "<" not in data[1]
    assert json.loads(data[1])["facts"]["digest"] == full.digest


def test_a_click_goes_into_a_package_and_its_directories_and_the_crumbs_lead_out(page: Any) -> None:
    assert "mine" in labels(page)
    page.locator(".cell.top[aria-label^='mine,']").click(position={"x": 8, "y": 8})
    assert [word.strip() for word in crumbs(page)] == ["All packages", "mine"]
    assert labels(page)[0] == "mine"  # its directory
    page.locator(".cell.top").first.click(position={"x": 8, "y": 8})
    assert labels(page) == ["lib.so"]  # the other file is too small for a cell
    assert page.locator("#list .what").all_inner_texts() == ["lib.so", "__init__.py"]
    assert page.url.endswith("#pip%3Amine/mine")
    page.locator(".cell.top").first.click()
    assert page.locator(".cell.top").first.evaluate("e => e === document.activeElement")
    page.locator("#crumbs button").first.click()
    assert page.locator("#crumbs b").inner_text() == "All packages"


def test_the_back_button_and_an_address_with_a_place_work(page: Any) -> None:
    page.locator("#list button", has_text="mine").click()
    page.go_back()
    until(page, "document.querySelector('#crumbs b').textContent === 'All packages'")
    page.evaluate("location.hash = '#pip%3Amine/mine'")
    until(page, "document.querySelectorAll('#crumbs button').length === 2")
    page.evaluate("location.hash = '#pip%3Aabsent/%ZZ'")
    until(page, "document.querySelector('#crumbs b').textContent === 'All packages'")


def test_the_map_is_worked_by_keys_alone(page: Any) -> None:
    page.locator("body").click(position={"x": 2, "y": 2})
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('top')"):
            break
    first = page.evaluate("document.activeElement.ariaLabel")
    assert first.startswith("mine, 1.0")
    assert page.locator("#tip").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.ariaLabel") != first
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.locator("#crumbs b").inner_text() == "mine"
    page.keyboard.press("Backspace")
    assert page.locator("#crumbs b").inner_text() == "All packages"
    assert page.evaluate("document.activeElement.ariaLabel") == first


def test_a_search_finds_files_by_parts_of_their_path(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("MINE .so")
    until(page, "document.querySelector('#listhead').textContent.startsWith('1 file found')")
    assert page.locator(".cell.hit").count() >= 1
    page.keyboard.press("Enter")
    assert page.locator("#crumbs b").inner_text() == "mine"
    assert page.locator(".cell.found").count() == 1
    page.fill("#search", "no such file")
    until(page, "document.querySelector('#listhead').textContent === 'No file found'")
    page.focus("#search")
    page.keyboard.press("Escape")
    assert page.locator("#map.searching").count() == 0


def test_odd_names_are_shown_as_text(page: Any) -> None:
    page.locator("#list button", has_text="no package").click()
    names = page.locator("#list .what").all_inner_texts()
    page.locator("#list button", has_text="share").first.click()
    names += page.locator("#list .what").all_inner_texts()
    for name in ("<img src=x onerror=pwned=1>", "&lt;b&gt; \"quoted\" 'too'", "\\x1b[31mred\\x07", "\\u202etxt.exe"):
        assert name in names
    assert {"not utf-8 \\xff\\xfe", "new\\nline", "${alert(1)} `x` @@data@@"} <= set(names)
    assert len([name for name in names if any(odd.startswith(f"share/{name[:4]}") for odd in ODD)]) >= 4
    page.locator("summary").click()
    assert "</script><script>pwned=1</script>" in page.locator("pre").inner_text()


def test_tooltips_light_and_dark_and_narrow(page: Any) -> None:
    page.locator(".cell.top").first.hover()
    assert "of all" in page.locator("#tip").inner_text()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.emulate_media(color_scheme="dark")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.set_viewport_size({"width": 390, "height": 800})
    until(page, "document.querySelector('#map').clientWidth < 390 && document.querySelector('.cell')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_table_sorts_and_leads_to_the_map(page: Any) -> None:
    names = page.locator("#packages tbody td:first-child")
    assert names.first.inner_text() == "mine"
    page.locator("#packages th button", has_text="Name").click()
    assert names.all_inner_texts() == sorted(names.all_inner_texts(), key=str.lower)
    page.locator("#packages tbody button", has_text="thing-tools").click()
    assert page.locator("#crumbs b").inner_text() == "thing-tools"


def test_areas_are_the_sizes(page: Any) -> None:
    found = page.locator(".cell.top").evaluate_all(
        "all => all.map(e => [e.node.bytes, e.offsetWidth * e.offsetHeight])"
    )
    whole = page.evaluate("document.querySelector('#map').clientWidth * document.querySelector('#map').clientHeight")
    bytes_in_all = sum(count for count, _ in found)
    for count, area in found:
        if area > 2000:
            assert area / whole == pytest.approx(count / bytes_in_all, rel=0.06)
