"""The knowledge probe inside a study: when it is asked, that it resumes, what training lost."""

import json
from dataclasses import replace

import pytest
from tests import studies

from tuneworthy.flows.session import open_session
from tuneworthy.measure.further.known_facts import (
    EXAMPLE_SETS,
    MOST_FACTS,
    MOST_FACTS_PAID,
    SAMPLED_ANSWERS,
    familiarity,
    probe_work,
    why_not_probed,
)
from tuneworthy.models import scripted
from tuneworthy.models.scripted import Scripted, last_user
from tuneworthy.records.arm import Sizes
from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.records.run import RunOptions

CALLS = EXAMPLE_SETS * (SAMPLED_ANSWERS + 1)


class Knowing(Scripted):
    """Knows what its `knows` says; an adapter on it knows what `later` says."""

    def __init__(self, knows, later=None, paid=False):
        self.asked, self.later, self.paid = [], later, paid
        super().__init__("scripted:knowing", self._say)
        self.knows, self.fingerprint = knows, {"engine": "scripted", "knows": repr(knows)}

    def _say(self, prompt, limits):
        name = last_user(prompt).removeprefix("Who is ").removesuffix("?")
        self.asked.append(name)
        return name.upper() if int(name[4:]) % 4 in self.knows else "nobody"

    def with_adapter(self, folder):
        assert folder.name.startswith("adapter")
        return Knowing(self.later)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setitem(scripted._BUILT_IN, "knowing", lambda prompt, limits: "x")
    rows = [{"id": f"r{i:03}", "input": f"Who is name{i}?", "output": f"NAME{i}"}
            for i in range(100)]  # fmt: skip
    studies.lines(tmp_path / "rows.jsonl", rows)
    studies.lines(tmp_path / "docs.jsonl", [{"id": "d", "text": "name1 is NAME1."}])

    def opened(**more):
        keys = {"data": {"file": "rows.jsonl", "docs": "docs.jsonl"}, "model": "scripted:knowing",
                "output": {"type": "text", "max_tokens": 4}, "success": {"metric": "exact"},
                **more}  # fmt: skip
        (tmp_path / "task.yaml").write_text(json.dumps(keys))
        return open_session(tmp_path / "task.yaml", RunOptions())

    return opened


def bench_of(desk, model):
    return replace(desk.runner(), models={"base": model, "tune": model})


def test_the_model_is_asked_once_and_never_again(desk):
    with desk() as one:
        model = Knowing((0,))
        found = familiarity(bench_of(one, model), None)
        assert len(found.of) == MOST_FACTS
        assert len(model.asked) == MOST_FACTS * CALLS
        assert found.unknown.k == sum(int(i[1:]) % 4 != 0 for i in found.of)
        again = Knowing((0,))
        assert familiarity(bench_of(one, again), None) == found
        assert again.asked == []


def test_a_paid_model_is_asked_less(desk):
    with desk() as one:
        assert len(familiarity(bench_of(one, Knowing((0,), paid=True)), None).of) == MOST_FACTS_PAID


def test_it_is_asked_only_where_answers_are_facts(desk):
    plain = {"data": {"file": "rows.jsonl"}}
    with desk(**plain) as one:
        model = Knowing((0,))
        assert "no documents" in familiarity(bench_of(one, model), None).because
        assert model.asked == []
        row = Wrong(cause="knowledge", share=1, low=1, high=1, n=9, arm=None, placebo=None)
        seen = Diagnosis(arm="zero_shot", n_fail=9, n_pass=9, wrong=(row,))
        assert why_not_probed(one.task, False, seen) == ""
    with desk(output={"type": "label", "labels": [f"NAME{i}" for i in range(100)]}) as one:
        assert "closed set" in why_not_probed(one.task, True, None)


def test_cost_counts_every_prompt(desk):
    sizes = Sizes(cases=200, train=100, dev=0, shared=10, own=20, shot=30, answer=5, cap=9,
                  labels=0)  # fmt: skip
    with desk() as one:
        work = probe_work(one.task, sizes, paid=False)
        assert (work.requests, work.written) == (1500, 7500)
        assert work.read == 25 * 10 + 1500 * (20 + 4 * 30)
        assert probe_work(one.task, sizes, paid=True).requests == 750
