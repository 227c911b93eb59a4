"""The arithmetic behind the questions, against numbers worked out by hand."""

import sys
from math import log, sqrt
from pathlib import Path
from statistics import NormalDist

import pytest

from tuneworthy.explain.questions import (
    _findings,
    behaviour_not_facts,
    economics,
    prompt_exhausted,
    simpler_tool,
)
from tuneworthy.explain.questions.behaviour_not_facts import missing_facts_share
from tuneworthy.explain.questions.knowledge_still import facts_needed
from tuneworthy.matrix.detectable import rows_to_reach
from tuneworthy.records.causes import Diagnosis, Effect, Wrong
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import Freshness, PromptSearch, Proportion, UntriedSearch
from tuneworthy.records.interval import Interval
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Data, Economics, Output, Success, Task
from tuneworthy.stats.bounds import rate
from tuneworthy.stats.power import minimum_detectable_effect

sys.path.append(str(Path(__file__).parents[1] / "verdict"))
import verdict_scenes as scenes

MONEY = {"requests_per_month": 40_000, "value_of_correct": 0.05}


def task(**money):
    return Task(
        data=Data(file="r.jsonl"), success=Success(margin=0.05), economics=Economics(**money)
    )


def test_the_worked_example_pays_above_382_067_requests_a_month():
    found, _ = scenes.worked()
    asked = economics.ask(found, task(**MONEY))
    assert asked.answer == "no"
    assert "it pays above 382,067 a month" in asked.because
    pair = next(p for p in found.pairs if (p.arm, p.versus) == ("tune", "schema"))
    spread = (pair.high - pair.low) / 2 / NormalDist().inv_cdf(1 - 0.05 / 3)
    month = 2000 * 0.02 + 40_000 * 0.00229 - (5400 / 12 + 807)
    chance = NormalDist().cdf(month / (2000 * spread))
    assert asked.value == pytest.approx(chance, abs=1e-6)
    assert f"is worth ${-month:,.0f} less than `schema`" in asked.because
    many = economics.ask(found, task(**MONEY | {"requests_per_month": 4_000_000}))
    assert many.answer == "yes"
    lacking = economics.ask(found, task(requests_per_month=40_000))
    assert "lacks economics.value_of_correct" in lacking.because


def test_the_worked_example_needs_750_rows_to_tell_tuning_from_the_schema():
    found, _ = scenes.worked()
    asked = simpler_tool.ask(found, task())
    assert asked.because.startswith("too small: needs about 750 more scored rows (chance")
    assert (asked.answer, asked.next) == ("not_measured", "settle between `tune` and `schema`")


def test_tuning_that_answers_as_the_prompt_does_needs_more_than_one_row():
    answers = scenes.scores(60, 0.8)
    found = scenes.evidence({t: (t, answers) for t in ("prompt", "tune")})
    asked = simpler_tool.ask(found, task())
    assert asked.because.startswith("too small: needs about 75 more scored rows")


def test_rows_enough_follow_the_square_root():
    wide = Interval(mean=0.02, low=-0.04, high=0.08)
    assert _findings.rows_needed(wide, 100, below=0.05, above=0.0) == 800  # half as wide, twice
    assert _findings.rows_needed(wide, 100, below=0.0, above=0.0) == 1800
    assert _findings.rows_needed(wide, 100, below=0.0, above=0.05) is None
    assert _findings.rows_needed(wide, 0, below=0.05, above=0.0) is None
    assert "at the threshold" in _findings.rows_needed_clause(wide, 100, 0.02, 0.02)


def test_the_rows_an_evaluation_asks_for_show_the_margin():
    for n, differ, factor in ((250, 0.2, 1.5), (75, 0.1, 1.0)):
        need = rows_to_reach(0.05, n, minimum_detectable_effect(n, differ, factor))
        assert (
            minimum_detectable_effect(need, differ, factor)
            <= 0.05
            < minimum_detectable_effect(need - 1, differ, factor)
        )


def diagnosis(rows, shown=True):
    effect = Effect(name="oracle", remedy="knowledge", placebo="p", n_fail=60, n_pass=0,
                    rescue=None, placebo_rescue=None, harm=None, net=None, gain=None,
                    contrast=None, corrected=None, acts=False)  # fmt: skip
    wrong = tuple(Wrong(cause=c, share=s, low=0, high=1, n=n, arm=None, placebo=None)
                  for c, s, n in rows)  # fmt: skip
    return Diagnosis(arm="a", n_fail=100, n_pass=100, effects=(effect,) * shown, wrong=wrong)


def test_facts_are_a_share_of_the_causes_with_an_exact_interval():
    found = missing_facts_share(diagnosis([("format", 0.3, 100), ("knowledge", 0.2, 100),
                                     ("hard", 0.5, 100)]))  # fmt: skip
    assert (found.mean, found.n) == (pytest.approx(0.4), 50)
    assert (found.low, found.high) == pytest.approx(rate(20, 50), abs=1e-6)


def test_a_remedy_tried_on_a_part_counts_as_so_many_failures():
    whole = missing_facts_share(diagnosis([("format", 0.5, 100), ("knowledge", 0.5, 100)]))
    part = missing_facts_share(diagnosis([("format", 0.5, 100), ("knowledge", 0.5, 30)]))
    assert part.mean == whole.mean
    assert part.n == 30
    assert part.high - part.low > whole.high - whole.low


def test_without_a_passage_all_that_is_not_explained_may_be_a_fact():
    rows = [("learnable", 0.6, 100), ("metric", 0.1, 100), ("hard", 0.3, 100)]
    found = missing_facts_share(diagnosis(rows, shown=False))
    assert (found.mean, found.n, found.at_most) == (pytest.approx(0.3), 100, True)
    assert found.high == pytest.approx(rate(30, 100)[1], abs=1e-6)
    assert missing_facts_share(diagnosis([("hard", 1.0, 100)], shown=False)) is None


def test_ninety_days_and_the_share_that_goes_with_them_agree():
    """At the share from which a training lasts 90 days no number of facts would do."""
    over, ok = 30.0, 0.05
    limit = 1 - (1 - ok) ** (over / 90)
    rate_a_day = -log(1 - limit) / over
    assert -log(1 - ok) / rate_a_day == pytest.approx(90)

    def needed(share):
        changed = Proportion(k=1, n=100, share=share, low=share / 2, high=share * 2)
        return facts_needed(Freshness(changed=changed, over_days=over, stale_ok=ok))

    assert needed(limit) is None
    assert needed(limit / 1.5) == pytest.approx(
        801, abs=1
    )  # twice too wide: .5 share down to a half, 2 up to 1.5; and twice for the power
    assert needed(limit * 2) > 100
    assert facts_needed(Freshness(declared=True, over_days=over)) is None


def test_the_width_of_a_pair_gives_its_standard_error():
    found, _ = scenes.worked()
    pair = next(p for p in found.pairs if (p.arm, p.versus) == ("tune", "prompt"))
    tuned, prompt = (next(a for a in found.arms if a.name == n) for n in ("tune", "prompt"))
    from tuneworthy.explain.questions._findings import net_value_difference

    value = net_value_difference(task(**MONEY), tuned, prompt, pair)
    naive = sqrt((32 / 250 - 0.088**2) / 250)
    assert value.se / 2000 == pytest.approx(1.5 * naive, rel=0.1)  # the width factor is in it


def test_an_unpriced_empty_study_names_every_key():
    empty = Evidence(task="t", hash="e" * 64, n=0, looks=1, alpha=0.05, arms=(), pairs=())
    assert economics.ask(empty, task()).because.startswith("not measured (no tuned model")


def closed(kind="label", **data):
    return Task(data=Data(file="r.jsonl", **data), output=Output(type=kind))


def test_what_a_learner_gains_is_behaviour_only_where_no_fact_can_stand_in_the_rows():
    for tool in ("classifier", "tune"):
        found = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.6, 1)),
                                 tool: (tool, scenes.scores(400, 0.95, 2))})  # fmt: skip
        asked = behaviour_not_facts.ask(found, closed())
        assert asked.answer == "yes"
        assert f"`{tool}` gains" in asked.because
        assert behaviour_not_facts.ask(found, closed("json")).answer == "yes"
        assert behaviour_not_facts.ask(found, closed("text")).answer == "not_measured"
        assert behaviour_not_facts.ask(found, closed(docs="d.jsonl")).answer == "not_measured"
    other = closed().model_copy(update={"tune": "hf:another/model"})
    assert behaviour_not_facts.ask(found, other).answer == "not_measured"


def test_what_a_constant_answer_gains_is_no_behaviour():
    columns = {"majority": (None, scenes.scores(400, 0.6, 9)), "prompt": ("prompt", [0.0] * 400),
               "tfidf": ("classifier", scenes.scores(400, 0.95, 2))}  # fmt: skip
    assert behaviour_not_facts.ask(scenes.evidence(columns), closed()).answer == "not_measured"
    columns["majority"] = None, scenes.scores(400, 0.2, 9)
    asked = behaviour_not_facts.ask(scenes.evidence(columns), closed())
    assert asked.answer == "yes"
    assert "of the score that `prompt` lacks" in asked.because


@pytest.mark.parametrize("name", sorted(catalogue("suite")))
def test_what_an_arm_gains_never_contradicts_the_cause_of_a_generated_task(name):
    made = load("suite", name).make(7, 60)
    data = {"file": "rows.jsonl", **({"docs": "docs.jsonl"} if made.docs else {})}
    task = Task(data=Data(**data), output=Output(type=made.task["output"]["type"]))
    facts = made.cause in ("knowledge", "capability")
    for tool in ("classifier", "tune"):
        gains = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.1, 1)),
                                 tool: (tool, scenes.scores(400, 0.95, 2))})  # fmt: skip
        told = behaviour_not_facts.ask(gains, task).answer
        assert told in ({"not_measured"} if facts else {"yes", "not_measured"})
    reads = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.1, 1)),
                             "rag": ("context", scenes.scores(400, 0.95, 2))})  # fmt: skip
    assert behaviour_not_facts.ask(reads, task).answer == "no", "only documents could gain that"


def test_no_search_is_asked_for_where_a_simpler_arm_leaves_prompts_too_little_to_gain():
    found = scenes.evidence({"words": ("classifier", scenes.scores(400, 1.0)),
                             "prompt": ("prompt", scenes.scores(400, 0.5))})  # fmt: skip
    search = UntriedSearch(arm="a search", prompts=8, how="write a line")
    asked = prompt_exhausted.ask(found.model_copy(update={"untried_search": search}), task())
    assert asked.answer == "no"
    assert asked.next.startswith("stay with `words`: even a perfect prompt would gain")


@pytest.mark.parametrize(("budget", "answer"), [(2, "no"), (4, "not_measured")])
def test_a_search_of_two_prompts_exhausts_nothing(budget, answer):
    found = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.5))})
    gain = Interval(mean=0.0, low=-0.07, high=0.07)
    search = PromptSearch(arm="prompt", budget=budget, gain=gain, optimised=True)
    asked = prompt_exhausted.ask(found.model_copy(update={"search": search}), task())
    assert asked.answer == answer
    assert ("only 2 prompts were tried" in asked.because) == (budget == 2)


@pytest.mark.parametrize(
    ("tool", "best", "answer"),
    [("classifier", 0.9, "yes"), ("classifier", 0.55, "not_measured"),
     ("prompt", 0.9, "not_measured")],
)  # fmt: skip
def test_a_search_far_behind_the_best_arm_is_exhausted(tool, best, answer):
    found = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.5)),
                             "words": (tool, scenes.scores(400, best))})  # fmt: skip
    gain = Interval(mean=0.0, low=-0.07, high=0.07)
    search = PromptSearch(arm="prompt", budget=4, gain=gain, optimised=True)
    asked = prompt_exhausted.ask(found.model_copy(update={"search": search}), task())
    assert asked.answer == answer
    assert ("leaves it behind `words`" in asked.because) == (answer == "yes")


@pytest.mark.parametrize(("reads", "answer"), [(0.6, "no"), (0.12, "not_measured")])
def test_training_that_gains_by_documents_shows_that_facts_are_missing(reads, answer):
    found = scenes.evidence({"prompt": ("prompt", scenes.scores(400, 0.05)),
                             "lora": ("tune", scenes.scores(400, 0.1, 1)),
                             "rag_lora": ("tune", scenes.scores(400, reads, 2))})  # fmt: skip
    asked = behaviour_not_facts.ask(found, task())
    assert asked.answer == answer
    assert ("`rag_lora`, which reads the documents, minus `lora`" in asked.because) == (
        answer == "no"
    )
