"""The exported atlas in chromium: from a file, silent, by keyboard, on a phone, in the dark."""

import pytest
from bench.atlas import atlas_data
from bench.atlas.cells import Cell
from tests import atlas_kit
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

from tuneworthy.lab.export import export_site

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
KEY = Cell("clause_type", 100).key("smollm2-135m")
SHAPES = [
    {"viewport": {"width": 1200, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    results = atlas_kit.results_of(folder / "study")
    entry = atlas_kit.entry(results, key=KEY, kind="Clause types", facts_change=True)
    card = entry.card.model_copy(update={"size": 100, "model": "smollm2-135m"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas_data, "SHIPPED_FOLDER", folder / "nothing-shipped")
        atlas_kit.publish(patch, folder, entry.model_copy(update={"card": card}))
        return export_site(folder / "site").parent


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def visit(browser, site, name, **options):
    tab = browser.new_context(**options).new_page()
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto((site / name).as_uri())
    return tab


@pytest.mark.parametrize("options", SHAPES, ids=["desktop", "phone, dark"])
@pytest.mark.parametrize("name", ["atlas.html", f"atlas-{KEY}.html"])
def test_a_page_fits_and_asks_nothing(browser, site, name, options):
    tab = visit(browser, site, name, **options)
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.evaluate(over) <= 0
    assert tab.said == []
    assert all(url.startswith("file:") for url in tab.asked)
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(252, 251, 248)") == ("color_scheme" not in options)


def test_the_two_questions_change_what_is_named(browser, site):
    tab = visit(browser, site, f"atlas-{KEY}.html")
    shown = "[...document.querySelectorAll('.chosen [data-views]')].filter((v) => !v.hidden)"
    (first,) = tab.evaluate(f"{shown}.map((v) => v.dataset.views)")
    assert "none-0" in first.split()
    tab.get_by_role("button", name="Facts move").click()
    tab.get_by_role("button", name="Seconds count").click()
    (second,) = tab.evaluate(f"{shown}.map((v) => v.dataset.views)")
    assert "seconds-1" in second.split()
    assert "left out: tfidf" in tab.evaluate(f"{shown}[0].textContent")
    assert tab.locator("tr.out th").first.text_content().startswith("tfidf")
    assert tab.said == []


def test_from_the_map_to_a_case_by_keyboard(browser, site):
    tab = visit(browser, site, "atlas.html")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/atlas-{KEY}.html")
    tab.locator("details.case summary").first.click()
    assert tab.locator("details.case[open] .answers li").count() == 4
