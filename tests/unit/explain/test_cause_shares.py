"""The matrix read across: effects, causes, relations, few failures, parts tried; worked example."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.explain.cause_shares import CAUSES, LEAST_FAILURES, diagnose
from tuneworthy.explain.effects import effect
from tuneworthy.records.causes import REMEDIES, BaseOutcomes, Intervention


def ids(kind, n):
    return tuple(f"{kind}{i:03d}" for i in range(n))


def base_of(fails, passes, **more):
    return BaseOutcomes(arm="present", fails=ids("f", fails), passes=ids("p", passes), **more)


def tried(base, remedy, rescued, harmed=(), **more):
    """An intervention that passes what it rescues and does not harm; `placebo`: what that passes.

    `on` restricts it to some of the cases.
    """
    on = more.pop("on", base.fails + base.passes)
    beside = more.pop("placebo", ())
    passed = {c: c in rescued or (c in base.passes and c not in harmed) for c in on}
    shares = None if beside is None else {c: float(c in beside) for c in on}
    name = more.pop("name", remedy)
    return Intervention(
        name=name, remedy=remedy, passed=passed, placebo_passed=shares,
        placebo=None if beside is None else more.pop("called", "the placebo"), **more,
    )  # fmt: skip


def worked():
    """Counts of the worked example: 57 failures, 193 passes, three remedies with placebos."""
    base = base_of(57, 193)
    f, p = base.fails, base.passes
    schema = tried(base, "format", f[:41], p[:14], placebo=f[39:41], name="schema")
    shots = tried(
        base, "convention", f[:15] + f[41:44], p[:8], name="nearest 8",
        placebo=f[:6] + f[50:53] + p[8:], called="the shuffled shots",
    )  # fmt: skip
    lora = tried(base, "learnable", f[:37] + f[41:50], p[:14], placebo=f[:3], name="lora")
    return base, [lora, schema, shots]


def rounded(one, digits):
    return tuple(round(x, digits) for x in (one.mean, one.low, one.high))


def test_the_worked_example():
    base, columns = worked()
    found = diagnose(base, columns)
    by = {one.name: one for one in found.effects}
    assert rounded(by["schema"].gain, 1) == (27.0, 12.9, 41.7)
    assert rounded(by["schema"].contrast, 3) == (0.684, 0.555, 0.790)
    assert rounded(by["nearest 8"].contrast, 3) == (0.158, 0.028, 0.293)
    assert rounded(by["nearest 8"].gain, 1) == (10.0, 0.0, 20.9)
    assert by["nearest 8"].gain.low == pytest.approx(0.0065, abs=1e-4)
    assert rounded(by["lora"].gain, 1) == (32.0, 17.4, 47.2)
    assert all(one.acts and one.because == "" for one in found.effects)
    table = [(row.cause, round(row.share * row.n), row.n, row.arm) for row in found.wrong]
    assert table == [
        ("format", 39, 57, "schema"),
        ("hard", 7, 57, None),
        ("learnable", 6, 57, "lora"),
        ("convention", 3, 57, "nearest 8"),
        ("chance", 2, 57, None),  # the placebo of what rescues them rescues them too
    ]
    assert not found.few
    assert found.cause["f039"] == "chance"
    assert (found.untried, found.estimates) == ((), ())
    assert [(s.one, s.other, s.both) for s in found.overlap] == [
        ("schema", "nearest 8", 9), ("schema", "lora", 34), ("nearest 8", "lora", 12),
    ]  # fmt: skip


def test_one_loss_more_and_the_shots_no_longer_act():
    base, (*others, shots) = worked()
    passed = shots.passed | {base.passes[8]: False}
    found = diagnose(base, [*others, shots.model_copy(update={"passed": passed})])
    by = {one.name: one for one in found.effects}
    assert not by["nearest 8"].acts
    why = (
        "rescues 18 of 57, the shuffled shots 9, and fails 9 of 193 passed cases: no gain is shown"
    )
    assert by["nearest 8"].because == why
    assert "convention" not in {row.cause for row in found.wrong}


def test_without_failures_or_remedies_it_says_why():
    none = diagnose(base_of(0, 20), [tried(base_of(0, 20), "format", ())])
    assert none.because == "nothing fails: there is no cause to seek"
    assert (none.wrong, none.cause) == ((), {})
    untried = diagnose(base_of(70, 20), [])
    assert "no remedy was tried" in untried.because
    assert (untried.wrong, untried.effects) == ((), ())


def test_a_placebo_that_does_as_well_is_named():
    base = base_of(57, 100)
    f = base.fails
    same = tried(base, "convention", f[:18], placebo=f[1:18] + base.passes, called="shuffled shots")
    worse = tried(base, "convention", f[:18], placebo=f[4:24] + base.passes)
    one, other = effect(base, same), effect(base, worse)
    assert not one.acts
    assert one.because.startswith("rescues 18 of 57, shuffled shots 17: not shown to be more")
    assert other.because == "rescues 18 of 57, the placebo 20: no more than its placebo"
    assert effect(base, tried(base, "format", ())).because == "rescues none of 57"


def test_guessing_right_nearly_always_tells_nothing():
    base = base_of(60, 60)
    column = tried(base, "latent", base.fails, placebo=base.fails[:58])
    found = effect(base, column)
    assert not found.acts
    assert found.corrected is None
    assert "guessing alone" in found.because
    fair = effect(base, tried(base, "latent", base.fails[:45], placebo=base.fails[:30]))
    assert fair.corrected == pytest.approx(0.25 / 0.5)


def test_a_placebo_of_many_draws_is_a_share():
    base = base_of(60, 60)
    column = tried(base, "latent", base.fails[:50])
    shares = {c: 0.6 if c < "f010" else 0.1 for c in base.fails + base.passes}
    found = effect(base, column.model_copy(update={"placebo_passed": shares}))
    assert found.contrast.mean == pytest.approx(50 / 60 - (10 * 0.6 + 50 * 0.1) / 60)
    assert found.rescued == base.fails[10:50]
    assert found.acts


def test_a_destructive_placebo_does_not_make_a_remedy_act():
    """It rescues 12 and harms 30: net is far above 0 only because its placebo breaks all."""
    base = base_of(60, 200)
    found = effect(base, tried(base, "format", base.fails[:12], base.passes[:30]))
    assert found.net.low > 0
    assert found.contrast.low > 0
    assert found.gain.high < 0
    assert not found.acts


def test_recovery_by_chance_is_taken_off():
    """Asked again the base passes 25 of its 60 failures itself: rescuing 27 is nothing."""
    base = base_of(60, 100)
    f, p = base.fails, base.passes
    lucky = base.model_copy(update={"rerun": {c: c in p or c in f[:25] for c in f + p}})
    column = tried(base, "format", f[:27], placebo=f[:2] + p)
    assert effect(base, column).acts
    found = effect(lucky, column)
    assert not found.acts
    assert "the base asked again 25" in found.because
    assert found.gain.mean == 2


def test_without_a_placebo_gain_and_rescue_decide_and_it_says_so():
    base = base_of(60, 100)
    column = tried(base, "capability", base.fails[:40], placebo=None, because="no sibling model")
    found = effect(base, column)
    assert found.acts
    assert (found.net, found.contrast, found.corrected, found.placebo_rescue) == (None,) * 4
    why = "it has no placebo (no sibling model), so gain and rescue alone decide"
    assert found.because == why
    again = {c: c in base.passes or c in base.fails[5:45] for c in base.fails + base.passes}
    lucky = effect(base.model_copy(update={"rerun": again}), column)
    assert not lucky.acts
    assert lucky.rescued == base.fails[:5]
    assert lucky.because.endswith(f"no gain is shown; {why}")


def test_where_no_passed_case_was_asked_harm_is_unknown_not_none():
    base = base_of(60, 100)
    found = effect(base, tried(base, "latent", base.fails[:40], on=base.fails))
    assert (found.harm, found.net, found.gain, found.n_pass) == (None, None, None, 0)
    assert found.acts
    assert "what it harms is not known" in found.because
    again = {c: c in base.passes or c in base.fails[:35] for c in base.fails + base.passes}
    lucky = base.model_copy(update={"rerun": again})
    assert not effect(lucky, tried(base, "latent", base.fails[:40], on=base.fails)).acts
    bare = tried(base, "capability", base.fails[:40], on=base.fails, placebo=None)
    assert effect(base, bare).because.count(";") == 1


def test_a_placebo_asked_of_failed_cases_alone_leaves_gain_and_rescue():
    base = base_of(60, 100)
    column = tried(base, "format", base.fails[:40])
    shares = dict.fromkeys(base.fails, 0.0)
    found = effect(base, column.model_copy(update={"placebo_passed": shares}))
    assert found.acts
    assert found.net is None
    assert found.gain.mean == 40
    assert found.because == ""


def test_one_asked_of_no_failed_case_says_so():
    base = base_of(60, 100)
    found = effect(base, tried(base, "learnable", (), on=base.passes))
    assert (found.rescue, found.n_fail, found.acts) == (None, 0, False)
    assert found.because == "it was asked of no failed case"
    told = tried(base, "learnable", (), on=(), because="the pilot was skipped")
    assert effect(base, told).because == "the pilot was skipped"


def test_a_sample_of_the_passed_cases_is_scaled_back_and_wider():
    base = base_of(60, 600)
    some = base.passes[:60]
    whole = effect(base, tried(base, "format", base.fails[:40], base.passes[:10]))
    part = effect(base, tried(base, "format", base.fails[:40], some[:1], on=base.fails + some))
    assert whole.gain.mean == part.gain.mean == 30
    assert part.gain.high - part.gain.low > 2 * (whole.gain.high - whole.gain.low)
    low = 40 - ((40 - 60 * 0.536) ** 2 + 0) ** 0.5  # with no harm the rest is the sample's alone
    none = effect(base, tried(base, "format", base.fails[:40], on=base.fails + some))
    assert none.gain.low < low
    assert none.n_pass == 60


def test_groups_are_kept_together():
    base = base_of(60, 60)
    groups = {c: f"g{i // 10}" for i, c in enumerate(base.fails + base.passes)}
    column = tried(base, "format", base.fails[:20], base.passes[:3])
    plain = effect(base, column)
    held = effect(base.model_copy(update={"groups": groups}), column)
    assert plain.acts
    assert not held.acts
    assert held.gain.mean == plain.gain.mean
    one = base.model_copy(update={"groups": dict.fromkeys(base.fails + base.passes, "all")})
    found = diagnose(one, [column])
    assert {(row.low, row.high) for row in found.wrong} == {(0.0, 1.0)}


def test_the_cheapest_acting_remedy_names_the_case():
    base = base_of(60, 60)
    f = base.fails
    columns = [
        tried(base, "learnable", f[:50]), tried(base, "format", f[:20]),
        tried(base, "metric", f[:10]), tried(base, "latent", f[58:]),
    ]  # fmt: skip
    found = diagnose(base, columns)
    shares = {row.cause: round(row.share * 60) for row in found.wrong}
    assert shares == {"learnable": 30, "hard": 10, "metric": 10, "format": 10}
    assert [row.cause for row in found.wrong[1:]] == ["metric", "format", "hard"]  # ties: cheaper
    assert "latent" not in shares


def knowledge(base, gold, real, **more):
    return [
        tried(base, "knowledge", base.fails[:gold], name="oracle"),
        tried(base, "retrieval", base.fails[:real], name="rag", **more),
    ]


def test_retrieval_is_at_fault_where_it_rescues_less_than_half():
    base = base_of(60, 60)
    blind = diagnose(base, knowledge(base, 50, 12))
    assert blind.wrong[0].cause == "retrieval"
    assert blind.wrong[0].arm == "oracle"
    assert blind.said[0].startswith("real retrieval rescues 12 of 50")
    assert set(blind.cause.values()) == {"retrieval", "hard"}
    open_question = diagnose(base, knowledge(base, 50, 22))
    assert open_question.wrong[0].cause == "knowledge"
    seeing = diagnose(base, knowledge(base, 50, 45))
    assert seeing.wrong[0].cause == "knowledge"
    assert "less than half" not in seeing.said[0]


def test_the_better_retriever_counts_and_one_not_tried_is_said():
    base = base_of(60, 60)
    more = tried(base, "retrieval", base.fails[:45], name="rag 20")
    assert diagnose(base, [*knowledge(base, 50, 5), more]).wrong[0].cause == "knowledge"
    gold, elsewhere = knowledge(base, 50, 5, on=base.passes)
    for columns in ([gold], [gold, elsewhere]):
        assert "real retrieval was not tried where" in diagnose(base, columns).said[0]


def test_retrieval_alone_finds_that_knowledge_is_missing():
    base = base_of(60, 60)
    found = diagnose(base, knowledge(base, 0, 40))
    assert (found.wrong[0].cause, found.wrong[0].arm) == ("knowledge", "rag")


def test_reading_needs_the_answer_in_the_passage_and_a_gold_passage_that_does_not_help():
    base = base_of(60, 60, literal=ids("f", 55))
    found = diagnose(base, knowledge(base, 2, 2))
    assert [(row.cause, row.n) for row in found.wrong] == [("reading", 60), ("hard", 60)]
    assert "55 of 60 failures, and the gold passage is not shown to help" in found.said[0]
    assert diagnose(base, knowledge(base, 40, 40)).wrong[0].cause == "knowledge"
    assert diagnose(base, [tried(base, "format", ())]).wrong[0].cause == "hard"
    thin = base.model_copy(update={"literal": ids("f", 40)})
    assert diagnose(thin, knowledge(base, 2, 2)).wrong[0].cause == "hard"


def test_a_gold_passage_that_helps_a_few_leaves_the_others_unread():
    """As on real questions: 14 of 200 are answered from the passage, 200 have the answer in it."""
    base = base_of(200, 60, literal=ids("f", 200))
    found = diagnose(base, [tried(base, "knowledge", base.fails[:14], placebo=base.passes)])
    assert found.effects[0].acts
    assert {row.cause: round(row.share * 200) for row in found.wrong} == {
        "reading": 186,
        "knowledge": 14,
    }
    assert "shown to help less than 25% of them: most are not read" in found.said[1]


def test_a_gold_passage_that_may_well_help_is_no_sign_of_bad_reading():
    """It rescues 36 and its placebo 16, but 18 passed cases are lost: not shown, not excluded."""
    base = base_of(60, 60, literal=ids("f", 55))
    beside = base.fails[44:] + base.passes
    one = tried(base, "knowledge", base.fails[:36], base.passes[:18], placebo=beside)
    found = diagnose(base, [one])
    assert not found.effects[0].acts
    assert {row.cause for row in found.wrong} == {"hard"}


def test_placebo_and_prompt_alone_are_each_beaten_by_themselves():
    """Taken together they would be one rival with two draws of luck, which nothing beats."""
    base = base_of(60, 120)
    f, p = base.fails, base.passes
    one = tried(base, "knowledge", f[:36] + p[8:], placebo=f[:16] + p[:-10])
    alone = {c: float(c in f[16:32] + p[10:]) for c in f + p}
    both = one.model_copy(update={"alone": alone})
    assert effect(base, both).acts
    luckiest = {c: max(alone[c], one.placebo_passed[c]) for c in alone}
    assert not effect(base, one.model_copy(update={"placebo_passed": luckiest})).acts
    same = one.model_copy(update={"alone": {c: float(v) for c, v in one.passed.items()}})
    assert not effect(base, same).acts, "it does no more than its prompt by itself"
    assert set(effect(base, both).rescued) == set(f[32:36])
    found = diagnose(base, [both])
    assert "32 of 60 failures pass with a remedy and with its placebo too" in found.said[-1]
    assert {found.cause[case] for case in f[:32]} == {"chance"}
    assert found.wrong[-1].cause == "chance", "no cause: it stands last, though it is the largest"


def test_six_of_twelve_and_none_is_shown_by_the_exact_test_five_is_not():
    base = base_of(12, 60)
    six = effect(base, tried(base, "learnable", base.fails[:6], placebo=base.passes))
    assert 0 < six.contrast.low < 1e-5
    five = effect(base, tried(base, "learnable", base.fails[:5], placebo=base.passes))
    assert five.contrast.low < 0
    grouped = base.model_copy(update={"groups": dict.fromkeys(base.fails[:2], "g")})
    same = effect(grouped, tried(grouped, "learnable", base.fails[:6], placebo=base.passes))
    assert same.contrast.low < 0, "cases that belong together are no independent signs"


def test_reading_takes_nothing_that_an_acting_remedy_rescues():
    base = base_of(60, 60, literal=ids("f", 60))
    vote = tried(base, "latent", base.fails[:40])
    found = diagnose(base, [*knowledge(base, 1, 1), vote])
    assert {row.cause: round(row.share * 60) for row in found.wrong} == {
        "latent": 40,
        "reading": 20,
    }


def test_labels_are_at_fault_where_nothing_acts_and_many_contradict():
    base = base_of(60, 240, conflicts=ids("f", 40))
    found = diagnose(base, [tried(base, "format", base.fails[:1])])
    assert [(row.cause, round(row.share * row.n)) for row in found.wrong] == [
        ("label", 40), ("hard", 20),
    ]  # fmt: skip
    assert "40 failures contradict" in found.said[0]
    rare = base.model_copy(update={"conflicts": ids("f", 14)})
    assert diagnose(rare, [tried(base, "format", ())]).wrong[0].cause == "hard"
    acting = diagnose(base, [tried(base, "format", base.fails[20:50])])
    assert {row.cause for row in acting.wrong} == {"format", "hard"}


def test_few_failures_say_few_before_all_shares():
    base = base_of(20, 80)
    f = base.fails
    columns = [
        tried(base, "format", f[:9]),
        tried(base, "latent", f[6:12]),
        tried(base, "metric", f[:1]),
    ]
    found = diagnose(base, columns)
    assert found.few
    told = [(row.cause, round(row.share * row.n)) for row in found.wrong[1:]]
    assert found.wrong[0].cause == "few"
    assert told == [("format", 8), ("hard", 8), ("latent", 3), ("metric", 1)]
    assert found.wrong[1].low < 0.4 < found.wrong[1].high
    assert set(found.cause.values()) == {"few"}
    assert len(found.cause) == 20
    quiet = base_of(59, 80)
    assert diagnose(quiet, [tried(quiet, "format", ())]).few
    loud = base_of(41, 80)
    assert not diagnose(loud, [tried(loud, "format", loud.fails[:30])]).few
    assert not diagnose(base_of(60, 80), [tried(base_of(60, 80), "format", ())]).few


def test_a_handful_of_failures_has_no_shares():
    """Half of two failures is one answer; the row `few` says all there is to say."""
    for many, rows in ((2, ["few"]), (7, ["few"]), (8, ["few", "format", "hard"])):
        base = base_of(many, 98)
        found = diagnose(base, [tried(base, "format", base.fails[: many // 2])])
        assert [row.cause for row in found.wrong] == rows
        assert set(found.cause.values()) == {"few"}
    logged = diagnose(base_of(2, 98), [tried(base_of(2, 98), "format", ids("f", 1), asks=False)])
    assert (logged.wrong, logged.cause) == ((), {})
    assert logged.because.endswith("no remedy that asks a model was run")


def test_many_failures_of_which_few_were_read_are_few_where_a_remedy_stays_open():
    """A passage passes more than the base, and its placebo was asked on 20 failures alone."""
    base = base_of(200, 0, literal=ids("f", 190))
    f = base.fails
    rare = tried(base, "knowledge", f[::10], name="oracle")
    part = {"placebo_passed": {case: float(case in f[:2]) for case in f[:20]}}
    found = diagnose(base, [rare.model_copy(update=part)])
    assert found.effects[0].gain.low > 0
    assert (found.effects[0].n_fail, found.effects[0].acts) == (20, False)
    assert [(row.cause, row.n) for row in found.wrong[:2]] == [("few", 20), ("reading", 200)]
    whole = {"placebo_passed": {case: float(case in f[:20]) for case in f}}
    assert diagnose(base, [rare.model_copy(update=whole)]).wrong[0].cause == "reading"
    useless = tried(base, "knowledge", f[:1], name="oracle").model_copy(update=part)
    assert not diagnose(base, [useless]).few  # asked of all 200 failures, and no gain
    small = base_of(50, 0)
    open_ = tried(small, "knowledge", small.fails[::3], name="oracle")
    beside = {case: float(case in small.fails[:2]) for case in small.fails[:8]}
    found = diagnose(small, [open_.model_copy(update={"placebo_passed": beside})])
    assert (found.wrong[0].cause, found.wrong[0].n) == ("few", 50)


def test_few_failures_use_relations_by_their_point_values():
    base = base_of(12, 40, literal=ids("f", 11))
    assert diagnose(base, knowledge(base, 10, 3)).wrong[1].cause == "retrieval"
    assert diagnose(base, knowledge(base, 1, 1)).wrong[1].cause == "reading"
    torn = base_of(12, 40, conflicts=ids("f", 8))
    assert diagnose(torn, [tried(torn, "format", ())]).wrong[1].cause == "label"


def test_what_a_pilot_was_not_tried_on_is_untried_and_stands_last():
    base = base_of(60, 240)
    f, p = base.fails, base.passes
    fold = f[::5] + p[::5]
    pilot = tried(base, "learnable", set(f[::5]) - set(f[:5]), on=fold, name="pilot")
    found = diagnose(base, [tried(base, "format", f[:30]), pilot])
    rows = {row.cause: row for row in found.wrong}
    assert [(row.cause, round(row.share * row.n), row.n) for row in found.wrong] == [
        ("format", 30, 60), ("learnable", 6, 60), ("untried", 24, 60),
    ]  # fmt: skip
    assert rows["learnable"].high > 0.5, "the 24 may all be of this cause"
    assert rows["format"].high < 0.65, "and none of them of a remedy that was tried on all"
    assert rows["untried"].low == rows["untried"].high == 0.4
    assert "hard" not in rows
    (wait,) = found.untried
    assert (wait.name, wait.remedy, wait.n, wait.tried) == ("pilot", "learnable", 24, 12)
    assert (wait.passed, wait.because) == (0, "")
    assert set(found.cause) == set(f)
    expected = {row.cause: row for row in found.estimates}
    assert expected["learnable"].share == pytest.approx(0.5)
    assert expected["learnable"].low < 0.25
    assert expected["learnable"].n == 6
    assert found.effects[1].gain.mean == pytest.approx(11 / 12 * 60)


def test_a_remedy_tried_only_where_a_cheaper_one_helps_leaves_the_rest_untried():
    base = base_of(60, 60)
    f = base.fails
    pilot = tried(base, "learnable", f[:20], on=f[:20] + base.passes, name="pilot")
    found = diagnose(base, [tried(base, "format", f[:30]), pilot])
    assert {row.cause: round(row.share * 60) for row in found.wrong} == {
        "format": 30,
        "untried": 30,
    }
    assert [(one.name, one.n, one.tried) for one in found.untried] == [("pilot", 30, 20)]


def test_a_case_that_the_remedy_fails_is_tried_whether_or_not_its_placebo_was_asked():
    """Only what passes without a placebo beside it stays open; the estimate knows that too."""
    base = base_of(100, 100)
    f, p = base.fails, base.passes
    arm = tried(base, "learnable", f[:20] + f[50:60], on=f + p, name="lora")
    beside = dict.fromkeys(f[:50] + p, 0.0)
    found = diagnose(base, [arm.model_copy(update={"placebo_passed": beside})])
    assert [(row.cause, round(row.share * row.n)) for row in found.wrong] == [
        ("hard", 70), ("learnable", 20), ("untried", 10),
    ]  # fmt: skip
    (wait,) = found.untried
    assert (wait.n, wait.passed, wait.tried) == (10, 10, 50)
    assert {row.cause: row.share for row in found.estimates} == {
        "hard": pytest.approx(0.7),  # .6 of those beside the placebo, and 70 are known to fail
        "learnable": pytest.approx(0.3),
    }


def test_a_remedy_not_shown_to_act_leaves_others_open_where_it_may_help_a_quarter():
    base = base_of(100, 100)
    f, p = base.fails, base.passes

    def of(n, rescued, **more):
        pilot = tried(base, "learnable", f[:rescued], p[:1], on=f[:n] + p[:9], **more)
        return diagnose(base, [tried(base, "format", ()), pilot])

    small, large = of(12, 1), of(60, 1)
    assert not any(one.acts for one in (*small.effects, *large.effects))
    counts = [(row.cause, round(100 * row.share)) for row in small.wrong]
    assert counts == [("hard", 12), ("untried", 88)]
    assert [(row.cause, row.share) for row in large.wrong] == [("hard", 1.0)]
    alone = of(60, 0, placebo=None)
    assert [(row.cause, row.share) for row in alone.wrong] == [("hard", 1.0)]
    few = of(5, 0, placebo=None)
    assert few.untried[0].n == 95


def test_a_remedy_without_room_leaves_what_nothing_rescues_untried():
    base = base_of(60, 60, literal=ids("f", 55))
    left_out = tried(base, "learnable", (), on=(), because="the minutes", name="lora")
    found = diagnose(base, [tried(base, "format", base.fails[:20]), left_out])
    assert [(row.cause, round(row.share * 60)) for row in found.wrong] == [
        ("format", 20), ("untried", 40),
    ]  # fmt: skip
    (wait,) = found.untried
    assert (wait.name, wait.n, wait.tried, wait.because) == ("lora", 40, 0, "the minutes")
    unread = diagnose(base, [*knowledge(base, 2, 2), left_out])
    assert [(row.cause, round(row.share * 60)) for row in unread.wrong] == [
        ("reading", 55), ("untried", 5),
    ]  # fmt: skip


@st.composite
def worlds(draw):
    """Any base with up to five columns, complete or in part, with all that a base can have."""
    n, m = draw(st.integers(1, 70)), draw(st.integers(0, 40))
    rng = Random(draw(st.integers(0, 10**6)))
    base = base_of(n, m)
    cases = base.fails + base.passes
    more = {
        "literal": rng.choice([None, base.fails[: rng.randrange(n + 1)]]),
        "conflicts": base.fails[: rng.randrange(n + 1)],
        "groups": rng.choice([{}, {c: f"g{rng.randrange(40)}" for c in cases}]),
        "rerun": rng.choice([{}, {c: rng.random() < 0.5 for c in cases}]),
    }
    base = base.model_copy(update=more)
    columns = []
    for i in range(draw(st.integers(1, 5))):
        rescue, beside, whole = rng.random(), rng.random() * 0.3, rng.random() < 0.6
        on = [c for c in cases if whole or rng.random() < 0.5]
        shares = {c: round(rng.random() * beside, 1) for c in on}
        flat = {c: float(rng.random() < beside) for c in on}
        columns.append(
            Intervention(
                name=f"arm {i}", remedy=rng.choice(REMEDIES), placebo="p",
                passed={c: rng.random() < rescue for c in on},
                placebo_passed=rng.choice([None, flat, shares if rng.random() < 0.3 else flat]),
            )
        )  # fmt: skip
    return base, columns


@settings(max_examples=15, deadline=None)
@given(worlds(), st.integers(0, 10**6))
def test_no_order_matters(world, seed):
    base, columns = world
    rng = Random(seed)

    def turned(values):
        values = list(values)
        rng.shuffle(values)
        return values

    def mixed(one):
        shares = one.placebo_passed
        return one.model_copy(
            update={
                "passed": dict(turned(one.passed.items())),
                "placebo_passed": shares and dict(turned(shares.items())),
            }
        )

    other = base.model_copy(
        update={"fails": tuple(turned(base.fails)), "passes": tuple(turned(base.passes))}
    )
    assert diagnose(base, columns) == diagnose(other, turned(map(mixed, columns)))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_every_failure_is_in_one_class_and_shares_sum_to_one(world):
    base, columns = world
    found = diagnose(base, columns)
    n, rows = len(base.fails), [row for row in found.wrong if row.cause != "few"]
    assert all(0 <= r.low <= r.share <= r.high <= 1 and r.n > 0 for r in found.wrong)
    assert all(0 <= r.low <= r.share <= r.high <= 1 and r.n > 0 for r in found.estimates)
    assert all(row.cause in CAUSES for row in found.wrong)
    assert found.model_dump_json().count("NaN") == 0
    asked = any(one.n_fail for one in found.effects)
    assert bool(found.because) != asked  # no remedy was asked of a failed case
    assert asked or "hard" not in found.cause.values()
    if found.wrong:
        assert set(found.cause) == set(base.fails)
    if rows:
        counts = [row.share * n for row in rows]
        assert [round(count) for count in counts] == pytest.approx(counts, abs=1e-6)
        assert sum(round(count) for count in counts) == n
        assert sum(row.share for row in rows) == pytest.approx(1, abs=1e-6)
        assert len({row.cause for row in rows}) == len(rows)
        untried = next((round(r.share * n) for r in rows if r.cause == "untried"), 0)
        assert untried == (sum(one.n for one in found.untried) if asked else untried)
        assert bool(found.estimates) <= bool(untried)
        causes = [row.cause not in {"chance", "untried"} for row in rows]
        assert causes == sorted(causes, reverse=True), "what is no cause stands last"
    if found.few and asked:
        assert [row.cause for row in found.wrong].count("few") == 1
        assert bool(rows) == (n >= LEAST_FAILURES), "no share of a handful"
        assert set(found.cause.values()) == {"few"}
    elif rows:
        assert Counter(found.cause.values()) == {r.cause: round(r.share * n) for r in rows}
    for one in found.effects:
        assert one.acts or one.because


@settings(max_examples=15, deadline=None)
@given(worlds())
def test_net_is_passes_beyond_the_placebo_where_all_were_asked(world):
    base, columns = world
    cases = base.fails + base.passes
    for one in columns:
        if set(one.passed) == set(cases) and one.placebo_passed is not None:
            net = sum(one.passed.values()) - sum(one.placebo_passed.values())
            assert effect(base, one).net.mean == pytest.approx(net, abs=1e-5)
            again = base.rerun or {c: c in base.passes for c in cases}
            gain = sum(one.passed.values()) - sum(again.values())
            assert effect(base, one).gain.mean == pytest.approx(gain, abs=1e-5)


def test_what_only_scoring_again_was_tried_on_is_not_called_hard():
    base = base_of(78, 222)
    loose = tried(base, "metric", base.fails[:50], asks=False, name="tolerant metric")
    parse = tried(base, "format", (), asks=False, name="lenient parse")
    found = diagnose(base, [loose, parse])
    assert [(row.cause, round(row.share * row.n)) for row in found.wrong] == [
        ("metric", 50), ("untried", 28),
    ]  # fmt: skip
    assert found.untried == ()  # they wait for no remedy of this study: `because` says why
    assert found.because.startswith("the other causes are not known: only tolerant metric")
    none = diagnose(base, [parse])
    assert (none.wrong, none.cause) == ((), {})
    assert none.because.startswith("the causes are not known: only lenient parse")
    thin = base_of(12, 40)
    few = diagnose(thin, [tried(thin, "format", (), asks=False)])
    assert (few.wrong, few.cause, few.few) == ((), {}, True)
    some = diagnose(thin, [tried(thin, "format", thin.fails[:8], asks=False)])
    assert [row.cause for row in some.wrong] == ["few", "format", "untried"]
    assert some.because
    unasked = tried(base, "learnable", (), on=(), because="the pilot was skipped")
    assert diagnose(base, [parse, unasked]).because
    some = diagnose(base, [loose, unasked])
    assert [(one.name, one.n) for one in some.untried] == [("learnable", 28)]
    asked = diagnose(base, [parse, tried(base, "convention", ())])
    assert ([row.cause for row in asked.wrong], asked.because) == (["hard"], "")


def test_a_case_that_has_a_cause_is_not_said_to_have_none():
    base = base_of(60, 60).model_copy(update={"literal": base_of(60, 60).fails})
    f, p = base.fails, base.passes
    gold = tried(base, "knowledge", (), placebo=p)
    vote = tried(base, "latent", f[:30], placebo=f[20:30] + p)
    found = diagnose(base, [gold, vote])
    assert [(row.cause, round(row.share * 60)) for row in found.wrong] == [
        ("reading", 40), ("latent", 20),
    ]  # fmt: skip
    assert not [line for line in found.said if "chance may be why" in line]


def test_a_remedy_whose_placebo_was_not_asked_is_not_shown_to_act():
    base = base_of(80, 80)
    half = base.fails[:40]
    alone = tried(base, "learnable", half, placebo=None)
    assert effect(base, alone).acts, "the control: a remedy that has no placebo may act"
    unproved = alone.model_copy(update={"unproved": True, "because": "its placebo was not asked"})
    found = effect(base, unproved)
    assert (found.acts, found.rescued) == (False, ())
    seen = diagnose(base, [unproved])
    shares = {row.cause: row.share for row in seen.wrong}
    assert shares["untried"] >= 0.5
    assert "learnable" not in shares
