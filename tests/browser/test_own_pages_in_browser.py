"""Check my run and settling by clicks, in chromium."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "lab"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "flows"))
sys.path.insert(0, str(Path(__file__).parent))
from lab_runner import fake
from study_kit import finished, study
from test_lab_in_browser import CONTRAST, NAMES
from test_settle import recorded
from test_studies_in_browser import until, visit

import run_folder_kit as kit
import tuneworthy
from tuneworthy.records.record import digest

playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")
pytestmark = BROWSER_MARKS
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as running_now:
        browser = running_now.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a study, a task that is open for votes, and two training folders."""
    root = tmp_path_factory.mktemp("own")
    finished(root, study(60))
    path, gold = recorded(root / "tickets", success={"margin": 0.085}, name="tickets")
    tuneworthy.run(path)
    (root / "gold.json").write_text(json.dumps(gold))
    kit.tokenizer(kit.trainer_state(root / "runs" / "exploded", "explodes"))
    (root / "runs" / "notes").mkdir()
    (root / "runs" / "notes" / "readme.txt").write_text("of another tool")
    return root


@pytest.fixture
def served(folder, tmp_path):
    """Serve the lab of a copy of the folder; yield (its address to open, the copy)."""
    from tuneworthy.handover.serve.listening import listening_socket
    from tuneworthy.lab.app import make_app
    from tuneworthy.lab.open_lab import open_lab
    from tuneworthy.lab.own_folders import own_folders

    home = tmp_path / "home"
    shutil.copytree(folder, home)
    own = own_folders([home / "runs" / "exploded", home / "runs" / "notes"])
    opened = listening_socket("127.0.0.1", 0)
    lab = open_lab(home, ("127.0.0.1", opened.getsockname()[1]), open_runner=fake, own=own)
    server = uvicorn.Server(uvicorn.Config(make_app(lab), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    yield lab.access.launch_url(), home
    server.should_exit = True
    thread.join(10)
    lab.close()


def key_of(home, start="tickets-"):
    return digest(next((home / "tickets" / "results").glob(f"{start}????????")).name, 16)


def state(tab, name):
    until(tab, f"document.querySelector('#voting').dataset.state === '{name}'", 60)


def voted(tab, count):
    until(tab, f"document.querySelector('#bound-words').textContent.includes('· {count} vote')")


def check(tab, at):
    tab.locator("[data-folder]").nth(at).click()
    until(tab, "document.querySelector('#report').getAttribute('aria-busy') === 'false'", 60)


def stable(tab):
    """Return where the parts of a page stand, to tell a shift of its layout."""
    return tab.evaluate("""() => ['#report', '.folder-list', '#voting', '#pair', '.other-votes']
      .map((name) => document.querySelector(name)?.getBoundingClientRect().top)""")


def test_a_run_is_checked_and_every_finding_leads_to_its_case(chromium, served):
    tab, root = visit(chromium, served[0], **SIZES["desktop"])
    tab.get_by_role("link", name="Check my run").click()
    tab.wait_for_url(f"{root}/check")
    before = stable(tab)
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    until(tab, "document.querySelector('.fault')", 60)
    assert stable(tab) == before
    assert "exploded: " in tab.locator("#report-title").text_content()
    assert "learning rate" in tab.locator(".fault").first.text_content()
    tab.reload()
    until(tab, "document.querySelector('.fault')", 60)
    assert "a failure from 0.5 nats on" in tab.locator(".fault").first.text_content().lower()
    parts = tab.locator("#report .part").all_text_contents()
    assert any(part.startswith("Beyond a limit, and explained") for part in parts)
    named = tab.locator(".missing a").all_text_contents()
    assert len(named) == len(set(named)), "each case is listed once"
    assert tab.evaluate("document.querySelectorAll('.missing a').length") > 5
    tab.locator(".fault .button").first.click()
    tab.wait_for_url("**/case/*")
    assert tab.said == []
    assert tab.away == []


def test_a_folder_of_another_tool_is_refused_in_words(chromium, served):
    tab, root = visit(chromium, served[0], **SIZES["desktop"])
    tab.goto(f"{root}/check")
    check(tab, 1)
    assert tab.locator("#trouble").is_visible()
    assert "Nothing in this folder is a training run's" in tab.locator("#trouble").text_content()
    check(tab, 0)
    assert not tab.locator("#trouble").is_visible()


def test_five_votes_by_keys_a_second_tab_and_the_settled_study(chromium, served):
    launch, home = served
    tab, root = visit(chromium, launch, **SIZES["desktop"])
    gold = json.loads((home / "gold.json").read_text())
    rows = [json.loads(line) for line in (home / "tickets" / "pool.jsonl").open()]
    right = {row["input"]: gold[row["id"]] for row in rows}
    address = f"{root}/study/{key_of(home)}/settle"
    tab.goto(address)
    tab.locator("#start").click()
    state(tab, "asked")
    places = stable(tab)
    for number in range(5):
        asked = tab.locator("#messages dd").last.text_content()
        sides = {tab.locator(f"#{side}").text_content(): key for side, key in
                 (("left", "l"), ("right", "r"))}  # fmt: skip
        tab.keyboard.press(sides.get(right[asked], "b"))
        until(
            tab, f"document.querySelector('#bound-words').textContent.includes('· {number + 1} ')"
        )
        state(tab, "asked")
        assert stable(tab) == places, "nothing moves under the pointer"
    other = tab.context.new_page()
    other.goto(address)
    state(other, "asked")
    tab.keyboard.press("s")
    voted(tab, 6)
    other.keyboard.press("l")
    until(other, "!document.querySelector('#trouble').hidden")
    assert "answered already" in other.locator("#trouble").text_content()
    voted(other, 6)
    tab.locator("#finish").click()
    state(tab, "written")
    tab.locator("#settled-study").click()
    tab.wait_for_url("**/study/*/settle")
    assert "6 votes on" in tab.locator("#settle").text_content()
    assert [line for line in tab.said if "409" not in line] == []
    assert tab.away == []


@pytest.mark.parametrize(
    "size", ["desktop", *(pytest.param(size, marks=pytest.mark.long) for size in ("phone", "dark"))]
)
def test_every_page_is_readable_named_and_fits(chromium, served, size):
    """axe-core, by its own copy in the package, and our own checks of contrast and names."""
    launch, home = served
    axe = pytest.importorskip("axe_playwright_python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8") + ";0"
    tab, root = visit(chromium, launch, reduced_motion="reduce", **SIZES[size])
    key = key_of(home)
    pages = ["/", "/case/never-stops", "/check", "/playground", "/guess", "/advice", "/atlas",
             "/experiments", "/studies", f"/study/{key}/settle", f"/study/{key}",
             f"/study/{key}/run"]  # fmt: skip
    for page in pages:
        tab.goto(root + page)
        if page == "/check":
            check(tab, 0)
        if page.endswith("/settle"):
            tab.locator("#start").click()
            state(tab, "asked")
        tab.wait_for_timeout(200)
        assert tab.said == [], page
        over = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, page
        assert tab.evaluate(NAMES) == [], page
        assert tab.evaluate(CONTRAST) == [], page
        tab.evaluate(script)
        found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
        tab.said.clear()  # axe draws, which the policy of the page does not let it
