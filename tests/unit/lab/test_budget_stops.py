"""The budget slider: plans of the planner itself, at round minutes, for the task as it is now."""

import json
import shutil

import pytest
from lab_kit import PORT, Browser
from lab_runner import fake
from tests import studies

import tuneworthy
from tuneworthy.core.record import digest
from tuneworthy.core.run_options import RunOptions
from tuneworthy.lab.app import make_app
from tuneworthy.lab.budget_stops import compute_stops
from tuneworthy.lab.open_lab import open_lab
from tuneworthy.lab.study_facts import plan_rows
from tuneworthy.ledger.store import open_ledger
from tuneworthy.report._tables import visible_line
from tuneworthy.study import plan


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = studies.write(tmp_path_factory.mktemp("study"), 60)
    tuneworthy.run(path)
    return path.parent


@pytest.fixture
def home(template, tmp_path):
    shutil.copytree(template, tmp_path / "study")
    return tmp_path / "study"


def name_of(home):
    return (home / "results" / "latest").read_text().strip()


@pytest.fixture
def client(home):
    lab = open_lab(home, ("127.0.0.1", PORT), open_runner=fake)
    with Browser(make_app(lab), lab) as browser:
        yield browser
    lab.close()


def with_minutes(home, minutes):
    task = json.loads((home / "task.yaml").read_text())
    (home / "task.yaml").write_text(json.dumps({**task, "budget": {"minutes": minutes}}))


def test_each_stop_is_the_plan_that_the_command_makes(home):
    found = compute_stops(home / "task.yaml", name_of(home))
    assert found["same"]
    minutes = [stop["minutes"] for stop in found["stops"]]
    assert minutes == sorted(set(minutes))
    assert {found["own"], float(found["enough"])} <= set(minutes)
    for stop in found["stops"]:
        with_minutes(home, stop["minutes"])
        made = plan(home / "task.yaml", RunOptions())
        assert stop["rows"] == plan_rows(made)
        assert stop["cuts"] == list(made.cuts)
        assert stop["planned"] == made.minutes
        assert stop["visible"] == visible_line(made.visible)
    enough = next(stop for stop in found["stops"] if stop["minutes"] == found["enough"])
    assert enough["cuts"] == []


def test_the_page_works_them_out_once(client, home):
    key = digest(name_of(home), 16)
    path = f"/api/studies/{key}/budget"
    assert client.get(path).json() == {"known": None}
    page = client.get(f"/study/{key}/plan").text
    assert 'id="work-out"' in page
    assert "/static/budget.js" in page
    first = client.change(path)
    assert first.status_code == 200
    assert first.json()["known"]["stops"]
    assert client.get(path).json() == first.json()
    with open_ledger(home):
        assert client.change(path).json() == first.json(), "known ones need no ledger"


@pytest.mark.long
def test_a_changed_task_is_said_to_be_another_one(client, home):
    key = digest(name_of(home), 16)
    with_minutes(home, 7)
    found = client.change(f"/api/studies/{key}/budget").json()["known"]
    assert found["own"] == 7
    task = json.loads((home / "task.yaml").read_text())
    (home / "task.yaml").write_text(json.dumps({**task, "success": {"margin": 0.2}}))
    assert client.get(f"/api/studies/{key}/budget").json() == {"known": None}
    assert client.change(f"/api/studies/{key}/budget").json()["known"]["same"] is False


@pytest.mark.long
def test_what_cannot_be_planned_is_named(client, home):
    path = f"/api/studies/{digest(name_of(home), 16)}/budget"
    with open_ledger(home):
        reply = client.change(path)
        assert reply.status_code == 409
        assert reply.json()["fix"]
    client.lab.budget_stops._busy.acquire()
    assert client.change(path).status_code == 429
    client.lab.budget_stops._busy.release()
    (home / "task.yaml").write_text("name: [")
    assert client.change(path).status_code == 422
    (home / "task.yaml").unlink()
    assert client.change(path).status_code == 422
    jobs, client.lab.jobs = client.lab.jobs, None
    assert client.change(path).status_code == 409
    client.lab.jobs = jobs
