"""The rule in its corners: limits, references, cost, failed answers, missing parts, exit codes."""

import numpy as np
import pytest
import verdict_scenes as scenes

from tuneworthy.explain.questions import ORDER, ask_all
from tuneworthy.records.causes import Diagnosis, UntriedRemedy, Wrong
from tuneworthy.records.evidence import Policy
from tuneworthy.records.further import LearningCurve
from tuneworthy.records.interval import Interval
from tuneworthy.records.reason import NO_ROOM, Reason
from tuneworthy.records.task import Data, HardLimits, Task
from tuneworthy.records.verdict import Finding
from tuneworthy.stats import bounds
from tuneworthy.stats.many import nested_level
from tuneworthy.verdict.decide import decide, exit_code, grid, standing_so_far
from tuneworthy.verdict.missing import QUESTIONS_NOT_ASKED, reasons_for_nulls
from tuneworthy.verdict.rungs import UNKNOWN_DIFFERENCE, broken_limits, build_ladder

PLAIN = Policy(margin=0.05)
COST = Policy(margin=0.05, motive="cost")


def changed(found, name, **update):
    arms = [arm.model_copy(update=update) if arm.name == name else arm for arm in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


def two(share_a=0.7, share_b=0.7, n=300, **fields):
    return scenes.evidence({
        "prompt": ("prompt", scenes.scores(n, share_a, 1), fields),
        "tune": ("tune", scenes.scores(n, share_b, 2), fields),
    })  # fmt: skip


def test_a_floor_takes_an_arm_off_only_when_its_upper_end_lies_below():
    found = two(0.5, 0.9)
    assert broken_limits(found.arms[0], PLAIN.model_copy(update={"floor": 0.6})) == ("floor",)
    assert broken_limits(found.arms[0], PLAIN.model_copy(update={"floor": 0.5})) == ()
    stated = found.arms[0].model_copy(update={"limits": {"floor": "met"}})
    assert broken_limits(stated, PLAIN.model_copy(update={"floor": 0.6})) == ()


@pytest.mark.parametrize(
    ("present", "limit", "status"),
    [
        (False, {"general_drop": "not measured"}, "provisional"),
        (False, {"general_drop": "met"}, "firm"),
        (True, {"general_drop": "not measured"}, "firm"),  # keeping it changes no model
        (True, {"p95_ms": "not measured"}, "provisional"),
    ],
)
def test_without_the_test_of_a_hard_limit_no_verdict_is_firm(present, limit, status):
    found = scenes.ladder_up_to("tune")
    arms = [a.model_copy(update={"limits": limit, "present": present}) if a.name == "tune" else a
            for a in found.arms]  # fmt: skip
    verdict = decide(found.model_copy(update={"arms": tuple(arms)}), (), Policy(margin=0.05))
    assert (verdict.arm, verdict.status) == ("tune", status)
    assert (verdict.next.do == "test the limits") == (status == "provisional")
    if status == "provisional":
        assert f"Not shown to keep your limits: {next(iter(limit))}." in verdict.because


def test_none_where_every_arm_breaks_a_limit():
    found = two(limits={"valid": "violated"})
    verdict = decide(found, (), PLAIN.model_copy(update={"limits": HardLimits(valid=0.9)}))
    assert (verdict.use, verdict.status, verdict.left_on_table) == ("none", "provisional", None)
    assert verdict.next.do == "revise the limits"
    assert "break a limit" in verdict.because


def test_none_is_measured_against_the_best_reference():
    columns = {"low": (None, scenes.scores(200, 0.2)), "high": (None, scenes.scores(200, 0.7))}
    columns |= {"prompt": ("prompt", scenes.scores(200, 0.6)), "tune": ("tune", np.ones(200) * 0)}
    verdict = decide(scenes.evidence(columns), (), PLAIN)
    assert verdict.use == "none"
    assert verdict.arm is None
    assert {arm.delta.versus for arm in verdict.arms if arm.delta} == {"high"}
    bigger = columns | {"bigger": ("bigger", scenes.scores(200, 0.61))}
    step = decide(scenes.evidence(bigger), (), PLAIN).next
    assert step.do == "rethink the task"


def test_an_undecided_none_with_a_bigger_model_asks_for_labels():
    columns = {"majority": (None, scenes.scores(60, 0.5, 1, 0.5))}
    columns |= {t: (t, scenes.scores(60, 0.5, i, 0.5)) for i, t in enumerate(("prompt", "bigger"))}
    verdict = decide(scenes.evidence(columns), (), PLAIN)
    assert (verdict.use, verdict.status, verdict.next.do) == ("none", "provisional", "label")


def test_a_bigger_model_is_asked_for_once_the_rows_show_that_no_arm_will_do():
    def study(wins, losses, n, policy=PLAIN, **more):
        reference = np.r_[np.zeros(wins), np.ones(losses), np.zeros(n - wins - losses)]
        better = np.r_[np.ones(wins), np.zeros(n - wins)]
        found = scenes.evidence(
            {"majority": (None, reference), "prompt": ("prompt", better)}, **more
        )
        return decide(found, (), policy)

    few = study(1, 1, 3)
    assert (few.use, few.status, few.next.do) == ("none", "provisional", "label")
    assert few.next.rows > 90
    assert study(10, 12, 90).next.do == "label"
    shown = study(10, 40, 600)
    assert (shown.use, shown.status, shown.next.do) == ("none", "firm", "measure bigger")
    margin = study(30, 20, 200)  # 800 rows settle it more often than not
    assert (margin.use, margin.status, margin.next.do) == ("none", "provisional", "label")
    hopeless = study(22, 20, 400, PLAIN.model_copy(update={"margin": 0.001}), looks=30)
    assert (hopeless.status, hopeless.next.do) == ("provisional", "measure bigger")
    columns = {
        "prompt": ("prompt", scenes.scores(20, 0.3)),
        "tune": ("tune", scenes.scores(20, 0.3)),
    }
    missed = decide(scenes.evidence(columns), (), PLAIN.model_copy(update={"target": 0.9}))
    assert (missed.target_met, missed.next.do) == (False, "measure bigger")


def test_a_tool_left_out_for_want_of_minutes_is_measured_before_anything_is_labelled():
    def step(because, tool="tune", share=0.5, policy=PLAIN, rival=None, n=60):
        columns = {"majority": (None, scenes.scores(n, 0.5, 1, 0.5)),
                   "prompt": ("prompt", scenes.scores(n, share, 2, 0.5))}  # fmt: skip
        if rival is not None:
            columns["schema"] = ("schema", scenes.scores(n, rival, 3, 0.5))
        found = scenes.evidence(columns)
        left = found.arms[1].model_copy(
            update={
                "name": "lora",
                "tool": tool,
                "score": None,
                "because": Reason.from_older(because),
            }
        )
        return decide(found.model_copy(update={"arms": (*found.arms, left)}), (), policy).next

    assert step(NO_ROOM).do == "raise budget.minutes"
    assert "`lora`" in step(NO_ROOM).why
    assert step("needs a GPU").do == "label"
    assert step(NO_ROOM, tool="prompt").do == "label"  # a variant of what was measured
    assert step(NO_ROOM, share=0.9, rival=0.9).do == "raise budget.minutes"  # a rival is open
    assert step("needs a GPU", share=0.9, rival=0.9).do in ("label", "settle")
    assert step(NO_ROOM, share=0.98, rival=0.3, n=400).do == "use it"
    few = step(NO_ROOM, share=0.98, rival=0.3)  # the low end leaves more than the margin to gain
    assert few.do == "raise budget.minutes"
    wanted = PLAIN.model_copy(update={"target": 0.99})
    assert step(NO_ROOM, share=0.9, policy=wanted).do == "raise budget.minutes"


def test_one_arm_alone_makes_no_claim():
    found = scenes.evidence({"prompt": ("prompt", scenes.scores(100, 0.7))})
    verdict = decide(found, (), PLAIN)
    assert (verdict.arm, verdict.status, verdict.left_on_table) == ("prompt", "provisional", None)
    assert verdict.next.do == "measure another arm"
    assert "no other arm" in verdict.missing["/left_on_table"]


def test_no_arm_at_all():
    found = scenes.evidence({"majority": (None, scenes.scores(100, 0.7))})
    verdict = decide(found, (), PLAIN)
    assert (verdict.use, verdict.status, verdict.next.do) == (
        "none",
        "provisional",
        "measure an arm",
    )


def test_a_pair_that_was_not_compared_may_differ_by_anything():
    found = two().model_copy(update={"pairs": ()})
    verdict = decide(found, (), PLAIN)
    assert (verdict.arm, verdict.left_on_table.points) == ("prompt", 1.0)
    assert verdict.next.do == "measure another arm"


def test_bounds_that_are_no_number_count_as_unknown():
    found = two()
    nan = found.pairs[0].model_copy(update={"low": float("nan")})
    board = build_ladder(found.model_copy(update={"pairs": (nan,)}), PLAIN)
    assert board.bounds[nan.arm, nan.versus] == UNKNOWN_DIFFERENCE


def test_p21_failed_answers_that_could_change_the_name_make_it_provisional():
    found = two(0.6, 0.9, 300)
    assert decide(found, (), PLAIN).status == "firm"
    shaken = changed(found, "prompt", score_if_right=0.95, errors=105)
    verdict = decide(shaken, (), PLAIN)
    assert (verdict.arm, verdict.status, verdict.next.rows) == ("tune", "provisional", 105)
    assert "failed answers" in verdict.because
    few = changed(found, "prompt", score_if_right=0.61, errors=3)
    assert decide(few, (), PLAIN).status == "firm"


def test_missing_answers_are_told_of_the_arms_that_are_spoken_of():
    found = changed(two(0.6, 0.9, 300), "prompt", score_if_right=0.61, errors=3)
    because = decide(found, (), PLAIN).because
    assert "so counted as wrong: 3 of 300 answers of `prompt` (1 point more at most" in because
    alone = scenes.evidence({"tune": ("tune", scenes.scores(100, 0.5))})
    alone = changed(alone, "tune", score_if_right=None, errors=2)
    assert "2 of 100 answers of `tune` (0 points more" in decide(alone, (), PLAIN).because
    assert "counted as wrong" not in decide(two(), (), PLAIN).because


def timeouts_on_hard_rows(studies):
    """Count firm verdicts that name another arm than the one named had no answer failed."""
    wrong = firm = careless = 0
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        truth = {"prompt": scenes.scores(150, rng.uniform(0.5, 0.9), seed),
                 "tune": scenes.scores(150, rng.uniform(0.5, 0.9), seed + 1000)}  # fmt: skip
        lost = rng.random(150) < 0.5 * np.linspace(0, 1, 150)
        seen = truth | {"prompt": np.where(lost, 0.0, truth["prompt"])}
        found = scenes.evidence({name: (name, values) for name, values in seen.items()})
        up = float(np.mean(np.where(lost, 1.0, truth["prompt"])))
        bounded = decide(changed(found, "prompt", score_if_right=up), (), PLAIN)
        real = decide(scenes.evidence({n: (n, v) for n, v in truth.items()}), (), PLAIN)
        blind = decide(found, (), PLAIN)
        firm += bounded.status == "firm"
        wrong += bounded.status == "firm" and bounded.arm != real.arm
        careless += blind.status == "firm" and blind.arm != real.arm
    return wrong, careless, firm


def test_p21_timeouts_on_hard_rows_never_change_a_firm_name():
    wrong, _, _ = timeouts_on_hard_rows(10)
    assert wrong == 0


@pytest.mark.full
def test_p21_200_studies_and_without_the_bound_it_goes_wrong():
    wrong, careless, firm = timeouts_on_hard_rows(200)
    assert wrong == 0
    assert firm > 10
    assert careless > 0


def test_some_rows_only_is_no_verdict():
    verdict = decide(two(0.6, 0.9).model_copy(update={"limited": True}), (), PLAIN)
    assert verdict.status == "provisional"
    assert verdict.because.startswith("Not a verdict")
    assert verdict.next.do == "run all rows"


def test_cost_without_what_runs_today_or_its_price_asks_for_it():
    verdict = decide(two(0.6, 0.9), (), COST)
    assert (verdict.arm, verdict.status) == ("tune", "provisional")
    assert verdict.next.do == "name what runs today"
    unpriced = changed(scenes.cost(0.9), "today", usd_per_1k=None)
    verdict = decide(unpriced, (), COST)
    assert (verdict.use, verdict.status, verdict.next.do) == (
        "keep", "provisional", "write down economics",
    )  # fmt: skip


def test_cost_stays_open_where_a_cheaper_rung_is_not_shown_worse():
    def study(share, **prices):
        today, small = scenes.scores(150, 0.9, 3, 0.3), scenes.scores(150, share, 4, 0.3)
        return scenes.evidence({
            "today": ("keep", today, {"present": True, "usd_per_1k": 3.0}),
            "small": ("tune", small, {"usd_per_1k": prices.get("usd", 0.2)}),
        })  # fmt: skip

    verdict = decide(study(0.88), (), COST.model_copy(update={"requests_per_month": 1e6}))
    assert (verdict.use, verdict.status, verdict.next.do) == ("keep", "provisional", "label")
    assert "save $2,800 a month" in verdict.next.why
    assert decide(study(0.88, usd=None), (), COST).status == "provisional"
    near = decide(study(0.85), (), COST)
    assert (near.next.do, near.next.rows) == ("label", 850)
    alone = study(0.88).model_copy(update={"pairs": ()})
    assert decide(alone, (), COST).next.do == "measure another arm"
    worse = decide(study(0.3), (), COST)
    assert (worse.use, worse.status) == ("keep", "firm")
    assert worse.because.startswith("No cheaper arm is shown to stay within 5 points of what runs "
                                    "today, and all are shown to lose more.")  # fmt: skip
    assert "shown to lose more" not in near.because


def test_cost_with_nothing_but_today_makes_no_claim():
    today = ("keep", scenes.scores(100, 0.8), {"present": True, "usd_per_1k": 3.0})
    verdict = decide(scenes.evidence({"today": today}), (), COST)
    assert (verdict.use, verdict.status, verdict.left_on_table) == ("keep", "provisional", None)
    assert verdict.next.do == "measure another arm"


def test_cost_names_a_dearer_arm_where_today_breaks_a_limit():
    found = changed(scenes.cost(0.5), "today", limits={"p95_ms": "violated"})
    verdict = decide(found, (), COST)
    assert (verdict.use, verdict.arm) == ("bigger", "dear")
    assert "cheapest arm shown to lose at most" in verdict.because


def test_cost_names_none_where_today_breaks_a_limit_and_nothing_else_will_do():
    found = changed(scenes.cost(0.5), "today", limits={"p95_ms": "violated"})
    found = changed(found, "dear", limits={"p95_ms": "violated"})
    verdict = decide(found, (), COST)
    assert verdict.use == "none"
    assert "no arm that keeps them is shown to stay within 5 points of it" in verdict.because
    assert "none of the arms that keep them" in verdict.next.why
    assert verdict.missing["/arm"] == "no arm that keeps your limits is good enough to be named"


def test_equal_arms_on_few_rows_need_so_many_that_the_exact_bound_closes():
    answers = scenes.scores(60, 0.8)
    found = scenes.evidence({t: (t, answers) for t in ("prompt", "bigger")}, apart=0)
    verdict = decide(found, (), PLAIN)
    assert verdict.left_on_table.points > PLAIN.margin
    assert (verdict.next.do, verdict.next.rows) == ("label", 57)
    level = nested_level(
        [(bounds.level(0.05, look, 2), rows) for look, rows in ((1, 60), (2, 117))]
    )
    again = scenes.pair("bigger", "prompt", 0, 0, 60 + 57, level)
    assert again.high <= PLAIN.margin


def test_collect_is_offered_where_the_curve_still_climbs_and_is_cheaper():
    found, policy = scenes.worked(train=250, pool=0)
    steep = Interval(mean=0.08, low=0.02, high=0.14)
    curve = LearningCurve(arm="tune", tool="tune", last_doubling=steep, needed=300.0, low=270.0,
                          high=390.0)  # fmt: skip

    def step(policy=policy, train=250, **update):
        curves = (curve.model_copy(update=update),)
        return decide(found.model_copy(update={"curves": curves, "train": train}), (), policy).next

    paid = step(policy.model_copy(update={"label_each": 0.5}))
    assert (paid.do, paid.rows, paid.usd) == ("collect", 50, 25.0)
    assert "from about 300 rows in all (80 %: 270 to 390)" in paid.why
    others = {"needed": 5000.0}, {"needed": None}, {"arm": "schema"}, {"last_doubling": None}
    flat = {"last_doubling": steep.model_copy(update={"low": -0.01})}
    assert {step(**more).do for more in (*others, flat)} == {"label"}
    assert step(train=None).do == "label"


def test_a_tuned_model_that_runs_today_is_retired_or_settled_first():
    verdict = decide(scenes.retire(), (), Policy(margin=0.05, requests_per_month=1000))
    assert verdict.use == "prompt"
    assert "Retire `today`" in verdict.because
    assert "saves $2 a month" in verdict.because
    thin = two(0.8, 0.8, 60)
    today = changed(thin, "tune", present=True)
    assert "could be retired: settle first" in decide(today, (), PLAIN).because
    apart = today.model_copy(update={"pairs": ()})
    assert "was not compared" in decide(apart, (), PLAIN).because
    dear = changed(scenes.retire(), "today", usd_per_1k=0.5)
    many = Policy(margin=0.05, requests_per_month=1e6)
    assert "costs another $500 a month" in decide(dear, (), many).because
    assert "a month" not in decide(scenes.retire(), (), PLAIN).because
    better = changed(two(0.5, 0.9), "tune", present=True)
    assert decide(better, (), PLAIN).use == "keep"


def test_an_arm_that_learnt_from_some_rows_is_said_to():
    zero, tuned = scenes.scores(300, 0.7), scenes.scores(300, 0.72, 1)

    def told(options):
        columns = {"zero": ("prompt", zero), "tuned": ("tune", tuned, {"options": options})}
        return decide(scenes.evidence(columns, train=320), (), PLAIN).because

    assert "`tuned` learnt from 100 of 320 rows" in told({"rows": 100})
    assert "learnt from" not in told({}) + told({"rows": None}) + told({"rows": 400})


def test_cautions_follow_the_sentence():
    found = changed(two(0.6, 0.9), "tune", seed_sd=0.04, limits={"p95_ms": "not measured"})
    text = decide(found, (), PLAIN).because
    assert "A retraining may differ by 4 points either way." in text
    assert "Not shown to keep your limits: p95_ms." in text
    few = {"limits.p95_ms": "40 prompts were timed; 59 are the fewest that can show it"}
    found = changed(two(0.6, 0.9), "tune", limits={"p95_ms": "not shown"}, missing=few)
    told = "Not shown to keep your limits: p95_ms (40 prompts were timed; 59 are the fewest"
    assert told in decide(found, (), PLAIN).because


@pytest.mark.parametrize(
    ("target", "met", "code"), [(None, None, 0), (0.5, True, 0), (0.9, False, 3), (0.7, None, 3)]
)
def test_exit_codes_follow_the_target(target, met, code):
    verdict = decide(two(0.7, 0.7, 3000), (), PLAIN.model_copy(update={"target": target}))
    assert (verdict.target_met, verdict.status) == (met, "firm")
    assert exit_code(verdict) == exit_code(verdict, require_firm=True) == code


def test_exit_code_4_where_blocked_or_provisional_under_require_firm():
    blocked = decide(two().model_copy(update={"blocks": ("leak",)}), (), PLAIN)
    assert exit_code(blocked) == 4
    assert {point.status for point in blocked.by_margin} == {"blocked"}
    thin = decide(two(n=50), (), PLAIN)
    assert (exit_code(thin), exit_code(thin, require_firm=True)) == (0, 4)


def test_the_nine_questions_are_listed_and_given_ones_pass_through():
    mine = Finding(name="harm", answer="yes", because="shown")
    more = Finding(name="own", answer="no", because="because")
    questions = decide(two(), (mine, more), PLAIN).questions
    assert tuple(q.name for q in questions) == (*ORDER, "own")
    assert questions[8] == mine
    assert "economics.value_of_correct" in questions[6].because
    assert questions[0].because == QUESTIONS_NOT_ASKED
    assert questions[0].prior == "500 good examples"


def test_questions_explain_and_never_change_what_is_named():
    found, policy = scenes.worked()
    task = Task(data=Data(file="rows.jsonl"))
    silent, asked = decide(found, (), policy), decide(found, ask_all(found, task), policy)
    assert asked.questions != silent.questions
    against = tuple(Finding(name=q, answer="no", because="no", value=1.0) for q in ORDER)
    for other in (asked, decide(found, against, policy)):
        same = {"questions": (), "missing": {}}
        assert other.model_copy(update=same) == silent.model_copy(update=same)


def test_a_candidate_without_a_tool_is_listed_and_never_named():
    found = two()
    free = scenes.arm("other_system", None, 290, 300)
    skipped = scenes.arm("rag", "context", 0, 300).model_copy(
        update={"state": "skipped", "because": Reason.of("no documents"), "score": None,
                "finalist": False, "n": 0, "options": {"k": None}}
    )  # fmt: skip
    free = free.model_copy(update={"missing": {"tokens": "the rows have none"}})
    verdict = decide(found.model_copy(update={"arms": (*found.arms, free, skipped)}), (), PLAIN)
    assert verdict.arm == "prompt"
    names = [arm.name for arm in verdict.arms]
    assert names == ["prompt", "rag", "tune", "other_system"]
    assert verdict.missing["/arms/1/score"] == "no documents"
    assert verdict.missing["/arms/1/delta"] == "no documents"
    assert verdict.missing["/arms/1/options/k"] == "this option is not set"
    assert verdict.missing["/arms/3/tokens"] == "the rows have none"
    assert "no tool was given" in verdict.missing["/arms/3/tool"]


def test_tune_named_breaks_even_against_the_best_simpler_rung():
    found, _ = scenes.worked()
    policy = Policy(
        margin=0.05, margin_is_default=True, value_of_correct=0.05, requests_per_month=1e6
    )
    verdict = decide(found, (), policy)
    assert (verdict.use, verdict.economics["rival"]) == ("tune", "schema")
    assert round(verdict.economics["break_even_per_month"]) == 382_067


def test_the_grid_of_a_blocked_study_is_blocked():
    points = grid(two().model_copy(update={"blocks": ("leak",)}), (), PLAIN)
    assert {(point.use, point.status, point.left) for point in points} == {
        ("none", "blocked", None)
    }


def test_a_null_inside_what_changed_has_its_own_reason():
    plain = {"changes": {"arms": [{
        "ratio": None, "fold": None, "kl_on": None, "missing": {"ratio": "the adapter is gone"},
        "layers": [{"effective_rank": None}],
    }]}}  # fmt: skip
    why = reasons_for_nulls(plain, {}, {})
    assert why["/changes/arms/0/ratio"] == "the adapter is gone"
    assert why["/changes/arms/0/layers/0/effective_rank"] == "nothing changed in this layer"
    assert why["/changes/arms/0/fold"] == "the rows have one split"
    assert why["/changes/arms/0/kl_on"]


def test_a_null_of_money_names_the_key_that_is_missing():
    why = reasons_for_nulls({"economics": {"expires": None, "motive": None}}, {}, {})
    assert why["/economics/expires"] == "no announced end is known of the model that it stands on"
    assert why["/economics/motive"]


def test_a_firm_choice_says_where_more_rows_may_still_raise_its_score():
    found = two(0.5, 0.9)
    why = {}
    for mean, low, high in ((0.2, 0.1, 0.3), (0.01, -0.1, 0.1)):
        gain = Interval(mean=mean, low=low, high=high)
        curves = (LearningCurve(arm="tune", tool="tune", last_doubling=gain),)
        verdict = decide(found.model_copy(update={"curves": curves}), (), PLAIN)
        assert (verdict.arm, verdict.status, verdict.next.do) == ("tune", "firm", "use it")
        why[mean] = verdict.next.why
    assert why[0.2].endswith("may raise its score: the last doubling gained 20 points")
    assert why[0.01] == "more labelled rows would not change which arm is named"


def test_what_was_wrong_is_not_said_of_a_blocked_study_and_its_reason_is():
    found = scenes.read_across(scenes.worked()[0])
    assert decide(found, (), PLAIN).wrong
    assert "/wrong" not in decide(found, (), PLAIN).missing
    stopped = decide(found.model_copy(update={"blocks": ("12 test rows",)}), (), PLAIN)
    assert (stopped.wrong, stopped.missing["/wrong"]) == ((), "blocked: 12 test rows")
    seen = found.diagnosis.model_copy(update={"because": "the rest was not read"})
    part = decide(found.model_copy(update={"diagnosis": seen}), (), PLAIN)
    assert part.wrong
    assert part.missing["/wrong"] == "the rest was not read"


def test_the_class_of_untried_failures_says_what_it_waits_for():
    found = refusing()
    open_ = Wrong(cause="untried", share=0.3, low=0.3, high=0.3, n=222, arm=None, placebo=None)
    waits = (
        UntriedRemedy(name="lora", remedy="learnable", n=60, because="no room"),
        UntriedRemedy(name="rag", remedy="retrieval", n=6, tried=12),
    )
    rows = (*found.diagnosis.wrong, open_)
    seen = found.diagnosis.model_copy(update={"wrong": rows, "untried": waits})
    missing = decide(found.model_copy(update={"diagnosis": seen}), (), PLAIN).missing
    why = "lora: not tried on 60 of them (no room); rag: not tried on 6 of them"
    assert missing["/wrong/1/arm"] == missing["/wrong/1/placebo"] == why
    assert missing["/wrong/0/placebo"] == "its remedy has no placebo"
    unread = seen.model_copy(update={"untried": ()})
    other = decide(found.model_copy(update={"diagnosis": unread}), (), PLAIN).missing
    assert other["/wrong/1/arm"] == "no arm is named here"


def refusing(cause="metric", remedy="tolerant metric", low=0.7, arm="today"):
    """Evidence on which today's answers fail by their form: worse than a constant answer."""
    fields = {"present": True}
    found = scenes.evidence({
        "majority": (None, scenes.scores(300, 0.5, 7)),
        "today": ("keep", scenes.scores(300, 0.26, 1), fields),
        "other": ("prompt", scenes.scores(300, 0.3, 2)),
    })  # fmt: skip
    row = Wrong(cause=cause, share=1.0, low=low, high=1.0, n=222, arm=remedy, placebo=None)
    seen = Diagnosis(arm=arm, n_fail=222, n_pass=78, wrong=(row,))
    return found.model_copy(update={"diagnosis": seen})


def test_right_answers_in_another_form_make_no_firm_verdict():
    verdict = decide(refusing(), (), PLAIN)
    assert (verdict.use, verdict.status, verdict.left_on_table) == ("none", "provisional", None)
    assert verdict.next.do == "repair the metric or the parser, then run again"
    assert "at least 51.8 points of what runs today" in verdict.next.why
    assert "(tolerant metric finds them): with them another arm may be named." in verdict.because
    assert "the best could be" not in verdict.because
    assert "refused for their form" in verdict.missing["/left_on_table"]
    assert {point.status for point in verdict.by_margin} == {"provisional"}
    parse = decide(refusing("format", "lenient parse"), (), PLAIN)
    assert parse.next == verdict.next.model_copy(
        update={"why": verdict.next.why.replace("tolerant metric", "lenient parse")}
    )


@pytest.mark.parametrize(
    "other",
    [
        {"low": 0.06},  # 4.4 points: below the margin
        {"cause": "hard", "remedy": None},
        {"cause": "format", "remedy": "other"},  # an arm repairs it: that is what the ladder is for
        {"arm": "other"},
    ],
)
def test_a_form_that_costs_little_or_that_an_arm_repairs_changes_nothing(other):
    found = refusing(**other)
    assert decide(found, (), PLAIN).next.do == "measure bigger"
    plain = decide(found.model_copy(update={"diagnosis": None}), (), PLAIN)
    assert decide(found, (), PLAIN).status == plain.status == "firm"


def test_an_arm_named_over_refused_answers_is_provisional_and_keep_is_not():
    columns = {
        "today": ("keep", scenes.scores(300, 0.2, 1), {"present": True}),
        "other": ("prompt", scenes.scores(300, 0.8, 2)),
    }
    seen = refusing().diagnosis
    found = scenes.evidence(columns, diagnosis=seen)
    verdict = decide(found, (), PLAIN)
    assert (verdict.arm, verdict.status) == ("other", "provisional")
    assert "what is left to gain is not known" in verdict.because
    columns["other"] = ("prompt", scenes.scores(300, 0.05, 2))
    kept = decide(scenes.evidence(columns, diagnosis=seen), (), PLAIN)
    assert (kept.use, kept.status) == ("keep", "firm")
    assert kept.next.do.startswith("repair the metric")


def test_rare_total_losses_of_the_named_arm_are_said_with_what_is_possible():
    answers = scenes.scores(150, 0.8)
    rare = {"lost": Interval(mean=3 / 150, low=0.004, high=0.0573)}
    found = scenes.evidence({"keep": ("keep", answers, rare), "tune": ("tune", answers)})
    said = decide(found, (), PLAIN).because
    assert "`keep` scored 0 in 3 of 150 rows: of rows like these up to 5.7 % may" in said
    often = {"lost": Interval(mean=0.4, low=0.3, high=0.5)}
    found = scenes.evidence({"keep": ("keep", answers, often), "tune": ("tune", answers)})
    assert "scored 0" not in decide(found, (), PLAIN).because


def test_an_arm_that_was_compared_and_stands_on_no_rung_may_be_left_on_the_table():
    columns = {
        "keep": ("keep", scenes.scores(400, 0.6)),
        "one": ("prompt", scenes.scores(400, 0.8, 1)),
        "two": ("prompt", scenes.scores(400, 0.79, 2)),
    }
    found = scenes.evidence(columns)
    arms = [arm.model_copy(update={"compared": True, "finalist": arm.name != "two"})
            for arm in found.arms]  # fmt: skip
    pairs = [p for p in found.pairs if (p.arm, p.versus) != ("two", "one")]
    ahead = next(p for p in found.pairs if (p.arm, p.versus) == ("two", "one"))
    wide = ahead.model_copy(update={"high": 0.2})
    changed = {"arms": tuple(arms), "pairs": (*pairs, wide)}
    verdict = decide(found.model_copy(update=changed), (), PLAIN)
    assert (verdict.arm, verdict.status) == ("one", "provisional")
    assert verdict.left_on_table.points == pytest.approx(0.2)
    assert "`two`" in verdict.because
    assert {a.name for a in verdict.arms if a.delta} == {"keep", "two"}


def test_where_another_arm_beats_the_reference_the_first_rung_is_named_and_never_firm():
    found = scenes.evidence({
        "majority": (None, scenes.scores(200, 0.5, 7)),
        "keep": ("keep", scenes.scores(200, 0.56, 0)),
        "tune": ("tune", scenes.scores(200, 0.62, 1)),
    })  # fmt: skip
    ends = {("keep", "majority"): -0.01, ("tune", "majority"): 0.02, ("tune", "keep"): -0.02}
    pairs = [p.model_copy(update={"low": ends.get((p.arm, p.versus), p.low)}) for p in found.pairs]
    verdict = decide(found.model_copy(update={"pairs": tuple(pairs)}), (), WIDE)
    assert (verdict.arm, verdict.status) == ("keep", "provisional")
    assert "`keep` itself is not shown better than `majority`" in verdict.because
    ends["tune", "majority"] = -0.01
    pairs = [p.model_copy(update={"low": ends.get((p.arm, p.versus), p.low)}) for p in found.pairs]
    assert decide(found.model_copy(update={"pairs": tuple(pairs)}), (), WIDE).use == "none"


WIDE = Policy(margin=0.5)


def beside(columns, finalists, **more):
    """Evidence in which these arms are finalists and all others only compared."""
    found = scenes.evidence(columns, **more)
    arms = []
    for a in found.arms:
        place = {"compared": a.role == "candidate", "finalist": a.name in finalists}
        arms.append(a.model_copy(update=place))
    return found.model_copy(update={"arms": tuple(arms)})


def test_with_prices_a_rival_that_is_no_finalist_has_its_price_too():
    usd = {"usd_per_1k": 1.0, "build_usd": 0.0, "upkeep_usd_month": 0.0}
    found = beside({
        "keep": ("keep", scenes.scores(200, 0.7, 0), usd),
        "wide": ("prompt", scenes.scores(200, 0.72, 3, 0.5), usd),
        "best": ("prompt", scenes.scores(200, 0.73, 0), usd),
    }, ("keep", "best"))  # fmt: skip
    priced = PLAIN.model_copy(update={"value_of_correct": 0.01, "requests_per_month": 1e4})
    assert decide(found, (), priced).next.do


def test_a_cheap_arm_that_is_no_finalist_is_named_where_it_stays_within_the_margin():
    found = beside({
        "present": ("keep", scenes.scores(300, 0.8, 0), {"usd_per_1k": 10.0, "present": True}),
        "small": ("tune", scenes.scores(300, 0.8, 0), {"usd_per_1k": 1.0}),
        "large": ("tune", scenes.scores(300, 0.82, 0), {"usd_per_1k": 12.0}),
    }, ("present", "large"))  # fmt: skip
    verdict = decide(found, (), Policy(margin=0.05, motive="cost"))
    assert (verdict.use, verdict.arm) == ("tune", "small")


def test_where_only_the_reference_is_open_the_next_step_is_about_it():
    found = scenes.short_of_the_reference()
    verdict = decide(found, (), WIDE)
    assert (verdict.arm, verdict.status) == ("keep", "provisional")
    assert "`majority`" in verdict.next.why


def test_where_the_pair_with_the_reference_is_told_the_other_way_no_rows_are_sized():
    found = scenes.short_of_the_reference()
    turned = [
        pair.model_copy(update={"arm": "majority", "versus": pair.arm, "mean": -pair.mean,
                                "low": -pair.high, "high": -pair.low})
        if pair.versus == "majority" else pair
        for pair in found.pairs
    ]  # fmt: skip
    verdict = decide(found.model_copy(update={"pairs": tuple(turned)}), (), WIDE)
    assert (verdict.arm, verdict.status, verdict.next.rows) == ("keep", "provisional", None)


def test_what_was_measured_and_not_compared_is_said_and_no_claim_covers_it():
    found = beside({
        "keep": ("keep", scenes.scores(400, 0.7, 0)),
        "zero": ("prompt", scenes.scores(400, 0.7, 0)),
        "few": ("prompt", scenes.scores(400, 0.9, 1)),
    }, ("keep", "zero"))  # fmt: skip
    arms = [a.model_copy(update={"compared": a.name != "few"}) for a in found.arms]
    pairs = [p for p in found.pairs if "few" not in (p.arm, p.versus)]
    found = found.model_copy(update={"arms": tuple(arms), "pairs": tuple(pairs)})
    verdict = decide(found, (), PLAIN)
    assert verdict.status == "firm"
    assert "no other compared arm can be better" in verdict.because
    assert "Measured and not compared: `few` (0.90)" in verdict.because


def test_a_verdict_on_locked_rows_says_so():
    found, policy = scenes.worked(locked=True)
    assert "250 locked rows" in decide(found, (), policy).because


@pytest.mark.parametrize(("share", "status"), [(0.8, "provisional"), (1.0, "firm")])
def test_over_classifiers_alone_only_what_no_arm_can_beat_is_firm(share, status):
    found = scenes.evidence({
        "majority": (None, scenes.scores(400, 0.1, 9)),
        "keep": ("keep", scenes.scores(400, 0.4, 1), {"present": True}),
        "tfidf": ("classifier", scenes.scores(400, share, 2)),
    })  # fmt: skip
    verdict = decide(found, (), Policy(margin=0.05))
    assert (verdict.arm, verdict.status) == ("tfidf", status)
    open_now = "Neither a prompt nor a tuned model was measured." in verdict.because
    assert open_now == (status == "provisional")
    assert (verdict.next.do == "measure a prompt or a tuned model") == open_now


@pytest.mark.parametrize("tool", ["prompt", "tune"])
@pytest.mark.parametrize(
    ("fields", "share", "firm"),
    [
        ({"repairs": ("convention", "learnable")}, 0.8, False),
        ({"repairs": ("convention", "learnable")}, 1.0, True),
        ({"repairs": ("knowledge", "learnable")}, 0.8, True),
        ({"present": True}, 0.8, True),
    ],
)
def test_with_documents_it_is_firm_only_if_an_arm_could_know_them(tool, fields, share, firm):
    found = scenes.evidence({
        "majority": (None, scenes.scores(400, 0.1, 9)),
        "zero": ("prompt", scenes.scores(400, 0.3, 2)),
        "arm": (tool, scenes.scores(400, share, 2), fields),
    }, documents=True)  # fmt: skip
    verdict = decide(found, (), Policy(margin=0.05))
    assert (verdict.arm, verdict.status == "firm") == ("arm", firm)
    assert ("No arm that reads your documents was measured." in verdict.because) != firm
    assert (verdict.next.do == "measure retrieval") != firm
    other = found.model_copy(update={"documents": False})
    assert decide(other, (), Policy(margin=0.05)).status == "firm"


def test_while_arms_wait_what_is_left_covers_them():
    found = scenes.ladder_up_to("schema")
    arm = next(one for one in found.arms if one.name == "schema")
    ends = [standing_so_far(found, Policy(margin=0.05), waits) for waits in (True, False)]
    assert ends[0].left == pytest.approx(1 - arm.score.low)
    assert ends[1].left < 0.05
    assert [end.arm for end in ends] == ["schema"] * 2
