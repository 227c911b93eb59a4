"""D15: a recorded system without a tool is compared with its bound and can be named: `other`."""

import io
import json

import jsonschema
import pytest
from tests import recorded as scene

from tuneworthy.cli._frame import run as command
from tuneworthy.flows.study import run
from tuneworthy.records.results import Results
from tuneworthy.report.exports import verdict_schema
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen

PLACE = "write `answers.vendor.tool` to place it on the ladder"


def study(folder, better=0.05, n=200, tools=None, more=None, pool=0, **task):
    """Write a study of what runs today (.75) beside a vendor's system without a tool."""
    made = scene.rows(n + pool)
    systems = {"present": scene.failing(made, lambda at: 0.25),
               "vendor": scene.failing(made, lambda at: better, seed=4)}  # fmt: skip
    for at, (name, fails) in enumerate((more or {}).items()):
        systems[name] = scene.failing(made, lambda at, fails=fails: fails, seed=20 + at)
    if pool:
        task["data"] = {"file": "rows.jsonl", "unlabelled": "pool.jsonl"}
    path = scene.write(folder, made[:n], systems, tools, arms=["majority"], **task)
    scene.lines(folder / "pool.jsonl", [{k: row[k] for k in ("id", "input")} for row in made[n:]])
    return path


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    path = study(tmp_path_factory.mktemp("other"))
    return path, run(path)


def test_it_is_named_where_every_arm_is_beaten_and_the_words_say_how_to_place_it(named):
    verdict = named[1].verdict
    assert (verdict.use, verdict.arm, verdict.status) == ("other", "vendor", "firm")
    assert PLACE in verdict.because
    assert verdict.because.count("answers.vendor.tool") == 1
    assert verdict.left_on_table.points == 0
    assert verdict.arms[-1].name == "vendor"  # the top of the ladder
    shown = next(arm for arm in verdict.arms if arm.name == "vendor")
    assert shown.tool is None
    assert verdict.arms[1].delta.versus == "vendor"
    jsonschema.validate(json.loads(verdict.model_dump_json(by_alias=True)), verdict_schema())


def test_its_costs_are_not_known_with_the_key_that_would_say_them(named):
    money = named[1].verdict.economics
    row = next(row for row in money["arms"] if row["name"] == "vendor")
    assert (row["build_usd"], row["upkeep_usd_month"]) == (None, None)
    missing = named[1].verdict.missing
    assert any("answers.vendor.tool" in why for key, why in missing.items() if "build_usd" in key)


def test_screens_name_it(named):
    results = named[1].results
    screen = " ".join(ladder_screen(results).plain.split())
    assert screen.startswith("vendor leads by 19 points, shown (")
    assert "Use: vendor (recorded answers)" in screen
    assert ". Its recorded answers: " in screen
    assert "vendor (recorded answers)" in page(results)
    assert ">A recorded system.<" in page(results)


def test_a_system_that_is_not_shown_better_bounds_what_is_left(tmp_path):
    done = run(study(tmp_path, better=0.24, n=60))
    verdict = done.verdict
    assert (verdict.use, verdict.arm) == ("keep", "present")
    assert verdict.left_on_table.points > 0.05
    assert PLACE in verdict.because
    assert "a recorded system (`vendor`) could be at most" in verdict.because
    assert "A recorded system (vendor) could be at most" in " ".join(
        ladder_screen(done.results).plain.split()
    )


def test_with_its_tool_it_stands_on_its_rung(tmp_path):
    verdict = run(study(tmp_path, tools={"vendor": "bigger"})).verdict
    assert (verdict.use, verdict.arm) == ("bigger", "vendor")
    assert "answers.vendor.tool" not in verdict.because


def test_systems_without_a_tool_share_the_place_above_all(tmp_path):
    done = run(study(tmp_path, more={"tuned": 0.15, "second": 0.12}, tools={"tuned": "tune"}))
    verdict = done.verdict
    assert (verdict.use, verdict.arm) == ("other", "vendor")
    arms = {arm.name: arm for arm in done.results.evidence.arms}
    assert arms["vendor"].finalist
    assert not arms["second"].finalist
    assert arms["second"].compared
    assert arms["vendor"].chosen == (
        "the best of 2 arms whose tool is not given; every bound allows for the choice"
    )
    assert all(arm.delta for arm in verdict.arms if arm.name in ("second", "tuned", "present"))


def test_keep_named_as_a_finalist_says_nothing_of_a_system_without_a_tool(tmp_path):
    task = {"success": {"finalists": {"keep": "present"}}}
    verdict = run(study(tmp_path, **task)).verdict
    assert (verdict.use, verdict.arm) == ("other", "vendor")


def test_a_tuned_model_is_not_said_to_be_retired_for_it(tmp_path):
    present = {"answers": "present.jsonl", "tool": "tune"}
    verdict = run(study(tmp_path, present=present)).verdict
    assert (verdict.use, verdict.arm) == ("other", "vendor")
    assert "Retire" not in verdict.because


def test_all_commands_take_such_a_study(named, tmp_path, capsys):
    folder = named[1].folder
    for suffix in ("html", "json", "csv", "xml"):
        assert command(["report", str(folder), "-o", str(tmp_path / f"out.{suffix}")]) == 0
    assert command(["report", str(folder), "--recompute"]) == 0
    assert "vendor" in capsys.readouterr().out
    assert command(["compare", str(folder), str(folder)]) == 0
    assert "vendor" in capsys.readouterr().out
    again = Results.model_validate_json((folder / "results.json").read_text())
    assert again.verdict.use == "other"


def test_such_a_study_can_be_settled(tmp_path, monkeypatch, capsys):
    path = study(tmp_path, better=0.22, n=80, pool=150)
    assert run(path).verdict.status == "provisional"
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 200))
    assert command(["settle", str(path), "--clicks", "5"]) == 0
    settled = next((tmp_path / "results").glob("*-settled"))
    assert command(["report", str(settled), "--recompute"]) == 0
    capsys.readouterr()
