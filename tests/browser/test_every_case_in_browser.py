"""Every case of the exported lab, solved and failed from a file in chromium."""

import sys
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS

from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.events import run_id
from tuneworthy.lab.recordings import SHIPPED_RECORDS

sys.path.insert(0, str(Path(__file__).parent))
from test_lab_in_browser import (  # noqa: F401
    browser,
    ready,
    silent,
    site,
    text,
    until,
    visit,
)

pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS


def recorded(case):
    """Return {role: turns of the knobs}, one recorded setting that mends and one that does not."""
    plant, found = case.config("plant"), {}
    mend = {key: value for key, value in case.config("twin").items() if plant[key] != value}
    for turns in (mend, *(fix.turns for fix in case.module.FIXES)):
        name = run_id(case.slug, {**plant, **turns}, 0)
        if SHIPPED_RECORDS.has(name):
            checks = SHIPPED_RECORDS.events(name)[-1]["checks"]
            passed = bool(checks) and all(check["passed"] for check in checks)
            found.setdefault("mends" if passed else "fails", turns)
    return found


def turn(tab, case, turns):
    """Set the knobs; their options stand in the order of the case's values."""
    for key, value in turns.items():
        at = [repr(each) for each in case.module.KNOBS[key]].index(repr(value))
        tab.locator(f'[data-knob="{key}"]').select_option(index=at)


@pytest.mark.parametrize("slug", list(all_cases()))
def test_a_case_is_solved_and_failed_from_a_file(visit, site, slug):  # noqa: F811
    case = case_of(slug)
    settings = recorded(case)
    assert settings.keys() == {"mends", "fails"}
    tab = ready(visit(f"case-{slug}.html"))
    tab.locator(f'[data-cause="{case.name}"]').click()
    tab.locator("#lock").click()
    for measure in tab.locator("[data-measure]").all():
        measure.click()
        tab.locator("#cite").click()
        if tab.locator('[data-step="fix"]').get_attribute("data-open") == "yes":
            break
    assert text(tab, '[data-step="guess"] .got').startswith("right")

    turn(tab, case, settings["fails"])
    tab.locator("#rerun").click()
    until(tab, "lab.find('#checks').children.length > 0 && !lab.find('#undo').hidden", 30)
    assert tab.locator("#checks .no").count() > 0
    assert tab.locator('[data-step="won"]').is_hidden()
    tab.locator("#undo").click()

    turn(tab, case, settings["mends"])
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden", 30)
    assert tab.locator("#checks .no").count() == 0
    silent(tab, site)
