"""The report in chromium: silent, alone on the network, its sliders and filters at work."""

import re

import pytest
from study_fixture import attacked, study
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.report.html import page

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(study()), "utf-8")
    return path


@pytest.fixture
def visit(browser, report):
    """Return open(fragment, **context): a page, its console messages and its requests.

    All its details are open, unless `folded`.
    """
    contexts = []

    def opened(fragment="", path=report, folded=False, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.messages, tab.requests = [], []
        tab.on("console", lambda message: tab.messages.append(message.text))
        tab.on("pageerror", lambda error: tab.messages.append(str(error)))
        tab.on("dialog", lambda dialog: tab.messages.append("dialog"))
        tab.on("request", lambda request: tab.requests.append(request.url))
        tab.goto(path.as_uri() + fragment)
        if not folded and not fragment and options.get("java_script_enabled", True):
            tab.get_by_role("button", name="Open all details").click()
        return tab

    yield opened
    for context in contexts:
        context.close()


def text(tab, selector):
    return re.sub(r"\s+", " ", tab.locator(selector).first.text_content()).strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_silently_asks_nobody_and_fits(visit, scheme, width):
    tab = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert tab.messages == []
    assert len(tab.requests) == 1  # the file itself
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert text(tab, "#headline") == "Don't fine-tune yet."


def test_dark_mode_turns_the_paper_dark(visit):
    shades = {}
    for scheme in ("light", "dark"):
        tab = visit(color_scheme=scheme)
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(map(int, re.findall(r"\d+", paper)[:3]))
    assert shades["dark"] < 200 < 600 < shades["light"]


def move(tab, slider, value):
    tab.locator(f"#{slider}").evaluate(
        "(el, v) => { el.value = v; el.dispatchEvent(new Event('input')); }", str(value)
    )


def test_the_sliders_move_the_verdict_and_bring_it_back(visit):
    tab = visit()
    move(tab, "margin", 15)
    assert text(tab, "#use") == "Use: present (keep)"
    assert text(tab, "#headline") == "Keep what runs today."
    assert text(tab, ".ladder tr.named .name") == "present"
    assert "margin 15 points" in text(tab, "#what-if")
    move(tab, "margin", 5)
    move(tab, "volume", 5)
    assert text(tab, "#headline") == "Fine-tune."
    assert text(tab, ".ladder tr.named .name") == "lora"
    tab.locator("#what-if button").click()
    assert text(tab, "#headline") == "Don't fine-tune yet."
    assert text(tab, "#use") == "Use: constrained (schema)"
    assert tab.locator("#what-if").is_hidden()
    assert tab.messages == []


def test_without_a_grid_the_sliders_rest_and_say_why(visit, tmp_path):
    bare = study(n=10).model_copy(update={"grid": ()})
    path = tmp_path / "bare.html"
    path.write_text(page(bare), "utf-8")
    tab = visit(path=path)
    assert tab.locator("#margin").is_disabled()
    assert tab.locator("#volume").is_disabled()
    assert "economics.requests_per_month" in text(tab, "#volume-says")
    assert tab.messages == []


def count(tab):
    return int(re.match(r"[\d,]+", text(tab, "#count")).group().replace(",", ""))


def test_different_only_shows_the_cases_on_which_finalists_differ(visit):
    tab = visit()
    assert count(tab) == 250
    tab.locator("[data-show=different]").click()
    # of the ten patterns of right and wrong, all but 0000 (11 cases) and 1111 (170) differ
    assert count(tab) == 250 - 11 - 170
    tab.locator("[data-show=failures]").click()
    assert count(tab) == 30
    tab.locator("[data-show=all]").click()
    tab.locator("#fails").select_option("constrained")
    tab.locator("#passes").select_option("lora")
    assert count(tab) == 8
    assert "fails=constrained" in tab.url
    tab.reload()
    assert count(tab) == 8


def test_search_finds_ids_and_answers(visit):
    tab = visit()
    tab.locator("#search").fill("t0042")
    assert count(tab) == 1
    tab.locator("#search").fill("no row says this")
    assert count(tab) == 0


def test_a_link_opens_its_case_with_prompt_answers_target_and_why(visit):
    tab = visit("#case=t0042")
    assert text(tab, "#case h2") == "t0042"
    assert text(tab, "#case .pane.target pre") == study().cases[42].output
    assert tab.locator("#case .arms article").count() == 9
    assert tab.locator("#case .answer").count() == 10  # lora has two seeds
    sent = tab.locator("#case article").nth(2).locator("details").first
    sent.locator("summary").click()
    assert "Read the message and answer" in sent.text_content()
    tab.locator("#case a", has_text="Next").click()
    tab.locator("#case h2", has_text="t0043").wait_for()  # the page follows its address in time
    tab.keyboard.press("Escape")
    assert not tab.locator("#case").is_visible()
    assert tab.messages == []


def test_more_rows_are_shown_on_demand(visit):
    tab = visit()
    assert tab.locator("a.case-row").count() == 40
    tab.locator("#more").click()
    assert tab.locator("a.case-row").count() == 140


def test_it_reads_without_javascript(visit):
    tab = visit(java_script_enabled=False)
    tab.locator("summary", has_text="Every case").click()
    assert text(tab, "#headline") == "Don't fine-tune yet."
    assert tab.locator(".script-off").is_visible()
    assert not tab.locator("#filters").is_visible()
    assert tab.locator("#differences svg").count() > 3


def test_the_verdict_fits_a_screen_and_the_rest_is_folded(visit):
    tab = visit(folded=True, viewport={"width": 1280, "height": 900})
    assert tab.evaluate("document.documentElement.scrollHeight") < 2400
    assert text(tab, "h1") == "Don't fine-tune yet. Use: constrained (schema)"
    assert tab.locator(".step.next").bounding_box()["y"] < 1100
    assert not tab.locator("#differences svg").first.is_visible()
    tab.evaluate("location.hash = 'differences'")
    tab.locator("#differences svg").first.wait_for(state="visible")
    assert not tab.locator("#matrix").is_visible()
    tab.evaluate("location.hash = 'show=failures'")
    tab.locator("#matrix").wait_for(state="visible")


def test_print_opens_what_is_folded(visit):
    tab = visit(folded=True)
    shut = tab.locator("details:not([open])").count()
    assert shut > 9
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details:not([open])").count() == shut
    bare = visit(java_script_enabled=False)
    bare.emulate_media(media="print")
    assert bare.locator("#differences svg").first.is_visible(), "without the script as well"


def test_it_prints(visit):
    tab = visit(color_scheme="dark")
    tab.emulate_media(media="print")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert not tab.locator("#cases").is_visible()
    assert tab.pdf(format="A4").startswith(b"%PDF")


ATTACK = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}\u202e\u2028</script>'


def test_a60_hostile_rows_stay_text_in_every_view(visit, tmp_path):
    path = tmp_path / "hostile.html"
    path.write_text(page(attacked(study(n=12), ATTACK)), "utf-8")
    tab = visit(path=path)
    tab.locator("a.case-row").first.click()
    for details in tab.locator("details").all():
        details.evaluate("el => el.open = true")
    tab.wait_for_timeout(200)
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 2
    assert tab.messages == []
    assert len(tab.requests) == 1
    assert ATTACK.split("{{")[0] in tab.locator("#case .raw").first.text_content()


def test_a_thousand_cases_open_in_a_second(visit, tmp_path):
    path = tmp_path / "large.html"
    path.write_text(page(study(n=2000)), "utf-8")
    tab = visit(path=path)
    assert count(tab) == 2000
    took = tab.evaluate(
        "() => { const t = performance.now();"
        " document.querySelector('[data-show=different]').click(); return performance.now() - t; }"
    )
    assert took < 1000


def test_a_cause_leads_to_its_cases(visit, tmp_path):
    bare = study()
    rescued = [case.id for case in bare.cases[:7]]
    seen = Diagnosis(
        arm="zero_shot",
        n_fail=20,
        n_pass=230,
        wrong=(Wrong(cause="format", share=0.35, low=0.15, high=0.6, n=20, arm="constrained",
                     placebo="a random legal answer"),),
        cause=dict.fromkeys(rescued, "format"),
    )  # fmt: skip
    evidence = bare.evidence.model_copy(update={"diagnosis": seen})
    found = bare.model_copy(update={"evidence": evidence})
    path = tmp_path / "causes.html"
    path.write_text(page(found), "utf-8")
    tab = visit(path=path)
    said = "7 of 20 failures (35 %, on other rows 15 to 60 %) were the format"
    assert said in text(tab, "#wrong")
    assert not tab.locator("#case").is_visible()
    tab.locator("#wrong a", has_text="7 cases").click()
    tab.locator("#count", has_text="7 of 250").wait_for()
    assert tab.locator("#cause").input_value() == "format"
    tab.locator("#cause").select_option("")
    assert count(tab) == 250
    assert tab.messages == []
