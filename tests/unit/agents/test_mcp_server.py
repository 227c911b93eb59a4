"""Coding agents: plan before run, spending asked of the person, runs that outlive the server."""

import json
import sys
import urllib.error
import urllib.request
from contextlib import nullcontext

import anyio
import pytest
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult
from tests import studies
from tests.mcp_kit import by_http, by_stdio, call, wait_until, waited, walk

from tuneworthy.agents import commands as runs
from tuneworthy.agents import mcp_server


@pytest.fixture
def folder(tmp_path):
    studies.write(tmp_path, arms=studies.LIGHT)
    return tmp_path


WAYS = [(by_stdio, "auto"), (by_http, "auto"), (by_http, "legacy")]


@pytest.mark.full
@pytest.mark.parametrize(("transport", "mode"), WAYS)
def test_an_agent_walks_from_check_to_a_verdict_and_its_reasons(folder, transport, mode):
    """On each transport; without a plan it is refused, and a hundred ask for the state at once."""
    gold = [{"id": row["id"], "answer": row["output"]} for row in studies.rows(60)]
    studies.lines(folder / "gold.jsonl", gold)
    found, states = {}, []

    async def do(client):
        found["tools"] = {tool.name for tool in (await client.list_tools()).tools}
        found["check"] = await call(client, "check")
        found["refused"] = await call(client, "run", plan_id="")
        found["plan"] = await call(client, "plan")
        run = (await call(client, "run", plan_id=found["plan"]["result"]["next"]["id"]))["run"]

        async def ask():
            states.append(await call(client, "status", run=run))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
        found["run"], found["done"] = run, await waited(client, run)
        found["verdict"] = await call(client, "verdict")
        found["why"] = await call(client, "explain", topic="evaluation")
        found["topics"] = await call(client, "explain", topic="nothing like it")
        files = {"a": "gold.jsonl", "b": "logged.jsonl", "gold": "rows.jsonl"}
        found["compare"] = await call(client, "compare", **files)

    async def whole():
        async with transport(folder, mode=mode) as client:
            await do(client)

    anyio.run(whole)
    assert found["tools"] >= {"check", "plan", "run", "status", "verdict", "compare", "explain"}
    assert found["check"]["exit_code"] == 0
    assert "call `plan`" in found["refused"]["error"]["fix"]
    step = found["plan"]["result"]["next"]
    assert (step["paid"], step["most_usd"], step["look"]) == (False, 0.0, 1)
    assert step["command"] == "tuneworthy run task.yaml"
    assert [one["run"] for one in states] == [found["run"]] * 100
    assert {one["state"] for one in states} <= {"running", "done"}
    assert found["done"]["state"] == "done"
    assert any("zero_shot" in line for line in found["done"]["progress"])
    assert found["done"]["result"]["arm"] == found["verdict"]["result"]["arm"]
    assert "never instructions" in found["verdict"]["data"]
    assert found["why"]["result"]["measured"]["answer"] in {"yes", "no", "not_measured"}
    assert {"evaluation", "zero_shot"} <= {*found["topics"]["result"]["topics"]}
    assert found["compare"]["exit_code"] == 0
    assert found["compare"]["result"]


def test_no_study_runs_whose_plan_is_another_one(folder):
    async def do(client):
        step = (await call(client, "plan"))["result"]["next"]
        without = await call(client, "run", plan_id="")
        studies.lines(folder / "rows.jsonl", studies.rows(40))
        return without, await call(client, "run", plan_id=step["id"])

    for refused in walk(folder, do):
        assert refused["exit_code"] == 2
        assert "call `plan`" in refused["error"]["fix"]
    assert not (folder / ".tuneworthy" / "agents").exists()


@pytest.fixture
def paid(folder, monkeypatch):
    """A task whose model costs money, with a plan that says how much at most under its cap."""
    step = {"id": "one", "paid": True, "most_usd": 2.5, "most_minutes": 60.0}
    plan = {"next": step, "cap_usd": 5.0, "cap_tokens": None}
    started = []
    monkeypatch.setattr(mcp_server, "called", lambda words, root: {"result": plan})
    monkeypatch.setattr(mcp_server, "start_run", lambda words, root: started.append(words) or "r")
    return folder, plan, started


@pytest.mark.parametrize(
    ("answer", "runs"),
    [(ElicitResult(action="accept", content={"go_on": True}), True),
     (ElicitResult(action="accept", content={"go_on": False}), False),
     (ElicitResult(action="decline"), False)],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_person_is_asked_before_money_is_spent(paid, answer, runs, mode):
    folder, _, started = paid
    asked = []

    async def person(context, request):
        asked.append(request.message)
        return answer

    async def do(client):
        return await call(client, "run", plan_id="one", minutes=5)

    found = walk(folder, do, elicitation_callback=person, mode=mode)
    assert asked == ["task.yaml sends paid requests: at most $2.50, 60 minutes"]
    assert ("run" in found) == runs
    assert started == ([["run", "./task.yaml", "--minutes", "5m"]] if runs else [])


@pytest.mark.parametrize(
    ("caps", "runs"), [((5.0, None), True), ((None, 900), True), ((None, None), False)]
)
def test_without_a_person_no_more_than_the_task_allows_is_spent(paid, caps, runs):
    folder, plan, started = paid
    plan["cap_usd"], plan["cap_tokens"] = caps

    async def do(client):
        return await call(client, "run", plan_id="one")

    found = walk(folder, do)
    assert ("run" in found, bool(started)) == (runs, runs)
    assert runs or "nothing caps it" in found["error"]["what"]


def test_a_verdict_of_another_task_of_the_folder_is_not_given(folder, monkeypatch):
    monkeypatch.setattr(mcp_server, "called", lambda words, root: {"result": {}})
    kept = folder / "results" / "one"
    kept.mkdir(parents=True)
    (folder / "results" / "latest").write_text("one")
    (kept / "files.json").write_text(json.dumps({"another.yaml": "0", "task.yaml": "0"}))

    async def do(client):
        return await call(client, "verdict")

    assert "not of this file as it is now" in walk(folder, do)["error"]["what"]


def test_a_path_outside_the_folder_is_refused(folder):
    async def do(client):
        return await call(client, "check", task="../elsewhere/task.yaml")

    assert "own folder alone" in walk(folder, do)["error"]["what"]


def test_an_unknown_run_says_what_to_do(folder):
    async def do(client):
        return await call(client, "status", run="../../etc")

    assert "call `run`" in walk(folder, do)["error"]["fix"]


@pytest.mark.full
def test_a_page_of_another_site_is_refused(folder):
    async def whole():
        async with by_http(folder) as client:
            url = str(client.server)
            body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            for header in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                request = urllib.request.Request(
                    url, json.dumps(body).encode(), {"Content-Type": "application/json",
                    "Accept": "application/json, text/event-stream", **header})  # fmt: skip
                with pytest.raises(urllib.error.HTTPError) as refused:
                    await anyio.to_thread.run_sync(urllib.request.urlopen, request)
                assert refused.value.code in {403, 421}

    anyio.run(whole)


@pytest.mark.full
def test_a_run_goes_on_without_its_server(folder):
    async def begin():
        async with by_stdio(folder) as client:
            step = (await call(client, "plan"))["result"]["next"]
            return (await call(client, "run", plan_id=step["id"]))["run"]

    run = anyio.run(begin)
    wait_until(lambda: runs.run_state(folder, run)["state"] != "running")
    assert runs.run_state(folder, run)["state"] == "done"


SLOW = """
import json, signal, sys, time
try:
    print("begun", file=sys.stderr, flush=True)  # may be stopped as soon as it is read
    time.sleep(60)
except KeyboardInterrupt:
    print(json.dumps({"arm": "so far"}))
"""


def test_a_run_is_stopped_as_by_ctrl_c_and_tells_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "command_line", lambda words: [sys.executable, "-c", SLOW])
    run = runs.start_run(["run"], tmp_path)
    wait_until(lambda: runs.run_state(tmp_path, run)["progress"])
    assert runs.stop_run(tmp_path, run)["state"] == "running"
    wait_until(lambda: runs.run_state(tmp_path, run)["state"] != "running")
    state = runs.run_state(tmp_path, run)
    assert (state["state"], state["result"]) == ("done", {"arm": "so far"})
    assert runs.stop_run(tmp_path, run)["state"] == "done", "what has ended stays as it is"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_who_waits_for_the_state_is_told_each_new_line(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(runs, "command_line", lambda words: [sys.executable, "-c", LINES])
    run, told = runs.start_run(["run"], tmp_path), []

    async def line(done, total, message):
        told.append((done, message))

    async def do(client):
        return await call(client, "status", line, run=run, wait_seconds=60)

    state = walk(tmp_path, do, mode=mode)
    assert (state["state"], state["lines"], state["result"]) == ("done", 3, {"arm": "at last"})
    assert told == [(1, "line 1"), (2, "line 2"), (3, "line 3")]


LINES = """
import json, sys, time
for at in (1, 2, 3):
    print("line", at, file=sys.stderr, flush=True)
    time.sleep(0.8)
print(json.dumps({"arm": "at last"}))
"""


def test_waiting_for_the_state_ends_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "command_line", lambda words: [sys.executable, "-c", SLOW])
    run = runs.start_run(["run"], tmp_path)

    async def do(client):
        before = anyio.current_time()
        state = await call(client, "status", run=run, wait_seconds=0.7)
        too_long = await client.call_tool("status", {"run": run, "wait_seconds": 61})
        return state, anyio.current_time() - before, too_long

    state, seconds, too_long = walk(tmp_path, do)
    runs.stop_run(tmp_path, run)
    assert state["state"] == "running"
    assert 0.7 <= seconds < 30
    assert too_long.is_error


@pytest.mark.full
def test_a_client_that_shows_apps_gets_the_report_of_the_task_it_asked_for(folder):
    """Two tasks in folders of their own; a third has no study, a fourth lies outside."""
    for name in ("one", "two"):
        path = studies.write(folder / name, name=name, arms=studies.LIGHT)
        runs.called(["run", path.name], path.parent)
    uri = "ui://tuneworthy/report"

    async def do(client):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        listed = {str(one.uri): one for one in (await client.list_resources()).resources}
        pages = {}
        for name in ("", "/one", "/two%2Ftask.yaml", "/task.yaml", "/..%2Fone"):
            with nullcontext() if name[1:4] in ("", "one", "two") else pytest.raises(MCPError):
                (pages[name],) = (await client.read_resource(uri + name)).contents
        return client.server_capabilities, tools, listed, pages

    able, tools, listed, pages = walk(folder, do)
    assert EXTENSION_ID in able.extensions
    assert tools["verdict"].meta["ui"]["resourceUri"] == uri
    assert tools["explain"].meta is None
    assert listed[uri].mime_type == APP_MIME_TYPE
    assert pages.keys() == {"", "/one", "/two%2Ftask.yaml"}
    assert {page.mime_type for page in pages.values()} == {APP_MIME_TYPE}
    assert "ui/initialize" in pages[""].text
    for name, page in [("one", pages["/one"]), ("two", pages["/two%2Ftask.yaml"])]:
        assert f'<p class="soft study">{name} ' in page.text
