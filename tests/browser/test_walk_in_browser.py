"""One walk through the whole lab in chromium: studies, votes, a case, the playground, the slider.

Nothing may stand on the console, and no request may leave this machine.
"""

import sys
from pathlib import Path

from tests.browser_kit import BROWSER_MARKS

sys.path.insert(0, str(Path(__file__).parent))
from test_own_pages_in_browser import (  # noqa: F401 (fixtures)
    SIZES,
    chromium,
    folder,
    key_of,
    served,
    state,
    voted,
)
from test_studies_in_browser import until, visit

pytestmark = BROWSER_MARKS


def to_a_case(tab, root):
    """Go from the list of studies to a failure of one; return its permalink."""
    tab.goto(f"{root}/studies")
    tab.locator('a[href^="/study/"]').first.click()
    tab.wait_for_url("**/study/**")
    tab.locator('a[href$="/run"]').first.click()
    tab.wait_for_url("**/run")
    tab.get_by_role("link", name="Report", exact=True).click()
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    tab.get_by_role("button", name="▶ fails").click()
    tab.locator("a.case-row").first.click()
    tab.wait_for_url("**#case=*show=failures")
    return tab.url


def settle_five(tab, address):
    """Vote five times and end the settling."""
    tab.goto(address)
    tab.locator("#start").click()
    for number in range(5):
        state(tab, "asked")
        tab.keyboard.press("l")
        voted_ = "document.querySelector('#bound-words').textContent.includes('· {} vote')"
        until(tab, voted_.format(number + 1))
    voted(tab, 5)
    tab.locator("#finish").click()
    state(tab, "written")


def solve(tab, root):
    """Guess the cause, cite the measurement, turn the knob, pass the re-run."""
    tab.goto(f"{root}/case/never-stops")
    until(tab, "document.body.dataset.ready === 'yes'")
    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator("#lock").click()
    tab.locator('[data-measure="p_end"]').click()
    tab.locator("#cite").click()
    tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden", 30)
    assert tab.locator("#total").text_content() == "96 of 100 points"


def run_live(tab):
    """Run the planted fault on another seed, as it comes."""
    tab.locator("#live").click()
    until(tab, "lab.find('#key-rerun').hidden === false", 30)
    until(tab, "document.querySelector('#says-step').textContent === 'step 6 of 6'", 30)


def play(tab, root):
    """Stream two arms side by side."""
    tab.goto(f"{root}/playground#task=support_tickets&text=hello&arm=0,0,0,0,0&arm=4,1,0,0.5,1")
    tab.locator("#run").click()
    until(tab, "document.querySelector('#columns').getAttribute('aria-busy') === 'false'", 30)
    assert tab.locator(".column .stream").all_text_contents() == ['{"hello"}■ end'] * 2


def turn_up(tab, root):
    """Let the adapter's strength go between two recorded stops: it is measured live."""
    tab.goto(root)
    tab.evaluate("""() => {
      const slider = document.querySelector('#strength-slider');
      slider.step = 'any'; slider.value = 0.6;
      for (const kind of ['input', 'change']) slider.dispatchEvent(new Event(kind));
    }""")
    until(tab, "document.querySelector('#strength-status').textContent.startsWith('Live')", 30)


def test_a_walk_through_the_lab_says_nothing_and_asks_nobody_else(chromium, served):  # noqa: F811
    launch, home = served
    tab, root = visit(chromium, launch, reduced_motion="reduce", **SIZES["desktop"])
    permalink = to_a_case(tab, root)
    tab.goto(permalink)
    assert tab.locator("h1").count() == 1
    settle_five(tab, f"{root}/study/{key_of(home)}/settle")
    solve(tab, root)
    run_live(tab)
    play(tab, root)
    turn_up(tab, root)
    assert tab.said == []
    assert tab.away == []


def test_a_browser_without_the_token_sees_a_page_that_says_how_to_open_it(chromium, served):  # noqa: F811
    launch, _ = served
    tab = chromium.new_context(
        color_scheme="dark", viewport={"width": 390, "height": 800}
    ).new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    reply = tab.goto(launch.partition("/launch")[0])
    assert reply.status == 401
    assert "open the address that it printed" in tab.locator("main").inner_text()
    width = "getComputedStyle(document.body).maxWidth"
    assert tab.evaluate(width) == "640px", "the policy lets the page's own style in"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert [line for line in said if "401" not in line] == []
    tab.context.close()
