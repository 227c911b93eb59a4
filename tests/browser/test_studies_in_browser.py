"""The pages of a study in chromium: silent, on loopback, by keyboard, on a phone, in the dark."""

import contextlib
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "lab"))
from lab_runner import fake
from study_kit import KEY, arm, finished, running

playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")
pytestmark = BROWSER_MARKS
PATHS = ["/studies", *(f"/study/{KEY}{part}" for part in ("", "/run", "/settle"))]


@pytest.fixture
def served(tmp_path):
    """Serve the lab of a folder on a free port; yield (its address to open, the folder)."""
    from tuneworthy.handover.serve.listening import listening_socket
    from tuneworthy.lab.app import make_app
    from tuneworthy.lab.open_lab import open_lab

    opened = listening_socket("127.0.0.1", 0)
    lab = open_lab(tmp_path, ("127.0.0.1", opened.getsockname()[1]), open_runner=fake)
    server = uvicorn.Server(uvicorn.Config(make_app(lab), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    yield lab.access.launch_url(), tmp_path
    server.should_exit = True
    thread.join(10)
    lab.close()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as running_now:
        browser = running_now.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def visit(chromium, launch, **options):
    """Open the lab; the tab notes what the console says and every request that leaves loopback."""
    context = chromium.new_context(**options)
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    tab.said, tab.away = [], []
    root = launch.split("/launch")[0]
    tab.goto(launch)
    tab.wait_for_url(f"{root}/")
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda one: tab.away.append(one.url) if root not in one.url else None)
    return tab, root


def until(tab, script, seconds=15):
    """Poll the page: `wait_for_function` needs what the policy forbids."""
    for _ in range(int(seconds / 0.1)):
        with contextlib.suppress(playwright.Error):  # the page may be loading again
            if value := tab.evaluate(script):
                return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {script}")


@pytest.mark.parametrize("options", [
    {"viewport": {"width": 1200, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
], ids=["desktop", "phone, dark"])  # fmt: skip
def test_every_page_fits_and_says_nothing_on_the_console(chromium, served, options):
    launch, folder = served
    finished(folder)
    tab, root = visit(chromium, launch, **options)
    for path in PATHS:
        tab.goto(root + path)
        over = tab.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, path
    assert tab.said == []
    assert tab.away == []


def test_from_the_list_by_keyboard_to_a_case_of_the_report_and_back(chromium, served):
    launch, folder = served
    finished(folder)
    tab, root = visit(chromium, launch)
    tab.goto(f"{root}/studies")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/study/{KEY}")
    tab.get_by_role("button", name="Open all details").click()
    tab.get_by_role("button", name="▶ fails").click()
    tab.locator("a.case-row").first.click()
    tab.wait_for_url("**#case=*show=failures")
    tab.locator("#case", has_text="Prompt sent").wait_for()
    tab.locator("#case").get_by_role("button", name="Close").click()
    tab.locator("#margin").focus()
    tab.keyboard.press("End")
    assert tab.locator("#what-if").is_visible(), "the report's script is at work"
    tab.get_by_role("link", name="Settle", exact=True).click()
    tab.wait_for_url("**/settle")
    tab.get_by_role("link", name="Report", exact=True).click()
    tab.wait_for_url(f"**/study/{KEY}")
    assert tab.said == []
    assert tab.away == []


def test_a_running_study_is_followed_without_a_reload(chromium, served):
    launch, folder = served
    with running(folder) as tell:
        tab, root = visit(chromium, launch)
        tab.goto(f"{root}/study/{KEY}/run")
        tab.evaluate("window.mark = 1")
        tell("arm", arm("a later arm"))
        until(tab, "document.querySelector('#arms-now').textContent.includes('a later arm')")
        assert tab.evaluate("window.mark") == 1
        assert "at most 9 points may be left" in tab.locator("#sentence").text_content()
        assert tab.locator("#log-now b").count() == 0, "a message is text"
    until(tab, "document.querySelector('#live').dataset.state !== 'running'")
    assert tab.said == []
