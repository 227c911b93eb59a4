"""Settle by clicks: the votes of the command, one answer to a pair, nothing lost."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from lab_kit import PORT, Browser, until
from lab_runner import fake

sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))
import itertools

from test_settle import recorded, said, settled

import tuneworthy
from tuneworthy.flows.settling import open_settling
from tuneworthy.lab import study_settling
from tuneworthy.lab.app import make_app
from tuneworthy.lab.open_lab import open_lab
from tuneworthy.records.record import digest
from tuneworthy.store.store import open_ledger

WAITS = ("opening", "working")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path, gold = recorded(folder, success={"margin": 0.095})
    tuneworthy.run(path)
    return folder, gold


@pytest.fixture
def home(template, tmp_path):
    shutil.copytree(template[0], tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def gold(template):
    return template[1]


@pytest.fixture
def client(home):
    lab = open_lab(home, ("127.0.0.1", PORT), open_runner=fake)
    with Browser(make_app(lab), lab) as browser:
        yield browser
    lab.close()


def key_of(home):
    return digest(next((home / "results").glob("planted-????????")).name, 16)


class Settler:
    """The page of a study, as a person uses it."""

    def __init__(self, client, home):
        self.client, self.path = client, f"/api/studies/{key_of(home)}/settle"

    def state(self):
        return self.client.get(self.path).json()

    def ready(self):
        until(lambda: self.state()["state"] not in WAITS)
        return self.state()

    def open(self):
        assert self.client.change(f"{self.path}/open").status_code == 202
        return self.ready()

    def vote(self, pair, choice, **more):
        return self.client.change(f"{self.path}/vote", {"pair": pair, "choice": choice, **more})

    def right(self, state, rows):
        """Vote as the right label says, and return the next state."""
        inputs = {row["input"]: row["output"] for row in rows}
        right = inputs[state["messages"][-1][1]]
        choice = "left" if state["left"] == right else (
            "right" if state["right"] == right else "wrong"
        )  # fmt: skip
        assert self.vote(state["pair"], choice).status_code == 200
        return self.ready()


@pytest.fixture
def settler(client, home):
    return Settler(client, home)


@pytest.fixture
def rows(home, gold):
    pool = [json.loads(line) for line in (home / "pool.jsonl").open()]
    return [{"input": row["input"], "output": gold[row["id"]]} for row in pool]


def test_the_page_settles_as_the_command_does(settler, client, home, gold, rows, tmp_path):
    shutil.copytree(home, tmp_path / "by command")
    by_command = settled(tmp_path / "by command" / "task.yaml", gold)
    state = settler.open()
    assert state["state"] == "asked"
    bounds = [state["bounds"][-1]]
    while state["state"] == "asked":
        state = settler.right(state, rows)
        bounds.append(state["bounds"][-1])
    assert (state["state"], state["ended"]) == ("over", "firm")
    facts = by_command.results.evidence.settled
    assert state["clicks"] == facts.clicks
    assert bounds[-1] <= 9.5 < bounds[0]
    assert all(after <= before for before, after in itertools.pairwise(bounds))
    client.change(f"{settler.path}/finish")
    written = settler.ready()
    assert written["state"] == "written"
    assert written["status"] == "firm"
    folder = home / "results" / written["folder"]
    assert (folder / "verdict.json").read_bytes() == (
        by_command.folder / "verdict.json"
    ).read_bytes()
    assert (folder / "settled.jsonl").read_bytes() == (
        by_command.folder / "settled.jsonl"
    ).read_bytes()
    assert "Votes settled this verdict." in client.get(f"/study/{written['study']}/run").text
    page = client.get(f"/study/{written['study']}/settle")
    assert page.status_code == 200
    assert '<h1 class="medium">planted, settled</h1>' in page.text
    with open_ledger(home):
        pass  # the page has given it free


def test_a_second_answer_to_a_pair_is_refused_and_the_first_stays(settler, rows):
    first = settler.open()
    second = settler.right(first, rows)
    late = settler.vote(first["pair"], "skip")
    assert late.status_code == 409
    assert "answered already" in late.json()["what"]
    assert "not counted" in late.json()["kept"]
    assert settler.state() == second
    assert second["clicks"] == 1


def test_what_was_voted_is_there_after_a_refresh_a_restart_and_for_the_command(
    settler, home, rows, gold
):
    state = settler.right(settler.open(), rows)
    assert settler.open() == state, "a second tab finds it open"
    settler.client.lab.open_settling.close()
    until(lambda: settler.state()["state"] == "closed")
    with open_settling(home / "task.yaml") as settling:
        assert settling.progress().clicks == 1
        question = settling.question()
        assert {question.left, question.right} == {state["left"], state["right"]}
        assert settling.click(said(question, gold)) == ""
    assert settler.vote(state["pair"], "left").status_code == 409
    assert settler.open()["clicks"] == 2


def test_a_typed_answer_that_is_no_answer_is_refused_with_the_reason(settler):
    state = settler.open()
    reply = settler.vote(state["pair"], "typed", gold="no such label")
    assert reply.status_code == 200
    again = settler.ready()
    assert "no legal answer" in again["refused"]
    assert (again["pair"], again["clicks"]) == (state["pair"], 0)


@pytest.mark.long
def test_stopping_early_writes_what_is_known(settler, client, home, rows):
    settler.right(settler.open(), rows)
    client.change(f"{settler.path}/finish")
    written = settler.ready()
    assert (written["state"], written["ended"], written["status"]) == (
        "written", "stopped", "provisional",
    )  # fmt: skip
    assert (home / "results" / written["folder"] / "settled.jsonl").exists()
    again = settler.open()
    assert again.get("clicks") == 1, again


@pytest.mark.long
def test_another_writer_of_the_ledger_is_named(settler, home):
    with open_ledger(home):
        failed = settler.open()
        assert failed["state"] == "failed"
        assert failed["problem"]["what"]
        assert failed["problem"]["fix"]
    assert settler.open()["state"] == "asked"


@pytest.mark.long
def test_a_changed_task_is_not_settled_as_this_study(settler, home):
    task = json.loads((home / "task.yaml").read_text())
    (home / "task.yaml").write_text(json.dumps({**task, "success": {"margin": 0.09}}))
    failed = settler.open()
    assert failed["state"] == "failed"
    assert "no finished study of this task" in failed["problem"]["what"]
    (home / "task.yaml").unlink()
    assert settler.open()["state"] == "failed"


def test_votes_without_an_open_study_and_a_second_lab_are_refused(settler, client, home):
    assert settler.vote("0" * 16, "left").status_code == 409
    assert settler.state() == {"state": "closed", "because": ""}
    second = open_lab(home, ("127.0.0.1", PORT + 1), open_runner=fake)
    assert second.jobs is None
    second.close()
    jobs, client.lab.jobs = client.lab.jobs, None
    assert client.change(f"{settler.path}/open").status_code == 409
    client.lab.jobs = jobs
    wrong = [{"choice": "left"}, {"pair": "x", "choice": "best"}, {"pair": 1, "choice": "left"},
             {"pair": "x", "choice": "typed", "gold": "a" * 30_000}]  # fmt: skip
    for body in wrong:
        assert client.change(f"{settler.path}/vote", body).status_code == 422


def test_nobody_votes_and_the_study_is_given_free(home):
    import multiprocessing

    ours, theirs = multiprocessing.Pipe()
    name = next((home / "results").glob("planted-????????")).name
    study_settling.serve_settling(theirs, home / "task.yaml", name, idle=0.05)
    states = []
    while ours.poll():
        states.append(ours.recv())
    assert states[-1]["state"] == "closed"
    assert states[-1]["because"] == "nobody voted for a while"
    with open_ledger(home):
        pass


@pytest.mark.long
def test_a_process_that_dies_is_said_to_have_died(settler, client):
    settler.open()
    client.lab.open_settling._process.kill()
    until(lambda: settler.state()["state"] == "failed")
    assert "SIGKILL" in settler.state()["problem"]["got"]
    assert settler.open()["state"] == "asked"
