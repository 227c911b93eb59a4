"""Guess first and the advisers' table in chromium: from a file, by keys, dark, on a phone."""

import sys
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from bench.atlas.entry import Entry
from test_lab_in_browser import CONTRAST, NAMES, silent, text
from tests import atlas_kit
from tests.advice_kit import prompt_task, task

from tuneworthy.lab.export import export_site

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
TASKS = [task(f"t{i}", size=600) for i in range(3)] + [prompt_task(f"p{i}") for i in range(2)]
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Export the lab with made-up measured tasks."""
    folder = tmp_path_factory.mktemp("made-up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas_kit.Atlas, "entry", lambda self, key: Entry(card=TASKS[0]))
        atlas_kit.ship(patch, folder, atlas_kit.atlas_of(*TASKS))
        return {"made-up": export_site(folder / "site").parent}


@pytest.fixture
def visit(browser, sites):
    contexts = []

    def opened(page, site="made-up", **options):
        context = browser.new_context(reduced_motion="reduce", **options)
        contexts.append(context)
        tab = context.new_page()
        tab.messages, tab.requests = [], []
        tab.on("console", lambda message: tab.messages.append(message.text))
        tab.on("pageerror", lambda error: tab.messages.append(str(error)))
        tab.on("request", lambda request: tab.requests.append(request.url))
        name, _, fragment = page.partition("#")
        tab.goto((sites[site] / name).as_uri() + (f"#{fragment}" if fragment else ""))
        return tab

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["guess.html", "advice.html"])
def test_pages_are_readable_silent_and_not_too_wide(visit, sites, name, size):
    tab = visit(name, **SIZES[size])
    assert tab.evaluate(CONTRAST) == []
    assert tab.evaluate(NAMES) == []
    assert tab.evaluate(WIDE) <= 0
    if name == "guess.html":
        tab.click("[data-tool='tune']")
        assert tab.evaluate(CONTRAST) == []
        assert tab.evaluate(WIDE) <= 0
    silent(tab, sites["made-up"])


def test_nothing_is_revealed_before_the_guess_and_bounds_after_it(visit):
    tab = visit("guess.html")
    assert text(tab, "#task-title") == "made-up task p0"
    assert tab.locator("#rows tr").count() == 10
    assert tab.locator("#reveal").is_hidden()
    assert tab.locator(".option.right").count() == 0
    assert "few_shot" not in tab.locator("main").inner_text()
    tab.click("[data-tool='classifier']")
    said = text(tab, "#outcome")
    assert said.startswith("Shown wrong. Measured: prompt (few_shot), firm.")
    assert ".40 (.30 to .50) less than the best arm" in said
    assert tab.locator("#measured li").count() == 3
    assert tab.locator(".option.right").get_attribute("data-tool") == "prompt"
    assert text(tab, "#score") == "0 right, 1 wrong, 0 open, of 1 guessed and 5 in all."
    assert tab.locator("#tools button:enabled").count() == 0


def test_keys_guess_and_move_and_a_link_shows_the_same(visit):
    tab = visit("guess.html")
    tab.keyboard.press("2")
    assert text(tab, "#outcome").startswith("Shown right")
    tab.keyboard.press("n")
    tab.keyboard.press("ArrowRight")
    assert text(tab, "#task-title") == "made-up task t0"
    tab.keyboard.press("3")
    assert text(tab, "#score") == "2 right, 0 wrong, 0 open, of 2 guessed and 5 in all."
    rows = tab.locator("#against li").all_inner_texts()
    assert rows[0].split("\n") == ["You", "2 right, 0 wrong of 2"]
    always = next(row for row in rows if row.startswith("always fine-tune"))
    assert always.endswith("2 right, 0 wrong of 2")
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    fragment = tab.url.partition("#")[2]
    again = visit(f"guess.html#{fragment}")
    assert text(again, "#score") == text(tab, "#score")
    assert text(again, "#task-title") == "made-up task t0"


def test_a_copied_link_shows_the_guesses_of_its_sender_until_the_visitor_guesses(visit):
    tab = visit("guess.html")
    tab.keyboard.press("2")
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.click("#copy")
    fragment = tab.evaluate("window.copied").partition("#")[2]
    assert text(tab, "#whose") == "Your score"
    got = visit(f"guess.html#{fragment}")
    assert text(got, "#whose") == "The score in this link"
    assert text(got, "#trouble").startswith("These are the guesses of whoever shared this link.")
    assert text(got, "#against li").startswith("Whoever shared this link")
    got.reload()
    assert text(got, "#score") == text(tab, "#score")
    got.click("#anew")
    assert text(got, "#score") == "No guess yet."
    assert got.locator("#trouble").is_hidden()
    got.keyboard.press("1")
    assert text(got, "#whose") == "Your score"
    assert text(got, "#against li").startswith("You")
    assert "shared" not in got.url


@pytest.mark.parametrize(
    "fragment", ["v=other&g=0b1c", "g=99z0z&at=9999", "at=-1&g=<script>", "%%%", "v=&at=1e9"]
)
def test_a_foreign_or_broken_link_starts_anew(visit, sites, fragment):
    tab = visit(f"guess.html#{fragment}")
    assert text(tab, "#score") == "No guess yet."
    silent(tab, sites["made-up"])
