"""The lab in chromium: the exported site played from a file, silent and readable for everybody."""

import json
import re
import time
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

from tuneworthy.lab.export import export_site

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
CASE = "case-never-stops.html"
PAGES = ("index.html", CASE, "blind.html")
ALL_PAGES = (
    *PAGES, "playground.html", "plan.html", "findings.html", "experiments.html", "kinds.html",
    "advice.html", "atlas.html", "guess.html", "demo-clause_type.html",
)  # fmt: skip

CONTRAST = """() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { const c = v / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (node) => { for (let at = node; at; at = at.parentElement) { const colour = rgba(getComputedStyle(at).backgroundColor); if (colour[3] > 250) return colour; } return [255, 255, 255, 255]; };
  const low = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, style = getComputedStyle(node);
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility({ visibilityProperty: true }) || node.closest('.unseen, noscript, script, option')) continue;
    if (node.closest(':disabled')) continue;
    const ink = rgba(node instanceof SVGElement ? style.fill : style.color);
    const [one, two] = [light(ink), light(behind(node))].sort((a, b) => b - a), ratio = (one + 0.05) / (two + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${walk.currentNode.textContent.trim().slice(0, 30)}`);
  }
  return low;
}"""  # noqa: E501
NAMES = """() => [...document.querySelectorAll('button, a[href], input, select, [role]')]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()
    || node.labels?.length || document.getElementById(node.getAttribute('aria-labelledby'))))
  .map((node) => node.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return export_site(tmp_path_factory.mktemp("lab") / "site").parent


@pytest.fixture
def visit(browser, site):
    """Return open(page, **context): a tab with its messages and its requests."""
    contexts = []

    def opened(page="index.html", **options):
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        tab = context.new_page()
        tab.messages, tab.requests = [], []
        tab.on("console", lambda message: tab.messages.append(message.text))
        tab.on("pageerror", lambda error: tab.messages.append(str(error)))
        tab.on("request", lambda request: tab.requests.append(request.url))
        name, _, fragment = page.partition("#")
        tab.goto((site / name).as_uri() + (f"#{fragment}" if fragment else ""))
        return tab

    yield opened
    for context in contexts:
        context.close()


def until(tab, script, seconds=10):
    """Wait until a script says true; the policy of the page forbids wait_for_function."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if tab.evaluate(script):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never true: {script}")


def ready(tab):
    until(tab, "document.body.dataset.ready === 'yes'")
    return tab


def text(tab, selector):
    return re.sub(r"\s+", " ", tab.locator(selector).first.text_content()).strip()


def silent(tab, site):
    assert tab.messages == []
    assert all(url.startswith((site.as_uri(), "data:")) for url in tab.requests)


def solve(tab):
    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator('[data-sure="2"]').click()
    tab.locator("#lock").click()
    tab.locator('[data-measure="p_end"]').click()
    tab.locator("#cite").click()


def test_home_to_case_to_won(visit, site):
    tab = visit(reduced_motion="no-preference")
    until(tab, "document.querySelector('#hero-play').textContent === 'Pause'")
    tab.locator("text=Find out why").click()
    ready(tab)
    until(tab, "Number(document.querySelector('#step').value) > 3")  # it plays by itself
    tab.locator("#play").click()
    stopped = tab.evaluate("document.querySelector('#step').value")
    tab.wait_for_timeout(400)
    assert tab.evaluate("document.querySelector('#step').value") == stopped

    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator('[data-sure="2"]').click()
    tab.locator("#lock").click()
    assert text(tab, '[data-step="guess"] .got') == "locked, certain"
    assert "right" not in tab.locator('[data-cause="end_not_trained"]').get_attribute("class")
    assert text(tab, "#named").startswith("You said: The end-of-turn token")
    assert "(" not in text(tab, "#named"), "told after the evidence"

    tab.locator('[data-measure="copied"]').click()
    assert text(tab, "#values").startswith("23 % in this run, 0 % in the twin.")
    tab.locator("#cite").click()
    assert "−10 points" in text(tab, "#because")
    tab.locator('[data-measure="p_end"]').click()
    assert tab.locator("#proof-chart polyline").count() == 2
    tab.locator("#cite").click()
    assert text(tab, '[data-step="guess"] .got') == "right, certain: 40 of 40"
    assert "the end of turn is trained in 0% of the rows" in text(tab, "#detector")

    assert tab.locator("#rerun").is_disabled()
    tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    assert text(tab, "#checks .value") == "8 of 40 → 40 of 40"
    assert text(tab, "#runs-title") == "Before → after your change"
    assert text(tab, '[data-chart="p_end"] figcaption').endswith(".32 →twin 1.001.00")
    assert text(tab, "#first-note") == "cut at the limit · score 0"
    assert text(tab, "#mine-note").startswith("ended by itself")
    assert "ignored" in tab.locator("#first-tokens .tok.end").get_attribute("class")
    assert "trained" in tab.locator("#mine .tok.end").get_attribute("class")
    assert "before your change" in text(tab, "#readout")
    assert text(tab, "#total") == "90 of 100 points"
    assert "evidence 20 of 30, fix 30 of 30" in text(tab, "#parts")

    tab.goto((site / "index.html").as_uri())
    assert text(tab, ".card[data-slug=never-stops] .state") == "solved, 90 points"
    silent(tab, site)


def test_a_wrong_guess_is_told_after_the_evidence_and_costs(visit):
    tab = ready(visit(CASE))
    tab.locator("#hint").click()
    assert tab.locator(".option.out").count() == 2
    tab.locator('[data-cause="rows_cut"]').click()
    tab.locator("#lock").click()
    tab.locator('[data-measure="p_end"]').click()
    tab.locator("#cite").click()
    assert text(tab, '[data-step="guess"] .got') == "not this one, fairly: −15 of 40"
    assert "Against it: 0% of the training rows are cut." in text(tab, "#detector")
    assert "end-of-turn token" not in text(tab, "#detector")
    tab.reload()
    ready(tab)
    assert tab.locator('[data-cause="rows_cut"]').is_disabled()
    assert tab.locator("#sure").is_hidden()
    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator("#lock").click()
    assert text(tab, '[data-step="guess"] .got') == "right at the second try, fairly: −15 of 40"
    tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    assert text(tab, "#total") == "35 of 100 points"  # -15 + 30 + 30 - 10 for the hint


def test_a_second_wrong_cause_is_told_the_truth_and_the_goal_waits_for_a_cause(visit):
    tab = ready(visit(CASE))
    assert tab.locator("#win").is_hidden(), "its conditions tell the cause"
    tab.locator('[data-cause="rows_cut"]').click()
    tab.locator("#lock").click()
    assert tab.locator("#win").is_visible()
    tab.locator('[data-measure="p_end"]').click()
    tab.locator("#cite").click()
    tab.locator('[data-cause="packed_rows"]').click()
    tab.locator("#lock").click()
    assert text(tab, '[data-step="guess"] .got') == "wrong at the second try, fairly: −15 of 40"
    assert "The cause was: The end-of-turn token" in text(tab, "#detector")
    assert tab.locator('[data-step="fix"]').get_attribute("data-open") == "yes"


def test_a_setting_that_was_not_recorded_shows_its_command(visit, site):
    tab = ready(visit(CASE))
    solve(tab)
    tab.locator('[data-knob="rate"]').select_option("0.03")
    tab.locator('[data-knob="serve.schema"]').select_option("true")
    assert tab.locator("#offline").is_hidden()
    tab.locator("#rerun").click()
    assert text(tab, "#note").startswith("This combination is not recorded.")
    assert tab.locator("#offline").is_visible()
    assert tab.locator("#rerun").is_hidden()
    assert "tuneworthy lab" in text(tab, "#offline")
    assert text(tab, "#there") == "/case/never-stops#rate=0.03&serve.schema=true"
    tab.locator("#undo").click()
    assert tab.locator("#offline").is_hidden()
    assert tab.locator('[data-knob="rate"]').input_value() == "2e-3"
    silent(tab, site)


def test_a_tempting_fix_answers_with_what_it_leaves(visit, site):
    tab = ready(visit(CASE))
    solve(tab)
    tab.locator('[data-knob="serve.schema"]').select_option("true")
    assert text(tab, "#note") == "Press, and see what this setting does."
    tab.locator("#rerun").click()
    until(tab, "lab.find('#checks').children.length > 0")
    assert text(tab, "#note") == "The grammar ends it now. The model still does not know how."
    assert tab.locator("#checks .no[aria-label=failed]").count() == 1
    assert tab.locator(".now.rerun").count() == 4
    tab.locator("#undo").click()
    assert tab.locator(".now.rerun, #first:visible, #first-lane:visible").count() == 0
    assert text(tab, '[data-chart="p_end"] .now.run') == "this .32"
    silent(tab, site)


def test_a_case_opens_on_the_row_whose_tokens_differ(visit):
    tab = ready(visit("case-long-ones-broken.html"))
    assert tab.locator("#mine .cut").count() > 0
    assert tab.locator("#twin .cut").count() == 0
    assert tab.locator('[data-chart="score"] path.run').count() == 1, "4 rows a look: dots"
    assert tab.locator('[data-chart="held"] polyline.run').count() == 1


def test_the_hash_keeps_the_state_and_a_link_drops_guess_and_fix(visit):
    tab = ready(visit(CASE))
    solve(tab)
    tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    tab.keyboard.press("]")
    tab.reload()
    ready(tab)
    assert tab.locator('[data-step="won"]').is_visible()
    assert text(tab, "#total") == "100 of 100 points"
    assert re.fullmatch(r"[123] of 3: “.+”", text(tab, "#row-name"))
    state = {"step": 12, "token": 3, "row": 1, "question": 2, "guess": "rows_cut", "sure": 1,
             "locked": True, "knobs": {"rate": "0.03"}, "cited": ["p_end"]}  # fmt: skip
    link = tab.evaluate("(state) => lab.linkTo(state)", state)
    assert link.partition("#")[2] == "step=12&token=3&row=1&question=2"


@pytest.mark.parametrize(
    "fragment", ["step=99999&row=77&token=999&question=50", "guess=<b>&cited=x,y&step=-1", "%00%ff"]
)
def test_a_hash_that_makes_no_sense_is_brought_into_bounds(visit, site, fragment):
    tab = ready(visit(f"{CASE}#{fragment}"))
    assert 0 <= int(tab.locator("#step").input_value()) <= 48
    assert text(tab, "#row-name")[:6] in {"1 of 3", "3 of 3"}
    assert tab.locator(".tok[aria-pressed=true]").count() == 2
    silent(tab, site)


def test_a_case_opens_on_a_new_row_that_the_clean_twin_answers_better(visit):
    tab = ready(visit("case-wrong-page.html"))
    assert text(tab, "#asked") == "2 of 4"  # both runs answer the first one right
    notes = [text(tab, f"#{run}-note") for run in ("mine", "twin")]
    assert notes == ["score 0", "score 1"]
    judged = ready(visit("case-two-verdicts.html"))  # the twin judges in both orders
    verdicts = [text(judged, f"#{run}-says") for run in ("mine", "twin")]
    assert len(set(verdicts)) == 2, "this run's verdict flips with the order"
    assert text(ready(visit("case-wrong-page.html#question=0")), "#asked") == "1 of 4"


def test_tokens_say_what_the_loss_does_with_them(visit):
    tab = ready(visit(CASE))
    tab.keyboard.press("e")
    assert text(tab, "#readout").startswith("■ end Ignored: no gradient ever reaches it.")
    mine, twin = tab.locator("#mine .tok.end"), tab.locator("#twin .tok.end")
    assert "ignored" in mine.get_attribute("class")
    assert "trained" in twin.get_attribute("class")
    tab.locator("#mine .tok").first.click()
    tab.keyboard.press("ArrowRight")  # inside the lane: the next token, not the next step
    assert tab.evaluate("document.activeElement.dataset.k") == "1"
    assert tab.locator("#step").input_value() == "48"


def test_keys_play_step_guess_and_can_be_turned_off(visit):
    tab = ready(visit(CASE))
    tab.keyboard.press("ArrowLeft")
    assert text(tab, "#says-step") == "step 47 of 48"
    tab.keyboard.press("2")
    assert tab.locator(".option[data-cause][aria-pressed=true] kbd").text_content() == "2"
    tab.keyboard.press("?")
    assert tab.locator("#keys").is_visible()
    tab.locator("#keys-off").check()
    tab.keyboard.press("Escape")
    tab.keyboard.press("ArrowLeft")
    assert text(tab, "#says-step") == "step 47 of 48"


def test_every_chart_has_its_numbers_in_a_table(visit):
    tab = ready(visit(CASE))
    rows = tab.evaluate("[...document.querySelectorAll('.four table')].map((t) => t.rows.length)")
    assert rows == [49, 9, 9, 9]  # a head, and 48 steps or 8 looks
    assert text(tab, '[data-chart="p_end"] .now.run') == "this .32"


def test_a_chart_does_not_move_what_is_below_it(visit):
    tab = ready(visit(CASE, viewport={"width": 1280, "height": 900}))
    tops = set()
    for step in (0, 3, 12, 30, 48):
        tab.evaluate("(step) => lab.find('#step').value = step", step)
        tab.evaluate("lab.find('#step').dispatchEvent(new Event('input'))")
        tops.add(tab.evaluate("lab.find('#token-panel').getBoundingClientRect().top + scrollY"))
        tops.add(tab.evaluate("lab.find('#answers-title').getBoundingClientRect().top + scrollY"))
    assert len(tops) == 2


def test_cards_can_be_filtered_and_reached_by_keys(visit):
    tab = visit()
    tab.locator('[data-filter="wrong"]').click()
    shown = tab.locator(".card:visible").count()
    assert shown == tab.locator('.card[data-kind="wrong"]').count()
    assert text(tab, "#count") == str(shown)
    tab.locator('[data-filter="all"]').click()
    tab.keyboard.press("j")
    assert "card" in tab.evaluate("document.activeElement.className")


def test_a_blind_run_is_named_and_proved(visit, site):
    tab = ready(visit("blind.html#run=7"))  # not a multiple of six: something was planted
    told = tab.evaluate("JSON.stringify(lab.find('#facts').textContent)")
    assert "0 %" in told
    assert text(tab, '[data-fact="loss_peak"]') != "not measured"  # its curve is drawn above
    heads = tab.locator("#facts h3 span").all_text_contents()
    count = sum(int(head.split()[0]) for head in heads if head)
    assert count == tab.locator("#facts .outside").count() > 0
    outside = tab.locator("#facts .outside").first.locator("..").inner_text()
    assert re.match(r"\S.* [▲▼]\s+\(clean .+\)$", outside, re.DOTALL), outside
    cut = (
        "[...document.querySelectorAll('.tall, #rail')].map((e) => e.scrollHeight - e.clientHeight)"
    )
    assert max(tab.evaluate(cut)) <= 0, "the list of causes is as high as it is"
    tab.locator('[data-cause="none"]').click()
    assert text(tab, "#stake") == "Right: 36 points. Wrong: −15."
    tab.locator("#lock").click()
    until(tab, "!document.querySelector('#told').hidden")
    assert text(tab, "#told").startswith("It was: ")
    assert text(tab, '[data-step="guess"] .got') == "fairly: −15 of 40"
    assert text(tab, "#named") == "You said: Nothing: this is a clean run (wrong)"
    assert tab.locator("#measures b").first.inner_text(), "its value stands beside it"
    for measure in tab.locator("#measures [data-measure]").all():
        measure.click()
        if tab.locator('[data-step="won"]').is_visible():
            break
    assert tab.locator('[data-step="won"]').is_visible()
    assert "here," in text(tab, '[data-step="evidence"] .got')
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    seen = "(id) => { const { top, bottom } = lab.find(id).getBoundingClientRect(); return top >= 0 && bottom <= innerHeight }"  # noqa: E501
    assert all(tab.evaluate(seen, name) for name in ("#named", "#told", "#verdict"))
    with tab.expect_download() as kept:
        tab.locator("#keep-json").click()
    record = json.loads(kept.value.path().read_text("utf-8"))
    with tab.expect_download() as drawn:
        tab.locator("#keep-card").click()
    assert drawn.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    fix = tab.locator("#verify").get_attribute("href")
    assert re.fullmatch("[0-9a-f]{16}", record["trace"])
    assert record["right"] is False
    assert record["tally"] == {"runs": 1, "right": 0, "streak": 0, "certain": 0, "hits": 0}
    silent(tab, site)
    before = [text(tab, name) for name in ("#named", "#verdict", "#total", "#parts")]
    tab.reload()
    ready(tab)
    until(tab, "!document.querySelector('[data-step=\"won\"]').hidden")
    assert [text(tab, name) for name in ("#named", "#verdict", "#total", "#parts")] == before

    tab.goto((site / fix.partition("#")[0]).as_uri() + "#" + fix.partition("#")[2])
    ready(tab)
    assert tab.locator('[data-step="fix"]').get_attribute("data-open") == "yes"
    assert text(tab, '[data-step="guess"] .got') == "named in the blind run"


def test_blind_runs_repeat_no_case_before_all_were_seen(visit, site):
    """All cases but one were named already: the next draw is that one."""
    script = (site / "data" / "blind.js").read_text("utf-8")
    pool = json.loads(script.removeprefix("lab.blind(").removesuffix(");\n"))["pool"]
    tab = ready(visit("blind.html#run=7"))
    left = 3
    named = [{"key": str(6 * place), "right": True} for place in range(len(pool)) if place != left]
    tab.evaluate("(blind) => lab.memory.write({ blind })", named)
    tab.evaluate("location.hash = ''")
    tab.reload()
    key = int(ready(tab).evaluate("location.hash").removeprefix("#run="))
    assert key // 6 % len(pool) == left


def test_a_clean_blind_run_is_right_to_call_clean(visit):
    tab = ready(visit("blind.html#run=6"))
    tab.locator('[data-cause="none"]').click()
    tab.locator('[data-sure="2"]').click()
    tab.locator("#lock").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    assert text(tab, "#total") == "40 of 40 points"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_all_text_has_enough_contrast(visit, page, scheme):
    tab = visit(page, color_scheme=scheme)
    if page != "index.html":
        ready(tab)
    assert tab.evaluate(CONTRAST) == []
    if page == CASE:
        solve(tab)
        tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
        tab.locator("#rerun").click()
        until(tab, "!document.querySelector('[data-step=won]').hidden")
        assert tab.evaluate(CONTRAST) == []


def test_the_check_of_contrast_can_fail(visit):
    tab = visit()
    tab.evaluate("document.querySelector('.lead').style.color = '#b0b0b0'")
    assert len(tab.evaluate(CONTRAST)) == 1


@pytest.mark.parametrize("page", ALL_PAGES)
def test_axe_finds_nothing(visit, page):
    """axe-core, by its own copy in the package (the policy of the page does not bind a test)."""
    axe = pytest.importorskip("axe_playwright_python")
    tab = visit(page)
    tab.wait_for_timeout(300)
    tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text("utf-8") + ";0")
    for width, scheme in ((1280, "light"), (390, "dark")):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.emulate_media(color_scheme=scheme)
        found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        faults = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]
        assert faults == [], (width, scheme)


@pytest.mark.parametrize("page", PAGES)
def test_everything_has_a_name_and_fits_a_phone(visit, page):
    tab = visit(page, viewport={"width": 390, "height": 844}, has_touch=True)
    tab.wait_for_timeout(300)
    assert tab.evaluate(NAMES) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    small = tab.evaluate("""() => [...document.querySelectorAll('button, select, .primary')]
      .filter((node) => node.checkVisibility() && !node.matches('.tok, dialog *'))
      .filter((node) => node.getBoundingClientRect().height < 40).map((node) => node.outerHTML)""")
    assert small == []
    cut = tab.evaluate("""() => [...document.querySelectorAll('button')]
      .filter((node) => node.checkVisibility() && node.scrollHeight > node.clientHeight + 2)
      .map((node) => node.outerHTML)""")
    assert cut == []


def test_without_scripts_the_page_still_says_what_it_is(browser, site):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((site / CASE).as_uri())
    assert text(tab, "h1") == "It never stops talking"
    assert tab.locator("noscript").count() == 1
    context.close()
