"""Every adviser: its file, its protocol, a distribution or None, and nothing it must not see."""

import os
import re
import stat
import sys
from importlib import import_module
from pathlib import Path

import pytest
from bench.atlas import soup_process
from bench.atlas.advice_input import TOOL_CHOICES, AdviceInput, as_distribution
from bench.atlas.adviser_list import adviser_names

from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, ShownRow

ADVISERS = adviser_names()


def load(name):
    return import_module(f"bench.atlas.advisers.{name}")


ROWS = tuple(ShownRow(input=f"message {i} of May", output=f"topic {i % 3}") for i in range(10))
PLAIN = AdviceInput(
    instruction="Name the topic.", rows=ROWS, n=200, base=0.4, metric="accuracy", margin=0.05,
    output_type="label",
)  # fmt: skip
LOOK = (
    MeasuredArm(name="tfidf", tool="classifier", seeds=1,
                score=Interval(mean=0.5, low=0.4, high=0.6),
                behind=Interval(mean=0.2, low=0.1, high=0.3)),
    MeasuredArm(name="few_shot", tool="prompt", seeds=1,
                score=Interval(mean=0.7, low=0.6, high=0.8), behind=None),
)  # fmt: skip
SCENES = [
    PLAIN,
    PLAIN.model_copy(update={"n": 5000, "base": None}),
    PLAIN.model_copy(update={"rows": (), "output_type": None}),
    PLAIN.model_copy(update={"instruction": "", "output_type": "text"}),
    PLAIN.model_copy(update={"first_look": LOOK, "recorded": {"tune": 1.0}}),
]


@pytest.fixture(autouse=True)
def no_soup(monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_SOUP", "/nowhere/soup")


def test_these_advisers_are_shipped():
    assert set(ADVISERS) >= {
        "always_tune", "never_tune", "five_hundred", "checklist", "checklist_strict", "break_even",
        "soup_advise", "first_look", "recorded_answers",
    }  # fmt: skip


@pytest.mark.parametrize("name", ADVISERS)
def test_a_file_defines_what_it_must(name):
    module = load(name)
    assert all(getattr(module, key) for key in ("LABEL", "SEES", "BLIND"))
    assert len(Path(module.__file__).read_text("utf-8").splitlines()) < 100


@pytest.mark.parametrize("name", ADVISERS)
def test_a_file_imports_no_other_adviser(name):
    text = Path(load(name).__file__).read_text("utf-8")
    assert all(other[0] == "_" for other in re.findall(r"advisers(?:\.| import )(\w+)", text))


@pytest.mark.parametrize("name", ADVISERS)
def test_an_answer_is_a_distribution_or_none_and_always_the_same(name):
    module = load(name)
    for shown in SCENES:
        told = module.advise(shown)
        assert told == module.advise(shown)
        if told is not None:
            assert as_distribution(told) is not None, told
            assert set(told) <= set(TOOL_CHOICES)


@pytest.mark.parametrize("name", sorted(set(ADVISERS) - {"recorded_answers", "first_look"}))
def test_no_other_adviser_reads_the_first_look_or_a_recorded_answer(name):
    module, more = load(name), {"first_look": LOOK, "recorded": {"bigger": 1.0}}
    for shown in SCENES:
        assert module.advise(shown) == module.advise(shown.model_copy(update=more))


def test_the_rules_of_thumb():
    def says(name, **more):
        return load(name).advise(PLAIN.model_copy(update=more))

    assert says("five_hundred", n=499) == {"prompt": 1.0}
    assert says("five_hundred", n=500) == {"tune": 1.0}
    assert says("always_tune") == {"tune": 1.0}
    assert says("never_tune", n=5000) == {"prompt": 1.0}
    assert says("recorded_answers", recorded={"schema": 1.0}) == {"schema": 1.0}
    assert says("recorded_answers") is None


def test_the_checklist_question_by_question():
    check, strict = load("checklist"), load("checklist_strict")

    def says(**more):
        shown = PLAIN.model_copy(update={"n": 500, **more})
        return check.advise(shown), strict.advise(shown)

    tune, prompt, context = ({name: 1.0} for name in ("tune", "prompt", "context"))
    assert says() == (tune, prompt)
    assert says(n=499) == (prompt, prompt)
    twice = (ShownRow(input="a", output="x"), ShownRow(input="a", output="y"))
    assert says(rows=twice) == (prompt, prompt)
    facts = tuple(ShownRow(input=f"Who wrote book {i}?", output="Ada Byron") for i in range(10))
    assert says(rows=facts, output_type="text") == (context, prompt)
    copied = tuple(ShownRow(input=f"Order {i} for Ada", output="Ada") for i in range(10))
    assert says(rows=copied, output_type="text") == (tune, prompt)
    dated = tuple(ShownRow(input=f"Price today of {i}?", output="high") for i in range(10))
    assert says(rows=dated) == (context, prompt)


def test_break_even_turns_with_the_length_of_the_prompt():
    advise = load("break_even").advise
    long = tuple(ShownRow(input="word " * 4000, output="yes") for _ in range(10))
    assert advise(PLAIN) == {"prompt": 1.0}
    assert advise(PLAIN.model_copy(update={"rows": long})) == {"tune": 1.0}
    said = load("break_even").ASSUMES
    assert said.startswith("not measured")
    assert "requests a month 100,000" in said


def test_the_first_look_names_the_measured_leader_and_leaves_room():
    module = load("first_look")
    told = module.advise(PLAIN.model_copy(update={"first_look": LOOK}))
    assert max(told, key=told.get) == "prompt"
    assert told["tune"] == pytest.approx((1 - 0.05 - 0.7) / 8)
    full = LOOK[1].model_copy(update={"score": Interval(mean=0.99, low=0.97, high=1.0)})
    sure = module.advise(PLAIN.model_copy(update={"first_look": (full,)}))
    assert sure["prompt"] == pytest.approx(1)
    assert module.advise(PLAIN) is None
    behind = LOOK[1].model_copy(update={"behind": Interval(mean=0.5, low=0.5, high=0.5)})
    assert module.advise(PLAIN.model_copy(update={"first_look": (behind,)})) is None
    assert module.skipped([PLAIN])
    assert not module.skipped([PLAIN.model_copy(update={"first_look": LOOK})])


SOUP = """#!{python}
import json, os, pathlib, sys
if "OPENAI_API_KEY" in os.environ:
    raise SystemExit("a key was passed on")
if "--version" in sys.argv:
    print("soup v9.9.9"); raise SystemExit
rows = pathlib.Path("rows.jsonl").read_text().splitlines()
home = pathlib.Path(os.environ["HOME"]) / ".soup"
home.mkdir()
choice = "SFT" if len(rows) >= 50 else "PROMPT_ENG"
(home / "advise_last.json").write_text(json.dumps(
    {{"choice": choice, "confidence": 0.6, "task_category": "classification"}}))
"""


def test_soup_is_skipped_where_it_is_not_installed_and_asked_where_it_is(tmp_path, monkeypatch):
    module = load("soup_advise")
    other = PLAIN.model_copy(update={"instruction": "a goal of this test alone"})
    assert "not installed" in module.skipped([other])
    assert module.advise(other) is None
    fake = tmp_path / "soup"
    fake.write_text(SOUP.format(python=sys.executable), "utf-8")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("TUNEWORTHY_SOUP", os.fspath(fake))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert module.skipped([other]) == ""
    told = module.advise(other)
    assert told["tune"] == pytest.approx(0.6)
    assert told["prompt"] == pytest.approx(0.4 / 8)
    few = module.advise(other.model_copy(update={"n": 20}))
    assert max(few, key=few.get) == "prompt"
    fake.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    assert module.advise(other) is None
    monkeypatch.delenv("TUNEWORTHY_SOUP")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert soup_process.program_path() is None, "what lies on the PATH is not run unasked"


def test_soup_gets_n_rows_and_the_variety_of_the_ten():
    labels = soup_process.rows_for(PLAIN.model_copy(update={"n": 25}))
    assert len(labels) == 25
    assert {row["output"] for row in labels} == {row.output for row in ROWS}
    texts = soup_process.rows_for(PLAIN.model_copy(update={"n": 25, "output_type": "text"}))
    assert texts[3]["output"] == ROWS[3].output
    assert texts[13]["output"] == f"{ROWS[3].output} #1"
    few = soup_process.rows_for(PLAIN.model_copy(update={"n": 3}))
    assert [row["input"] for row in few] == [row.input for row in ROWS[:3]]


def test_shipped_answers_of_soup_have_a_version_and_are_sorted():
    lines = soup_process.RECORDED_ANSWERS.read_text("utf-8").splitlines()
    answers = [soup_process.SoupAnswer.model_validate_json(line) for line in lines]
    assert answers
    assert soup_process.as_lines(answers).splitlines() == lines
    for each in answers:
        assert each.soup[0].isdigit()
        assert each.choice in load("soup_advise").TOOL_OF
        assert 0 <= each.confidence <= 1
