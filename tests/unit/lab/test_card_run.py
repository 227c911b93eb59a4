"""Runs that train nothing: their events, their facts, and the six cards on scripted models."""

import json
from dataclasses import replace

import pytest

from tuneworthy.lab.card_run import CardRun, LabTools
from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.events import RunStopped, run_id
from tuneworthy.lab.run_process import LabRun, run_case
from tuneworthy.models.scripted import Scripted, last_user
from tuneworthy.records.card import CardAnswer, with_examples, with_passages
from tuneworthy.records.failure import LabRow, RunFacts, Runs

CARDS = [case for case in all_cases().values() if not case.trains]
GOLD = {row.input: row.output for seed in (0, 1) for row in case_of("form-melts").rows(
    case_of("form-melts").config("twin"), seed).new}  # fmt: skip


def ran(slug, model, tmp_path, role="plant", seed=0, **config):
    """Return the facts, the events and the end of a run, judged by its clean twin."""
    case, twin = case_of(slug), None
    for name in dict.fromkeys(("twin", role)):
        events = []
        chosen = {**case.config(name), **(config if name == role else {})}
        run = LabRun(case, chosen, seed, name)
        facts = run_case(run, model, events.append, tmp_path / "run", twin)
        twin = twin or facts
    return facts, events, events[-1]


def passed(end):
    return all(check["passed"] for check in end["checks"])


def warm(prompt, limits):
    """Answer as the gold record; above a temperature of .5 without its last brace."""
    gold = GOLD[last_user(prompt)]
    return gold[:-1] if limits.temperature > 0.5 else gold


def test_six_cards_have_numbers_behind_the_training_cases():
    assert [case.module.NUMBER for case in CARDS] == [19, 20, 21, 22, 23, 24]
    for case in CARDS:
        twin, plant = case.config("twin"), case.config("plant")
        changed = {key for key in twin if twin[key] != plant[key]}
        assert changed == set(case.module.PLANTED)
        assert changed <= set(case.module.KNOBS)
        for key, values in case.module.KNOBS.items():
            assert {twin[key], plant[key]} <= set(values), (case.slug, key)
        assert case.name in case.module.CAUSES
        assert case.module.PROOF in case.module.MEASURES


def test_a_card_sends_begin_its_looks_and_end(tmp_path):
    _, events, end = ran("out-of-date", None, tmp_path)
    case = case_of("out-of-date")
    begin, *looks, _ = events
    assert [each["kind"] for each in events] == ["begin", *["look"] * 5, "end"]
    assert begin["id"] == run_id(case.slug, case.config("plant"), 0)
    assert begin["steps"] == case.module.LOOKS == looks[-1]["at"]
    assert [look["at"] for look in looks] == [1, 2, 3, 4, 5]
    assert set(case.module.CHARTS) <= set(looks[0]["facts"])
    shown = [answer["row"] for look in looks for answer in look["answers"]]
    assert max(shown) < len(begin["questions"]) == 40
    assert len(begin["rows"]) == 3
    assert end["facts"]["steps"] == 0
    assert end["facts"]["answers"] == 40
    assert end["facts"]["ended"] is None, "no model wrote the answers"
    assert len(json.dumps(events)) < 60_000


def test_a_look_holds_the_mean_over_all_answers_so_far(tmp_path):
    _, events, end = ran("out-of-date", None, tmp_path)
    looks = [event["facts"] for event in events if event["kind"] == "look"]
    assert looks[-1]["score"] == pytest.approx(end["facts"]["score"], abs=1e-3)
    assert looks[-1]["stale"] == pytest.approx(end["facts"]["other"]["stale"], abs=1e-3)
    assert end["facts"]["other"]["first_score"] == looks[0]["score"]
    assert 8 * looks[0]["score"] == pytest.approx(round(8 * looks[0]["score"]))


@pytest.mark.parametrize("seed", range(2))
def test_outdated_passages_are_found_and_two_settings_repair_them(tmp_path, seed):
    _, _, end = ran("out-of-date", None, tmp_path, seed=seed)
    assert end["finding"]["found"] is True
    assert not passed(end)
    _, _, end = ran("out-of-date", None, tmp_path, role="twin", seed=seed)
    assert end["finding"]["found"] is False
    assert passed(end)
    _, _, end = ran("out-of-date", None, tmp_path, seed=seed, k=8, newest_first=True)
    assert passed(end)
    facts, _, end = ran("out-of-date", None, tmp_path, seed=seed, k=8)
    assert facts.other["recall"] == 1
    assert not passed(end), "the passage in force is found and not read"


class Learnt(LabTools):
    """Tools whose trained model answers by the script."""

    def with_trained_model(self, form):
        return self


def test_a_temperature_that_breaks_the_form_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.lab.card_run.LabTools", Learnt)
    model = Scripted("scripted:warm", warm)
    facts, events, end = ran("form-melts", model, tmp_path)
    looks = [event for event in events if event["kind"] == "look"]
    assert [look["level"] for look in looks][::4] == ["setting 1", "setting 5"]
    assert [look["facts"]["valid"] for look in looks] == [1, 1, 0, 0, 0]
    assert (facts.valid, facts.other["first_valid"]) == (0, 1)
    assert end["finding"]["found"] is True
    assert not passed(end)
    _, _, end = ran("form-melts", model, tmp_path, role="twin")
    assert end["finding"]["found"] is False
    assert passed(end)


def test_a_form_that_is_always_broken_is_not_the_temperature(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.lab.card_run.LabTools", Learnt)
    _, _, end = ran("form-melts", Scripted("scripted:no", lambda *_: "no"), tmp_path)
    assert end["finding"]["found"] is False


def test_an_answer_from_another_passage_is_found(tmp_path):
    def last_passage(prompt, limits):
        text = last_user(prompt).rpartition("Passage (")[2].partition(": ")[2].partition(": ")[2]
        return next(word for word in text.split() if word.isdigit())

    _, _, end = ran("wrong-page", Scripted("scripted:last", last_passage), tmp_path)
    assert end["finding"]["found"] is True
    assert not passed(end)
    _, _, end = ran("wrong-page", Scripted("scripted:last", last_passage), tmp_path, role="twin")
    assert end["finding"]["found"] is False
    assert passed(end)


class Judge(Scripted):
    """Prefers record A, unless the right record leads by more."""

    def __init__(self, place, content):
        super().__init__("scripted:judge", lambda *_: "A")
        self.place, self.content = place, content

    def logprobs(self, prompts, continuations):
        return [[self.place + self.content * self._right(prompt), 0.0] for prompt in prompts]

    def _right(self, prompt):
        ticket, _, rest = last_user(prompt).removeprefix("Ticket: ").partition("\nRecord A: ")
        return 1 if GOLD[ticket] == rest.partition("\nRecord B: ")[0] else -1


def test_a_judge_that_prefers_a_place_is_found_and_both_orders_repair_it(tmp_path):
    judge = Judge(place=2.0, content=0.5)
    facts, _, end = ran("two-verdicts", judge, tmp_path)
    assert (facts.other["swap_agreement"], facts.other["says_a"]) == (0, 1)
    assert end["finding"]["found"] is True
    assert not passed(end)
    facts, _, end = ran("two-verdicts", judge, tmp_path, role="twin")
    assert (facts.other["swap_agreement"], facts.score) == (1, 1)
    assert end["finding"]["found"] is False
    assert passed(end)
    facts, _, end = ran("two-verdicts", Judge(place=0.5, content=2.0), tmp_path)
    assert facts.other["swap_agreement"] == 1
    assert end["finding"]["found"] is False


def test_a_rule_that_reads_the_ticket_has_no_order(tmp_path):
    facts, _, end = ran("two-verdicts", Judge(2.0, 0.5), tmp_path, judge="values in the ticket")
    assert facts.other["swap_agreement"] >= 0.95
    assert end["finding"]["found"] is False


class Forced(LabTools):
    """Tools whose model gives legal tokens a mass that grows with the examples in the prompt."""

    def legal_mass(self, prompts, texts):
        return [[0.01 + 0.06 * len(prompt), 1.0] for prompt in prompts]


def test_a_form_that_the_model_would_not_begin_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.lab.card_run.LabTools", Forced)
    model = Scripted("scripted:gold", warm)
    facts, _, end = ran("always-valid", model, tmp_path, **{"serve.schema": False})
    assert facts.other["legal_first"] == pytest.approx(0.13)
    assert end["finding"]["found"] is False
    monkeypatch.setattr(Forced, "legal_mass", lambda self, prompts, texts: [[0.02]] * len(prompts))
    _, _, end = ran("always-valid", model, tmp_path)
    assert end["finding"]["found"] is True
    assert not passed(end)


class Merged(LabTools):
    """Tools whose merged model chooses nine tokens of ten again."""

    def with_trained_model(self, form):
        return replace(self, model=Scripted(f"scripted:{form}", warm))

    def likeliest_tokens(self, prompts, texts):
        own = 1 if self.model.spec == "scripted:adapter" else 2
        return [[own, *range(9)] for _ in prompts]


def test_a_merge_that_chooses_other_tokens_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.lab.card_run.LabTools", Merged)
    facts, _, end = ran("changed-when-shipped", None, tmp_path)
    assert facts.other["same_tokens"] == pytest.approx(0.9)
    assert end["finding"]["found"] is True
    assert not passed(end)
    _, _, end = ran("changed-when-shipped", None, tmp_path, role="twin")
    assert end["finding"]["found"] is False
    assert passed(end)


def test_a_stopped_card_says_where_and_is_not_judged(tmp_path):
    case, events, looks = case_of("out-of-date"), [], []

    def control():
        looks.append(1)
        if len(looks) == 2:
            raise RunStopped

    run = CardRun(case, case.config("plant"), 0, None)
    run.run(events.append, tmp_path / "run", "own", RunFacts(), control)
    end = events[-1]
    assert (end["state"], end["because"]) == ("stopped", "stopped at look 2")
    assert end["checks"] == []
    assert end["facts"]["answers"] == 16


def test_examples_and_passages_stand_before_the_question():
    case = case_of("wrong-page")
    row, example = case.rows(case.config("twin"), 0).new[:2]
    prompt = with_examples(row, [example])
    assert [turn.role for turn in prompt] == ["system", "user", "assistant", "user"]
    assert prompt[2].content == example.output
    assert prompt[-1] == row.messages[-1]
    tools = LabTools(case, case.rows(case.config("twin"), 0), 0, None, None)
    (found,) = tools.search([row], 3, dated=True)
    asked = with_passages(row, found)[-1].content
    assert asked.endswith(row.input)
    assert asked.index(found[0].text) < asked.index(found[1].text) < asked.index(row.input)
    assert all(passage.in_force(row.meta["time"]) for passage in found)


def test_measures_are_means_over_the_rows_that_have_them():
    run = CardRun(case_of("out-of-date"), case_of("out-of-date").config("twin"), 0, None)
    rows = [LabRow(str(k), (), "") for k in range(3)]
    run.latest_answers = {
        row.id: CardAnswer(row, "", score=1.0).with_measures(share=value, none=None)
        for row, value in zip(rows, (1.0, 0.0, None), strict=True)
    }
    measured = run._mean_facts()
    assert (measured["share"], measured["none"], measured["score"]) == (0.5, None, 1.0)


@pytest.mark.parametrize("case", CARDS, ids=lambda case: case.slug)
def test_a_run_without_figures_is_neither_found_nor_repaired(case):
    found = case.module.detect(Runs(RunFacts()))
    assert found.found is None
    assert found.because.startswith("not measured: ")
    checks = list(case.module.victory(RunFacts(), RunFacts()))
    assert 2 <= len(checks) <= 4
    assert not all(check.passed for check in checks)
