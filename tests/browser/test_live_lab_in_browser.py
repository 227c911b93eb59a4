"""The served pages in chromium, against a stand-in for the server: streams, errors, the token."""

import json
import re
import time

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

from tuneworthy.lab import case_data
from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.pages import LAB_FOLDER, REPORT_STATIC, Site, blind_page, case_page, home_page
from tuneworthy.lab.recordings import Recordings, live_id

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
LAB = "http://lab.test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEY = "00112233445566ff"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class FakeServer:
    """Answers as the routes of the lab do; `posts` are the bodies sent, `events` a live run."""

    def __init__(self, events):
        self.case, self.site, self.posts = case_of("never-stops"), Site(token="secret"), []
        self.events, self.recorded = events, Recordings(self.case)
        self.fails, self.gets = None, []

    def page(self, path):
        if path == "/":
            return home_page(list(all_cases().values()), self.site)
        if path.startswith("/blind/"):
            return blind_page(KEY, self.site)
        return case_page(self.case, 1, self.site)

    def answer(self, path, body):
        """Return status and JSON of a request to the interface."""
        if self.fails:
            return self.fails
        if path == "/api/blind":
            return 200, {"key": KEY}
        if path.endswith("/guess"):
            told = case_data.guess_result(self.case, body["cause"], body["sure"])
            return 200, {**told, "slug": self.case.slug}
        if path.endswith("/cite"):
            return 200, case_data.citation_result(self.case, body["measure"])
        if path == "/api/runs":
            blind = body["case"] == KEY
            return (200, self.recorded.plant) if blind else (202, {"id": "a" * 16})
        if path.startswith("/api/records/"):
            name, twin = path.rpartition("/")[2], self.case.config("twin")
            ids = (self.recorded.twin[0]["id"], live_id(self.case.slug, twin))
            begin, *rest = self.recorded.twin if name in ids else self.recorded.plant
            return 200, [{**begin, "id": name}, *rest]
        return 200, case_data.public_data(self.case)

    def serve(self, route):
        request = route.request
        path = request.url.removeprefix(LAB)
        if path.startswith("/static/"):
            file = LAB_FOLDER / path.lstrip("/")
            file = file if file.exists() else REPORT_STATIC / file.name
            route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
        elif path.endswith("/events"):
            lines = [f"id: {k}\ndata: {json.dumps(e)}\n\n" for k, e in enumerate(self.events, 1)]
            route.fulfill(body="".join(lines), content_type="text/event-stream")
        elif path.startswith("/api/"):
            body = json.loads(request.post_data) if request.method == "POST" else None
            self.gets.append(path)
            if request.method == "POST":
                self.posts.append((path, body, request.headers))
            status, value = self.answer(path, body)
            route.fulfill(status=status, body=json.dumps(value), content_type="application/json")
        else:
            headers = {"content-security-policy": POLICY, "content-type": "text/html"}
            route.fulfill(body=self.page(path), headers=headers)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def server():
    """A server whose live run is the recorded clean run, after a turn in the queue."""
    recorded = Recordings(case_of("never-stops"))
    begin, *rest, end = recorded.twin
    checks = [{"what": "38 of 40 end", "passed": True, "value": "40 of 40"}]
    queue = [{"kind": "queue", "ahead": 1, "wait_s": 40.0}, {"kind": "log", "line": "<b>"}]
    return FakeServer([*queue, {**begin, "id": "a" * 16}, *rest, {**end, "checks": checks}])


@pytest.fixture
def visit(browser, server):
    contexts = []

    def opened(path):
        context = browser.new_context(reduced_motion="reduce")
        contexts.append(context)
        tab = context.new_page()
        tab.messages = []
        tab.on("console", lambda message: tab.messages.append(message.text))
        tab.on("pageerror", lambda error: tab.messages.append(str(error)))
        tab.route(re.compile(".*"), server.serve)
        tab.goto(LAB + path)
        return tab

    yield opened
    for context in contexts:
        context.close()


def until(tab, script, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if tab.evaluate(script):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never true: {script}")


def text(tab, selector):
    return re.sub(r"\s+", " ", tab.locator(selector).first.text_content()).strip()


def proved(tab):
    until(tab, "document.body.dataset.ready === 'yes'")
    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator("#lock").click()
    tab.locator('[data-measure="p_end"]').click()
    tab.locator("#cite").click()
    until(tab, "document.querySelector('[data-step=fix]').dataset.open === 'yes'")
    return tab


def test_every_change_carries_the_token_and_json(visit, server):
    proved(visit("/case/never-stops"))
    assert [path for path, *_ in server.posts] == [
        "/api/cases/never-stops/guess",
        "/api/cases/never-stops/cite",
    ]
    for _, _, headers in server.posts:
        assert headers["x-csrf-token"] == "secret"
        assert headers["content-type"] == "application/json"
    assert server.posts[0][1] == {"cause": "end_not_trained", "sure": 1}


def turn_unrecorded(tab):
    tab.locator('[data-knob="rate"]').select_option("1e-4")
    tab.locator('[data-knob="serve.schema"]').select_option("true")


def run_live(tab):
    """Press twice: the first press says that the combination is not recorded."""
    tab.locator("#rerun").click()
    tab.locator("#rerun").click()


def test_a_setting_that_was_not_recorded_runs_live_to_its_checks(visit, server):
    tab = proved(visit("/case/never-stops"))
    turn_unrecorded(tab)
    assert text(tab, "#note") == "Press, and see what this setting does."
    tab.locator("#rerun").click()
    assert text(tab, "#note").startswith(
        "This combination is not recorded. It can run live on this machine, after the planted run "
        "and its clean twin, once, in about 5 minutes"
    )
    assert text(tab, "#rerun") == "Run it live"
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    until(tab, "document.querySelector('#note').textContent.includes('on this machine')")
    path, body, _ = server.posts[-1]
    assert path == "/api/runs"
    assert body["case"] == "never-stops"
    assert body["config"]["rate"] == 0.0001
    assert text(tab, "#checks b") == "40 of 40"
    assert text(tab, "#note") == "The checks hold. Compared with both runs on this machine."
    assert text(tab, ".keys").count("on this machine") == 2
    asked = {path for path in server.gets if path.startswith("/api/records/")}
    for role in ("plant", "twin"):
        assert f"/api/records/{live_id('never-stops', server.case.config(role))}" in asked
    assert text(tab, '[data-chart="p_end"] .now.rerun') == "1.00"
    assert text(tab, "#says-step") == "step 48 of 48"
    assert tab.messages == []


def test_a_failed_check_names_itself_and_all_stand_there_before(visit, server):
    tab = proved(visit("/case/never-stops"))
    conditions = [line.inner_text() for line in tab.locator("#conditions li").all()]
    assert len(conditions) == 3
    assert "38 of 40 new answers end by themselves" in conditions
    *before, end = server.events
    checks = [{"what": what, "passed": True, "value": "1"} for what in conditions]
    checks[-1] = {"what": "score at least 0.61", "passed": False, "value": "0.40"}
    server.events = [*before, {**end, "checks": checks}]
    turn_unrecorded(tab)
    run_live(tab)
    until(tab, "lab.find('#note').textContent.startsWith('Not fixed yet')")
    assert text(tab, "#note").startswith("Not fixed yet: score at least .61.")
    assert tab.locator("#conditions li").last.inner_text() == "score at least .61"


def test_a_value_of_ones_own_is_sent_as_a_number(visit, server):
    tab = proved(visit("/case/never-stops"))
    tab.locator('[data-knob="rate"]').select_option("other value…")
    own = tab.locator('[data-own="rate"]')
    own.fill("7")
    own.press("Escape")
    assert tab.locator('[data-knob="rate"]').input_value() == "2e-3"
    tab.locator('[data-knob="rate"]').select_option("other value…")
    own.fill("0.004")
    own.press("Enter")
    assert tab.locator('[data-knob="rate"]').input_value() == "0.004"
    run_live(tab)
    until(tab, "lab.find('#checks').children.length > 0")
    assert server.posts[-1][1]["config"]["rate"] == 0.004


def test_a_run_that_was_stopped_is_no_failed_fix(visit, server):
    server.events = [*server.events[:20], {"kind": "end", "state": "stopped",
                     "because": "stopped at step 8", "seconds": 3, "facts": {},
                     "finding": None, "checks": []}]  # fmt: skip
    tab = proved(visit("/case/never-stops"))
    turn_unrecorded(tab)
    run_live(tab)
    until(tab, "lab.find('#status').textContent.includes('stopped')")
    assert "stopped at step 8" in text(tab, "#status")
    assert "failed=0" in tab.url
    assert tab.locator("#rerun").is_enabled()


def test_an_error_says_what_where_and_how(visit, server):
    tab = proved(visit("/case/never-stops"))
    server.fails = (422, {"what": "this value is <b>out of bounds</b>", "where": "config.rate",
                          "fix": "a number from 0 to 1"})  # fmt: skip
    turn_unrecorded(tab)
    run_live(tab)
    until(tab, "!document.querySelector('#trouble').hidden")
    said = text(tab, "#trouble")
    assert "This value is <b>out of bounds</b>. Where: config.rate." in said
    assert "What to do: a number from 0 to 1" in said
    assert tab.locator("#trouble b b").count() == 0
    assert tab.locator("#rerun").is_enabled()


def test_a_hidden_tab_closes_its_stream_and_takes_no_event_twice(visit):
    tab = visit("/case/never-stops")
    until(tab, "document.body.dataset.ready === 'yes'")
    counts = tab.evaluate("""async () => {
      const opened = [], seen = [];
      window.EventSource = class extends EventTarget {
        constructor(url) { super(); this.readyState = 1; opened.push(this); }
        close() { this.readyState = 2; }
        send(id) { this.dispatchEvent(new MessageEvent('message', { data: '{"kind":"log"}', lastEventId: String(id) })); }
      };
      const hide = (on) => { Object.defineProperty(document, 'hidden', { value: on, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); };
      lab.follow('b'.repeat(16), () => {}, () => seen.push(1));
      opened[0].send(1); opened[0].send(2);
      hide(true);
      const closed = opened[0].readyState;
      hide(false);
      opened[1].send(1); opened[1].send(2); opened[1].send(3);
      return [opened.length, closed, seen.length];
    }""")  # noqa: E501
    assert counts == [2, 2, 3]


def test_a_reload_finds_the_live_run_again(visit):
    tab = proved(visit("/case/never-stops"))
    tab.goto("about:blank")
    tab.goto(f"{LAB}/case/never-stops#guess=end_not_trained&locked=1&sure=1&cited=p_end"
             f"&rate=1e-4&live={'a' * 16}")  # fmt: skip
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    assert text(tab, "#checks b") == "40 of 40"
    assert text(tab, "#note") == "The checks hold. Compared with both runs on this machine."


def test_blind_from_home_to_the_case(visit, server):
    tab = visit("/")
    tab.locator("#blind").click()
    tab.wait_for_url(f"{LAB}/blind/{KEY}")
    until(tab, "document.body.dataset.ready === 'yes'")
    tab.locator('[data-cause="end_not_trained"]').click()
    tab.locator("#lock").click()
    until(tab, "document.querySelectorAll('#measures [data-measure]').length === 5")
    tab.locator('[data-measure="p_end"]').click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    assert text(tab, "#total") == "66 of 70 points"
    fix = "guess=end_not_trained&sure=1&locked=1&named=1&cited=p_end"
    assert tab.locator("#verify").get_attribute("href") == f"/case/never-stops#{fix}"
    assert tab.messages == []
    tab.locator("#verify").click()
    until(tab, "document.body.dataset.ready === 'yes'")
    until(tab, "document.querySelector('[data-step=fix]').dataset.open === 'yes'")
    assert tab.messages == []
