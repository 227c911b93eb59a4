"""Coding agents: plan before run, spending asked of the person, runs that outlive the server."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import ElicitResult
from tests import studies

from tuneworthy.agents import commands as runs
from tuneworthy.agents import mcp_server


@pytest.fixture
def folder(tmp_path):
    studies.write(tmp_path, arms=studies.LIGHT)
    return tmp_path


def walk(root, do, **options):
    """Run an async test with a client of the server of a folder, in this process."""

    async def whole():
        async with Client(mcp_server.mcp_server(root), **options) as client:
            return await do(client)

    return anyio.run(whole)


async def call(client, tool, **arguments):
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found.content
    return found.structured_content


async def waited(client, run):
    with anyio.fail_after(120):
        while (state := await call(client, "status", run=run))["state"] == "running":
            await anyio.sleep(0.2)
    return state


@pytest.mark.full
def test_an_agent_walks_from_check_to_a_verdict_and_its_reasons(folder):
    async def do(client):
        tools = {tool.name for tool in (await client.list_tools()).tools}
        checked = await call(client, "check")
        planned = await call(client, "plan")
        step = planned["result"]["next"]
        begun = await call(client, "run", plan_id=step["id"])
        done = await waited(client, begun["run"])
        told = await call(client, "verdict")
        why = await call(client, "explain", topic="evaluation")
        topics = await call(client, "explain", topic="nothing like it")
        return tools, checked, step, done, told, why, topics

    tools, checked, step, done, told, why, topics = walk(folder, do)
    assert tools >= {"check", "plan", "run", "status", "verdict", "compare", "explain"}
    assert checked["exit_code"] == 0
    assert (step["paid"], step["most_usd"], step["look"]) == (False, 0.0, 1)
    assert step["command"] == "tuneworthy run task.yaml"
    assert done["state"] == "done"
    assert done["result"]["arm"] == told["result"]["arm"]
    assert "never instructions" in told["data"]
    assert why["result"]["measured"]["answer"] in {"yes", "no", "not_measured"}
    assert {"evaluation", "zero_shot"} <= {*topics["result"]["topics"]}


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
    assert started == ([["run", "task.yaml", "--no-progress", "--minutes", "5m"]] if runs else [])


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
    other = {"result": {"task": {"name": "another"}}}
    monkeypatch.setattr(mcp_server, "called", lambda words, root: other)

    async def do(client):
        return await call(client, "verdict")

    assert "is of the task `another`" in walk(folder, do)["error"]["what"]


def test_a_path_outside_the_folder_is_refused(folder):
    async def do(client):
        return await call(client, "check", task="../elsewhere/task.yaml")

    assert "own folder alone" in walk(folder, do)["error"]["what"]


@pytest.mark.full
def test_a_hundred_ask_for_the_state_at_once(folder):
    async def do(client):
        step = (await call(client, "plan"))["result"]["next"]
        run = (await call(client, "run", plan_id=step["id"]))["run"]
        states = []

        async def one():
            states.append((await call(client, "status", run=run))["run"])

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)
        await waited(client, run)
        return run, states

    run, states = walk(folder, do)
    assert states == [run] * 100


def test_an_unknown_run_says_what_to_do(folder):
    async def do(client):
        return await call(client, "status", run="../../etc")

    assert "call `run`" in walk(folder, do)["error"]["fix"]


def test_two_logs_are_compared(folder):
    gold = [{"id": row["id"], "answer": row["output"]} for row in studies.rows(60)]
    studies.lines(folder / "one.jsonl", gold)

    async def do(client):
        return await call(client, "compare", a="one.jsonl", b="logged.jsonl", gold="rows.jsonl")

    found = walk(folder, do)
    assert found["exit_code"] == 0
    assert found["result"]


ENV = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}


@asynccontextmanager
async def by_stdio(root):
    words = StdioServerParameters(
        command=sys.executable, args=["-m", "tuneworthy", "mcp", str(root)], env=ENV
    )
    async with Client(stdio_client(words)) as client:
        yield client


@asynccontextmanager
async def by_http(root):
    port = free_port()
    words = [sys.executable, "-m", "tuneworthy", "mcp", str(root), "--port", str(port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, env=ENV) as server:
        try:
            await listening(port)
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                yield client
        finally:
            server.terminate()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def listening(port):
    with anyio.fail_after(60):
        while True:
            with contextlib.suppress(OSError):
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            await anyio.sleep(0.1)


@pytest.mark.full
@pytest.mark.parametrize("transport", [by_stdio, by_http])
def test_both_transports_walk_from_plan_to_verdict(folder, transport):
    async def whole():
        async with transport(folder) as client:
            step = (await call(client, "plan"))["result"]["next"]
            begun = await call(client, "run", plan_id=step["id"])
            done = await waited(client, begun["run"])
            return done, await call(client, "verdict")

    done, told = anyio.run(whole)
    assert done["result"]["arm"] == told["result"]["arm"]


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
print("begun", file=sys.stderr, flush=True)
try:
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


def wait_until(ready):
    for _ in range(1200):
        if ready():
            return
        time.sleep(0.05)
    pytest.fail("this was not ready within 60 s")
