"""The report as an app of MCP: a host in chromium shows it in a sandbox, for the right task."""

import json

import pytest
from mcp_types import CallToolResult
from tests import studies
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS
from tests.mcp_kit import walk

from tuneworthy.agents import commands

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
URI = "ui://tuneworthy/report"
POLICY = ("default-src 'none'; script-src 'self' 'unsafe-inline'; "
          "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'none'")  # fmt: skip
HOST = """<!doctype html><iframe sandbox="allow-scripts" width="1000" height="800"></iframe><script>
const given = GIVEN, view = document.querySelector("iframe"), heard = [], sizes = [];
const tell = (message) => view.contentWindow.postMessage({jsonrpc: "2.0", ...message}, "*");
addEventListener("message", ({data: {id, method, params, result}}) => {
  heard.push(method ?? `answer ${id}`);
  if (method === "ui/initialize") tell({id, result: {protocolVersion: params.protocolVersion,
    hostInfo: {name: "test", version: "1"}, hostCapabilities: {}, hostContext: {theme: "dark"}}});
  if (method === "ui/notifications/initialized") {
    tell({method: "ui/notifications/tool-input", params: {arguments: given.arguments}});
    tell({method: "ui/notifications/tool-result", params: given.result});
  }
  if (method === "resources/read") {
    const page = given.pages[params.uri];
    tell(page ? {id, result: {contents: [page]}} : {id, error: {code: -32002, message: "gone"}});
  }
  if (method === "ui/notifications/size-changed") sizes.push(params.height);
});
view.srcdoc = given.view;
</script>"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What the server gives: the view, and results and pages of two tasks and of one not run."""
    root = tmp_path_factory.mktemp("served")
    for name in ("one", "two"):
        path = studies.write(root / name, name=name, arms=studies.LIGHT)
        commands.called(["run", path.name], path.parent)
    studies.write(root / "none", name="none")

    async def do(client):
        (view,) = (await client.read_resource(URI)).contents
        results, pages = {}, {}
        for task in ("one", "two", "none"):
            found: CallToolResult = await client.call_tool("verdict", {"task": task})
            results[task] = found.model_dump(mode="json", by_alias=True, exclude_none=True)
        for task in ("one", "two"):
            (page,) = (await client.read_resource(f"{URI}/{task}")).contents
            pages[f"{URI}/{task}"] = page.model_dump(mode="json", by_alias=True, exclude_none=True)
        return view.text, results, pages

    return walk(root, do)


@pytest.fixture
def shown(served, tmp_path):
    """Return show(task, pages): the tab of the host, and the frame of the view in it."""
    view, results, pages = served
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    view = view.replace("<head>", "<head>" + policy)
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def show(task, pages=pages):
            given = {"arguments": {"task": task}, "result": results[task], "pages": pages,
                     "view": view}  # fmt: skip
            text = json.dumps(given).replace("</", "<\\/")
            (tmp_path / "host.html").write_text(HOST.replace("GIVEN", text, 1))
            tab = chromium.new_page()
            tab.set_default_timeout(10_000)
            tab.messages, tab.requests = [], []
            tab.on("console", lambda message: tab.messages.append(message.text))
            tab.on("pageerror", lambda error: tab.messages.append(str(error)))
            tab.on("request", lambda request: tab.requests.append(request.url))
            tab.goto((tmp_path / "host.html").as_uri())
            return tab, tab.frame_locator("iframe")

        yield show
        chromium.close()


@pytest.mark.parametrize("task", ["one", "two"])
def test_the_report_of_the_task_is_shown_and_works(shown, task):
    tab, view = shown(task)
    view.locator(".study").wait_for()
    assert view.locator(".study").text_content().startswith(f"{task} ")
    assert view.locator("html").evaluate("one => one.style.colorScheme") == "dark"
    view.get_by_role("button", name="Open all details").click()
    view.locator("[data-show=failures]").click()
    view.locator("summary", has_text="What do the rows look like?").click()
    assert view.locator(".study").text_content().startswith(f"{task} ")
    tab.wait_for_function("sizes.some((height) => height > 1000)")
    tab.evaluate("tell({id: 'end', method: 'ui/resource-teardown', params: {}})")
    tab.wait_for_function("heard.includes('answer end')")
    assert tab.evaluate("heard.slice(0, 3)") == [
        "ui/initialize", "ui/notifications/initialized", "resources/read"]  # fmt: skip
    assert tab.messages == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []


def test_without_a_report_the_view_says_why(shown):
    _, view = shown("none")
    view.get_by_text("there is no finished study here").wait_for()
    _, view = shown("one", pages={})
    view.get_by_text("The report could not be loaded: gone").wait_for()
