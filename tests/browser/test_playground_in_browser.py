"""The playground in chromium, against the real server with a fake worker: streams and sliders."""

import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

sys.path.append(str(Path(__file__).parents[1] / "unit" / "lab"))

from lab_runner import DIES, WAITS, fake

from tuneworthy.lab.app import make_app
from tuneworthy.lab.export import export_site
from tuneworthy.lab.open_lab import open_lab

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
REFUSING = """window.fetch = async () => ({ ok: false, status: 422, json: async () => (
    { what: 'the input is empty', where: 'input', fix: '1 to 2000 characters' }) })"""
SMALL = """[...document.querySelectorAll('main button:not(.word), main select')]
    .filter((one) => one.offsetHeight && one.offsetHeight < 40).length"""
ATTACK = "<img src=x onerror=alert(1)>"
TEXTS = "[...document.querySelectorAll('.column')].map((one) => [...one.querySelectorAll('.word')].map((word) => word.textContent))"  # noqa: E501


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    import uvicorn

    opened = socket.create_server(("127.0.0.1", 0))
    port = opened.getsockname()[1]
    lab = open_lab(tmp_path_factory.mktemp("lab"), ("127.0.0.1", port), open_runner=fake)
    config = uvicorn.Config(make_app(lab), log_config=None, lifespan="off",
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    yield lab
    lab.end_streams()
    server.should_exit = True
    thread.join(10)
    lab.close()


@pytest.fixture
def visit(chromium, lab):
    """Return open(path, **context): a page of the lab; it must be silent and ask nobody else."""
    contexts, said, asked = [], [], []

    def open_(path, **how):
        context = chromium.new_context(**{"reduced_motion": "reduce", **how})
        contexts.append(context)
        cookie = {"name": lab.access.cookie, "value": lab.access.secret}
        context.add_cookies([{**cookie, "domain": "127.0.0.1", "path": "/"}])
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        own = "" if path.startswith("file:") else f"http://127.0.0.1:{lab.access.port}"
        page.goto(own + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not said
    own = (f"http://127.0.0.1:{lab.access.port}/", "file:", "data:")
    assert all(url.startswith(own) for url in asked), asked


def until(page, script, seconds=30):
    """Wait until a script returns something true (`wait_for_function` needs eval), return it."""
    for _ in range(int(seconds / 0.05)):
        if value := page.evaluate(script):
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {script}; {status(page)}")


def status(page):
    return page.evaluate("document.querySelector('#status, #strength-status')?.textContent")


def done(page):
    until(page, "document.querySelector('#columns').getAttribute('aria-busy') === 'false'")
    assert status(page).startswith("Done")


def turn(page, column, name, value, *events):
    slider = page.locator(".column").nth(column).locator(f'[data-set="{name}"]')
    for kind in events:
        slider.evaluate(
            "(node, [value, kind]) => { node.value = value; node.dispatchEvent(new Event(kind, {bubbles: true})); }",  # noqa: E501
            [value, kind],
        )


def heads(page):
    return [said.split(" ·")[0] for said in page.locator(".verdict").all_text_contents()]


def test_two_columns_stream_side_by_side(visit):
    page = visit("/playground#task=support_tickets&text=hello&arm=0,0,0,0,0&arm=4,1,0,0.5,1")
    assert page.locator(".column").count() == 2
    assert page.locator(".column h2").all_text_contents() == [
        "Base model, no examples", "Adapter × 1, 4 examples, schema, T .50"
    ]  # fmt: skip
    page.click("#run")
    done(page)
    assert page.evaluate(TEXTS) == [["{", '"hello"', "}", "■ end"]] * 2
    first, second = page.locator(".verdict").all_text_contents()
    for said in (first, second):
        assert said.startswith("live, ")
        assert " s · ended by itself · valid · no right answer known · 4 tokens" in said


def test_a_token_says_what_else_was_considered_by_pointer_and_by_key(visit):
    page = visit("/playground#task=support_tickets&text=hello&arm=0,0,0,0,0&arm=1,0,0,0,0")
    page.click("#run")
    done(page)
    assert "Least sure here" in page.locator(".others >> nth=0").inner_text()
    page.hover(".word >> nth=1")
    others = page.locator(".others >> nth=0")
    assert others.locator("li").all_text_contents()[1] == "other8 %"
    assert 'Chosen: "hello"' in others.inner_text()
    page.focus(".word >> nth=1")
    page.keyboard.press("ArrowRight")
    assert "Chosen: }" in others.inner_text()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "}, 82 %"
    stops = page.evaluate("document.querySelectorAll('.word[tabindex=\"0\"]').length")
    assert stops == 2, "one stop of the Tab key a column"


def test_columns_come_and_go_between_two_and_four_and_stand_in_the_hash(visit):
    page = visit("/playground")
    assert page.locator(".column").count() == 3
    page.click("#add")
    assert page.locator(".column").count() == 4
    assert page.locator("#add").is_disabled()
    for _ in range(2):
        page.locator(".column header button >> nth=0").click()
    assert page.locator(".column").count() == 2
    assert page.locator(".column header button:visible").count() == 0
    assert page.url.count("arm=") == 2
    page.reload()
    assert page.locator(".column").count() == 2


def test_recorded_settings_answer_at_once_and_nothing_is_asked(visit, lab):
    before = len(lab.jobs._jobs)
    page = visit("/playground")
    until(page, "document.body.dataset.ready === 'yes'")
    assert heads(page) == ["recorded"] * 3
    bare = page.evaluate(TEXTS)
    assert all(len(words) > 3 for words in bare)
    turn(page, 0, "strength", 1, "input", "change")
    assert page.evaluate(TEXTS)[0] != bare[0]
    column = page.locator(".column >> nth=0")
    assert "(before .00)" in column.locator(".mean").inner_text()
    assert "score .40 (before .00)" in column.locator(".verdict").inner_text()
    assert page.evaluate(TEXTS)[1:] == bare[1:]
    assert heads(page) == ["recorded"] * 3
    assert page.locator("#score-means").inner_text().startswith("F1 of the leaves")
    page.keyboard.press("]")
    until(page, f"JSON.stringify({TEXTS}[1]) !== {json.dumps(json.dumps(bare[1]))}")
    assert heads(page) == ["recorded"] * 3
    until(page, "!document.querySelector('.columns').textContent.includes('before')")
    time.sleep(0.5)
    assert len(lab.jobs._jobs) == before


def test_a_text_of_ones_own_takes_the_answers_to_another_one_away(visit):
    page = visit("/playground")
    until(page, "document.body.dataset.ready === 'yes'")
    page.locator("#row").select_option("-1")
    assert page.locator("#input").input_value() == ""
    assert page.locator("#gold").inner_text().startswith("Your own text")
    assert page.locator(".column.stale").count() == page.locator(".column").count()
    page.locator("#row").select_option("1")
    until(page, "!document.querySelector('.column.stale')")
    assert page.locator("#gold").inner_text().startswith("Right answer")
    page.locator("#input").press("End")
    page.keyboard.type(" more")
    assert page.locator("#gold").inner_text().startswith("Your own text")


def test_the_point_of_a_curve_moves_with_the_keys_and_says_its_value(visit):
    page = visit("/playground")
    until(page, "document.body.dataset.ready === 'yes'")
    slider = page.locator(".column >> nth=0").locator('[data-set="strength"]')
    point = "document.querySelectorAll('.column')[0].querySelectorAll('.plot')[1].querySelector('.dot.at').getAttribute('cx')"  # noqa: E501
    places, said = [], []
    slider.focus()
    for _ in range(3):
        places.append(page.evaluate(point))
        said.append(slider.get_attribute("aria-valuetext"))
        page.keyboard.press("ArrowRight")
    assert len(set(places)) == len(set(said)) == 3
    assert all("score" in text and "valid" in text for text in said)


def test_a_setting_without_a_record_runs_its_column_alone(visit, lab):
    page = visit("/playground#row=0&arm=0,0,0,0,0&arm=0,0,0,0,0.5")
    until(page, "document.body.dataset.ready === 'yes'")
    left = page.evaluate(TEXTS)[0]
    turn(page, 1, "strength", 0.75, "input")
    assert page.locator(".column.stale").count() == 1
    assert "Not recorded" in page.locator(".verdict >> nth=1").inner_text()
    assert "arm=0%2C0%2C0%2C0%2C0.75" in page.url
    turn(page, 1, "strength", 0.75, "change")
    until(page, "!document.querySelector('.column.stale')")
    done(page)
    assert heads(page)[0] == "recorded"
    assert heads(page)[1].startswith("live")
    assert page.evaluate(TEXTS)[0] == left
    arms = [job.config["arm"] for job in lab.jobs._jobs.values() if job.config.get("arm")]
    assert [arm["strength"] for arm in arms if arm["strength"] == 0.75] == [0.75]


def test_a_visitors_text_is_never_markup(visit):
    page = visit("/playground")
    page.fill("#input", ATTACK)
    page.keyboard.press("Control+Enter")
    done(page)
    assert page.evaluate(TEXTS)[0][1] == f'"{ATTACK}"'
    assert page.locator("main img").count() == 0
    page.reload()
    assert page.input_value("#input") == ATTACK


def test_a_worker_that_dies_is_told_and_the_next_run_works(visit):
    page = visit(f"/playground#task=support_tickets&text={DIES}&arm=0,0,0,0,0&arm=1,0,0,0,0")
    page.click("#run")
    until(page, "!document.querySelector('#trouble').hidden")
    said = page.inner_text("#trouble")
    assert "SIGKILL" in said
    assert "Run it again" in said
    page.fill("#input", "hello again")
    page.click("#run")
    done(page)
    assert page.locator("#trouble").is_hidden()


def test_a_run_is_stopped_and_a_queue_is_told(visit):
    page = visit(f"/playground#task=support_tickets&text={WAITS}&arm=0,0,0,0,0&arm=2,0,0,0,0")
    page.click("#run")
    until(page, "document.querySelectorAll('.word').length > 1")
    other = visit("/playground#task=support_tickets&text=behind&arm=0,0,0,0,0&arm=2,0,0,0,0")
    other.click("#run")
    until(other, "document.querySelector('#status').textContent.startsWith('One run ahead')")
    page.click("#stop")
    until(page, "document.querySelector('#status').textContent.startsWith('stopped')")
    done(other)
    assert page.get_attribute("#columns", "aria-busy") == "false", "the second column is not asked"


def test_a_refused_request_says_what_where_and_how(visit):
    page = visit("/playground#task=support_tickets&text=%20&arm=0,0,0,0,0&arm=2,0,0,0,0")
    page.evaluate(REFUSING)
    page.click("#run")
    until(page, "!document.querySelector('#trouble').hidden")
    said = page.inner_text("#trouble")
    assert "The input is empty. Where: input. What to do: 1 to 2000 characters" in said


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_does_not_shift(visit, width, scheme):
    page = visit("/playground#task=support_tickets&text=fit&arm=0,0,0,0,0&arm=2,0,0,0,1",
                 viewport={"width": width, "height": 900}, color_scheme=scheme)  # fmt: skip
    before = page.evaluate("document.documentElement.scrollHeight")
    page.click("#run")
    done(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") == before
    if width == 390:
        assert page.evaluate(SMALL) == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing(visit, width, scheme):
    axe = pytest.importorskip("axe_playwright_python")
    page = visit("/playground#row=0&arm=0,0,0,0,0&arm=0,0,0,0,1&arm=3,0,0,0,1",
                 viewport={"width": width, "height": 844}, color_scheme=scheme)  # fmt: skip
    until(page, "document.body.dataset.ready === 'yes'")
    turn(page, 1, "strength", 0.75, "input")
    assert page.locator(".column.stale .word").count() > 3
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text("utf-8") + ";0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []


def move(page, value, *events):
    for name in events:
        page.locator("#strength-slider").evaluate(
            "(node, [value, name]) => { node.value = value; node.dispatchEvent(new Event(name)); }",
            [value, name],
        )


def test_the_strength_slider_shows_the_stops_and_measures_between_them(visit):
    page = visit("/")
    shown = []
    for value in (0, 1):
        move(page, value, "input")
        shown.append([page.inner_text(f"#strength-{name}") for name in ("valid", "score", "says")])
    assert shown[0] != shown[1]
    move(page, 0.6, "input")
    assert page.inner_text("#strength-value") == "× 0.60"
    assert "recorded stop at 0.5" in page.inner_text("#strength-status")
    move(page, 0.6, "change")
    until(page, "document.querySelector('#strength-status').textContent.startsWith('Live')")
    assert page.inner_text("#strength-says").startswith("live")
    assert page.inner_text("#strength-valid") == "50 %"


def test_the_exported_site_plays_without_a_request(visit, tmp_path):
    site = export_site(tmp_path / "site").parent
    page = visit((site / "playground.html").as_uri())
    until(page, "document.body.dataset.ready === 'yes'")
    assert all(len(words) > 3 for words in page.evaluate(TEXTS))
    page.hover(".word >> nth=2")
    assert page.locator(".others >> nth=0").locator("li").count() <= 5
    assert page.locator("#run").count() == 0
    turn(page, 0, "temperature", 1.5, "input", "change")
    assert heads(page) == ["recorded"] * 3
    turn(page, 0, "temperature", 0.75, "input", "change")
    assert "tuneworthy lab" in page.locator(".verdict >> nth=0").inner_text()
    assert heads(page)[1:] == ["recorded"] * 2
    home = visit((site / "index.html").as_uri())
    move(home, 1.5, "input", "change")
    assert home.inner_text("#strength-value") == "× 1.50"
    assert "Recorded" in home.inner_text("#strength-status")
