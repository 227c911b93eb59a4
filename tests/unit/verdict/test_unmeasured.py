"""The next step where an arm was not measured: what the diagnosis says for it, and at what cost."""

import pytest
import verdict_scenes as scenes

from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.records.evidence import Policy
from tuneworthy.records.further import UntriedSearch
from tuneworthy.records.reason import NO_ROOM, Reason, Why
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.rule import untrained_arms
from tuneworthy.verdict.unmeasured import in_labels

PLAIN = Policy(margin=0.05)
LORA = ("learnable", "latent")
READER = ("knowledge", "latent", "learnable", "reading")
RAG = ("knowledge", "retrieval")
READING = {"reading": 0.91, "hard": 0.09}


def diagnosis(shares, n_fail=380, n_pass=20):
    rows = [
        Wrong(cause=cause, share=share, low=share, high=share, n=n_fail, arm=None, placebo=None)
        for cause, share in shares.items()
    ]
    return Diagnosis(arm="zero_shot", n_fail=n_fail, n_pass=n_pass, wrong=tuple(rows))


def left_out(name, tool, repairs, minutes=None, usd=None, because=NO_ROOM, role="candidate"):
    blank = scenes.arm(name, tool, 0, 1, role=role)
    update = {"score": None, "state": "skipped", "because": because, "repairs": repairs,
              "more_minutes": minutes, "more_usd": usd, "finalist": False, "n": 0}  # fmt: skip
    return blank.model_copy(update=update)


def study(wrong, *left, taught=LORA, **more):
    """Return a study in which nothing is shown to beat the reference, with arms left out."""
    columns = {
        "copy_input": (None, scenes.scores(90, 0.08, 1, 0.6)),
        "rag": ("context", scenes.scores(90, 0.13, 2, 0.6), {"repairs": RAG}),
    }
    if taught is not None:
        columns["lora"] = ("tune", scenes.scores(90, 0.05, 3, 0.6), {"repairs": taught})
    found = scenes.evidence(columns, **more)
    update = {"arms": (*found.arms, *left), "diagnosis": wrong and diagnosis(wrong)}
    return found.model_copy(update=update)


def step(found, policy=PLAIN):
    return decide(found, (), policy).next


def test_without_an_arm_left_out_rows_are_labelled():
    found = study({"hard": 1.0})
    assert decide(found, (), PLAIN).use == "none"
    assert (step(found).do, step(found).minutes) == ("label", None)
    assert step(found).rows > 200


def test_an_arm_that_the_diagnosis_names_comes_before_hundreds_of_labels():
    reader = left_out("rag_lora", "tune", READER, minutes=11.2, usd=0.0)
    found = step(study(READING, reader))
    assert found.do == "raise budget.minutes"
    assert (found.minutes, found.rows, found.usd) == (12, None, 0.0)
    assert found.why == (
        "91 % of the failures have a cause that `rag_lora` may repair (reading), and the minutes"
        " had no room to measure it: `tuneworthy run --more 12m`"
    )


@pytest.mark.parametrize(
    ("case", "wrong", "left", "do", "named"),
    [
        ("closed-book training does not repair reading", {"reading": 0.9},
         [("lora2", "distil", LORA, 3.0)], "measure bigger", "reading"),
        ("the share is too small to gain the margin", {"learnable": 0.04, "hard": 0.96},
         [("rag_lora", "tune", READER, 3.0)], "label", ""),
        ("a measured arm stands for its cause", {"learnable": 0.9},
         [("rag_lora", "tune", READER, 3.0)], "label", ""),
        ("retrieval stays where retrieval was measured", {"retrieval": 0.7},
         [("rag(k=8)", "context", RAG, 2.0)], "raise budget.minutes", "`rag(k=8)`"),
        ("knowledge does not", {"knowledge": 0.7},
         [("rag(k=8)", "context", RAG, 2.0)], "label", ""),
        ("of two that repair alike, the cheaper", {"reading": 0.9},
         [("bigger", "bigger", ("capability", "reading"), 40.0),
          ("rag_lora", "tune", READER, 9.0)], "raise budget.minutes", "`rag_lora`"),
        ("one that repairs far more goes before a cheaper one", {"reading": 0.7, "retrieval": 0.2},
         [("rag(k=8)", "context", RAG, 1.0),
          ("rag_lora", "tune", READER, 9.0)], "raise budget.minutes", "`rag_lora`"),
        ("one whose minutes are known goes before one whose are not", {"reading": 0.9},
         [("bigger", "bigger", ("capability", "reading"), None),
          ("rag_lora", "tune", READER, 9.0)], "raise budget.minutes", "`rag_lora`"),
        ("a named arm goes before a tool that nothing speaks for", {"reading": 0.9},
         [("distil", "distil", LORA, 1.0),
          ("rag_lora", "tune", READER, 9.0)], "raise budget.minutes", "`rag_lora`"),
        ("no larger model repairs the metric", {"metric": 0.99, "hard": 0.01},
         [("distil", "distil", LORA, 1.0)], "label", ""),
        ("nothing speaks against a tool that was not measured", {"convention": 0.9},
         [("distil", "distil", LORA, 1.0)], "raise budget.minutes", "`distil`"),
    ],
)  # fmt: skip
def test_the_diagnosis_decides_which_arm_is_worth_its_minutes(case, wrong, left, do, named):
    arms = [left_out(name, tool, causes, minutes) for name, tool, causes, minutes in left]
    found = step(study(wrong, *arms))
    assert found.do == do, case
    assert named in found.why, case


def test_an_arm_that_can_not_be_measured_here_is_not_offered():
    reader = left_out("rag_lora", "tune", READER, 3.0, because=Reason.needs("a GPU"))
    assert step(study({"reading": 0.9}, reader)).do == "measure bigger"
    reader = left_out("rag_lora", "tune", READER, 3.0, role="ceiling")
    assert step(study({"reading": 0.9}, reader)).do == "measure bigger"


def test_the_causes_meant_are_listed_with_their_shares():
    reader = left_out("rag_lora", "tune", READER, 3.0)
    mixed = {"reading": 0.62, "learnable": 0.2, "format": 0.18}
    why = step(study(mixed, reader, taught=None)).why
    assert why.startswith("82 % of the failures have a cause that `rag_lora` may repair")
    assert "(reading 62 %, learnable 20 %)" in why
    few = {"few": 1.0, "reading": 0.9}
    assert step(study(few, reader)).why.startswith("as far as so few can show, 90 % of the fail")


def test_without_planned_minutes_the_plan_is_asked():
    found = step(study({"reading": 0.9}, left_out("rag_lora", "tune", READER)))
    assert (found.do, found.minutes) == ("raise budget.minutes", None)
    assert found.why.endswith("no room to measure it; `tuneworthy plan` says what all takes")


def test_several_tools_without_a_diagnosis_are_measured_together():
    arms = [left_out("distil", "distil", LORA, 4.2, 0.25), left_out("lora", "tune", LORA, 3.1, 0.5)]
    found = step(study(None, *arms, taught=None))
    assert (found.do, found.minutes, found.usd) == ("raise budget.minutes", 8, 0.75)
    assert "`distil`, `lora`: `tuneworthy run --more 8m`" in found.why
    arms[1] = left_out("lora", "tune", LORA, None, 0.5)
    found = step(study(None, *arms, taught=None))
    assert (found.minutes, found.usd) == (None, 0.75)
    arms[0] = left_out("distil", "distil", LORA, 4.2)
    assert step(study(None, *arms, taught=None)).usd is None


def clicks(wins, losses, n, apart, *left, wrong=None, pool=5000, factor=1.0):
    """Return a study of two arms that answer `apart` of n rows differently, and what is left."""
    one = scenes.pair("schema", "prompt", wins, losses, n, 0.035, factor, apart=apart)
    arms = scenes.arm("prompt", "prompt", 140, n), scenes.arm("schema", "schema", 150, n), *left
    update = {"arms": arms, "pairs": (one, scenes.mirrored(one)), "pool": pool,
              "diagnosis": wrong and diagnosis(wrong, 60, n - 60)}  # fmt: skip
    return scenes.worked()[0].model_copy(update=update)


FEW_CLICKS = (18, 4, 300, 22)


def test_few_clicks_that_settle_it_come_before_minutes_that_cost_more():
    plain = step(clicks(*FEW_CLICKS))
    assert plain.do == "settle"
    worth = plain.clicks * 0.2 / 0.2  # minutes of a machine that cost as much
    dear = left_out("rag_lora", "tune", READER, worth + 5)
    cheap = left_out("rag_lora", "tune", READER, worth - 5)
    found = step(clicks(*FEW_CLICKS, dear, wrong=READING))
    assert (found.do, found.clicks) == ("settle", plain.clicks)
    assert step(clicks(*FEW_CLICKS, cheap, wrong=READING)).do == "raise budget.minutes"


def test_dollars_count_as_the_labels_that_they_would_buy():
    sent = left_out("rag_lora", "tune", READER, 1.0, 20.0)
    found = clicks(*FEW_CLICKS, sent, wrong=READING)
    assert step(found).do == "settle"
    dear_labels = PLAIN.model_copy(update={"label_each": 50.0})
    assert step(found, dear_labels).do == "raise budget.minutes"
    assert in_labels(10.0, 2.0, 0.5) == 6.0
    assert in_labels(None, None, None) == 0.0
    assert in_labels(0.0, 1.0, 0.0) == 4.0  # a price of 0 is no scale


def test_clicks_that_would_not_settle_it_come_after_the_arm():
    def found(pool, *left):
        wide = {"pool": pool, "factor": 1.5, "wrong": READING if left else None}
        return step(clicks(13, 5, 250, 60, *left, **wide))

    reader = left_out("rag_lora", "tune", READER, 400.0)
    assert (found(5000, reader).do, found(5000, reader).clicks) == ("settle", 240)
    assert found(700, reader).do == "raise budget.minutes"
    alone = found(700)
    assert (alone.do, alone.clicks) == ("settle", 168)
    assert "a chance of about 45 %" in alone.why


def test_no_verdict_is_firm_while_training_that_may_win_was_left_out():
    reader = left_out("rag_lora", "tune", READER, 11.2)
    found = scenes.ladder_up_to("prompt").model_copy(update={"diagnosis": diagnosis(READING)})
    plain = decide(found, (), PLAIN)
    assert (plain.status, plain.next.do) == ("firm", "use it")
    tools = [arm for arm in found.arms if arm.tool in (None, "classifier", "prompt")]
    open_now = decide(found.model_copy(update={"arms": (*tools, reader)}), (), PLAIN)
    assert (open_now.arm, open_now.status) == (plain.arm, "provisional")
    said = "Whether `rag_lora` would be better is not known: the minutes had no room to measure it."
    assert said in open_now.because
    assert open_now.next.do == "raise budget.minutes"
    assert open_now.next.why == (
        "91 % of the failures have a cause that `rag_lora` may repair (reading),"
        " and the minutes had no room to measure it: `tuneworthy run --more 12m`"
    )
    unread = found.model_copy(update={"arms": (*tools, reader), "diagnosis": None})
    assert decide(unread, (), PLAIN).next.do == "raise budget.minutes"
    for change in ({"because": Reason.needs("a GPU")}, {"tool": "context"}):
        other = reader.model_copy(update=change)
        kept = found.model_copy(update={"arms": (*tools, other)})
        assert decide(kept, (), PLAIN).status == "firm"


def in_part(found, whole=41.3):
    """Return the study with its tuned arm trained on 100 of 320 rows, for want of minutes."""
    part = {"whole_minutes": whole, "options": {"rows": 100}, "repairs": LORA}
    arms = [a.model_copy(update=part) if a.tool == "tune" else a for a in found.arms]
    return found.model_copy(update={"arms": tuple(arms), "train": 320})


def test_an_arm_trained_on_a_part_of_the_rows_lets_no_simpler_one_be_firm():
    found = scenes.ladder_up_to("prompt")
    assert decide(found, (), PLAIN).status == "firm"
    open_now = decide(in_part(found), (), PLAIN)
    assert (open_now.use, open_now.status) == ("prompt", "provisional")
    tuned = next(arm.name for arm in found.arms if arm.tool == "tune")
    assert (
        f"What `{tuned}` would score if it learnt from all rows is not known." in open_now.because
    )
    assert (open_now.next.do, open_now.next.minutes) == ("raise budget.minutes", 42)
    assert open_now.next.why == (
        f"`{tuned}` learnt from 100 of 320 rows for want of minutes:"
        " `budget: {minutes: 42}` leaves nothing out"
    )
    against = in_part(found).model_copy(update={"diagnosis": diagnosis(READING)})
    assert decide(against, (), PLAIN).status == "firm", "what was wrong speaks against training"
    assert decide(in_part(scenes.ladder_up_to("tune")), (), PLAIN).status == "firm"


def test_a_beaten_arm_trained_on_a_part_is_told_beside_an_open_pair():
    columns = {
        "majority": (None, scenes.scores(90, 0.05, 1)),
        "nearest_shots": ("prompt", scenes.scores(90, 0.5, 2)),
        "constrained": ("schema", scenes.scores(90, 0.54, 3)),
        "lora": ("tune", scenes.scores(90, 0.1, 4)),
    }
    told = decide(in_part(scenes.evidence(columns)), (), PLAIN)
    assert (told.arm, told.status) == ("nearest_shots", "provisional")
    assert "(`constrained`) could be at most" in told.because
    assert "`lora` learnt from 100 of 320 rows, for want of minutes: its score on" in told.because
    against = in_part(scenes.evidence(columns)).model_copy(update={"diagnosis": diagnosis(READING)})
    assert "learnt from" not in decide(against, (), PLAIN).because


def test_rows_are_not_asked_for_while_the_open_arm_learnt_from_a_part():
    found = study({"hard": 1.0})
    assert step(found).do == "label"
    assert step(in_part(found)).do == "raise budget.minutes"
    asked = in_part(found, None)
    assert step(asked).do == "label", "the user wrote how many rows it learns from"


def test_folds_without_room_come_before_labels():
    found = study({"hard": 1.0})
    few = [arm.model_copy(update={"n": 18, "more_minutes": 7.3}) if arm.score else arm
           for arm in found.arms]  # fmt: skip
    told = step(found.model_copy(update={"arms": tuple(few), "n": 90}))
    assert (told.do, told.minutes) == ("raise budget.minutes", 15)
    assert told.why == (
        "the minutes had no room to score all 90 rows, `rag` on 18 and `copy_input` on 18:"
        " `tuneworthy run --more 15m`"
    )
    dear = [arm.model_copy(update={"more_minutes": 9e9}) for arm in few]
    told = step(found.model_copy(update={"arms": tuple(dear), "n": 90}))
    assert told.do == "label", "where labels that may settle it cost less"
    reader = left_out("rag_lora", "tune", READER, minutes=11.2)
    both = study(READING, reader)
    few = [arm.model_copy(update={"n": 18, "more_minutes": 1.0}) if arm.score else arm
           for arm in both.arms]  # fmt: skip
    told = step(both.model_copy(update={"arms": tuple(few), "n": 90}))
    assert told.minutes == 2, "further folds are cheaper than the arm that is left out"


def test_a_verdict_stays_firm_where_training_could_gain_less_than_the_margin():
    reader = left_out("rag_lora", "tune", READER, 11.2)
    high = scenes.ladder_up_to("prompt", gain=0.395)
    left = {"arms": (*(a for a in high.arms if a.tool in (None, "classifier", "prompt")), reader)}
    full = high.model_copy(update={**left, "diagnosis": diagnosis(READING)})
    assert (decide(full, (), PLAIN).status, step(full).do) == ("firm", "use it")
    assert step(full).why == "more labelled rows would not change which arm is named"


def test_a_trained_arm_that_is_named_needs_no_other_one():
    reader = left_out("rag_lora", "tune", READER, 11.2)
    found = scenes.ladder_up_to("tune")
    named = decide(found, (), PLAIN)
    assert (named.use, named.status) == ("tune", "firm")
    both = found.model_copy(update={"arms": (*found.arms, reader)})
    assert decide(both, (), PLAIN).status == "firm"


def test_a_trained_arm_stands_for_those_that_repair_no_more():
    taught = study({"convention": 0.9}, left_out("rag_lora", "tune", READER, 3.0))
    same = study(None, left_out("lora(epochs=5)", "tune", LORA, 3.0))
    more = study(None, left_out("rag_lora", "tune", READER, 3.0))
    assert [untrained_arms(found, 0.05) != () for found in (taught, same, more)] == [
        False,
        False,
        True,
    ]


def test_a_larger_model_is_asked_for_where_the_diagnosis_names_it():
    named = step(study({"reading": 0.8, "hard": 0.2}))
    assert (named.do, named.rows) == ("measure bigger", 90)
    assert named.why == (
        "80 % of the failures have a cause that a larger model may repair (reading), and none is"
        " measured (key `bigger`)"
    )
    firm = scenes.no_better(300, 0.3, 0.5, 0.12)
    firm = firm.model_copy(update={"diagnosis": diagnosis({"reading": 0.8}, 210, 90)})
    assert decide(firm, (), PLAIN).status == "firm"
    assert (step(firm).do, step(firm).why) == ("measure bigger", named.why)
    priced = PLAIN.model_copy(update={"motive": "cost"})
    assert step(study({"reading": 0.8}), priced).do != "measure bigger"


def test_no_arm_is_offered_where_the_base_fails_too_little_to_gain_the_margin():
    reader = left_out("rag_lora", "tune", READER, 3.0)
    distil = left_out("distil", "distil", LORA, 3.0)

    def found(*left, cause="convention"):
        whole = study(None, *left)
        return whole.model_copy(update={"diagnosis": diagnosis({cause: 0.9}, 4, 96)})

    assert step(found(reader, distil)).do == "label"
    assert step(found(reader, distil, cause="reading")).do == "label"
    graded = found(distil)
    base = scenes.arm("zero_shot", "prompt", 60, 100).model_copy(update={"finalist": False})
    graded = graded.model_copy(update={"arms": (*graded.arms, base)})
    assert step(graded).do == "raise budget.minutes"  # rows that pass score .6 on average
    cost = PLAIN.model_copy(update={"motive": "cost"})
    assert step(found(distil), cost).do == "raise budget.minutes"  # it need not gain anything
    aim = PLAIN.model_copy(update={"target": 0.99})
    named = scenes.ladder_up_to("prompt")
    update = {"arms": (*(a for a in named.arms if a.tool in (None, "prompt")), distil),
              "diagnosis": diagnosis({"learnable": 0.9}, 4, 396)}  # fmt: skip
    missed = named.model_copy(update=update)
    assert decide(missed, (), aim).target_met is False
    assert step(missed, aim).do == "raise budget.minutes"  # any gain counts


@pytest.mark.parametrize("tool", ["tune", "distil"])
def test_training_is_not_named_firmly_while_a_search_for_a_prompt_did_not_run(tool):
    found = scenes.ladder_up_to(tool)
    assert decide(found, (), PLAIN).status == "firm", "no search can run here"
    how = "`tuneworthy run --more 7m`"
    search = UntriedSearch(arm="a search", prompts=8, minutes=7, how=how)
    open_now = found.model_copy(update={"untried_search": search})
    verdict = decide(open_now, (), PLAIN)
    assert (verdict.use, verdict.arm, verdict.status) == (tool, tool, "provisional")
    assert (verdict.next.do, verdict.next.minutes) == ("search for a better prompt", 7)
    assert verdict.next.why.endswith(how)
    assert "Whether a searched prompt would do as well is not known" in verdict.because
    assert {part.status for part in verdict.by_margin if part.use == tool} == {"provisional"}
    cut = left_out("other", "tune", ("reading",), minutes=3.0)
    more = open_now.model_copy(update={"arms": (*open_now.arms, cut)})
    assert decide(more, (), PLAIN).next.do == "search for a better prompt"


@pytest.mark.parametrize("tool", ["keep", "classifier", "prompt", "schema", "context", "bigger"])
def test_a_search_that_did_not_run_leaves_a_simpler_tool_firm(tool):
    search = UntriedSearch(arm="a search", prompts=8, how="write a line")
    found = scenes.ladder_up_to(tool).model_copy(update={"untried_search": search})
    assert decide(found, (), PLAIN).status == "firm"


def test_a_search_that_did_not_run_leaves_a_cheaper_trained_arm_firm():
    policy = Policy(margin=0.05, motive="cost")
    found = scenes.cost(0.88)
    before = decide(found, (), policy)
    search = UntriedSearch(arm="a search", prompts=8, how="write a line")
    after = decide(found.model_copy(update={"untried_search": search}), (), policy)
    assert (after.use, after.status) == (before.use, before.status)


STOPPED = Reason(why=Why.STOPPED)


def test_a_stopped_run_is_to_be_finished_and_names_nothing_firmly():
    """Ctrl-C before the training left a firm verdict on prompts; now it is as without minutes."""
    reader = left_out("rag_lora", "tune", READER, minutes=11.2, because=STOPPED)
    found = step(study(READING, reader))
    assert (found.do, found.minutes) == ("finish the run", 12)
    assert found.why.endswith(
        "and the run was stopped before it could measure it: `tuneworthy run`"
    )
    columns = {
        "copy_input": (None, scenes.scores(400, 0.1, 1, 0.6)),
        "tfidf": ("classifier", scenes.scores(400, 0.7, 2, 0.6)),
        "zero_shot": ("prompt", scenes.scores(400, 0.6, 2, 0.6)),
    }
    measured = scenes.evidence(columns)

    def with_arm(because):
        arm = left_out("lora", "tune", LORA, 5.0, because=because)
        return decide(measured.model_copy(update={"arms": (*measured.arms, arm)}), (), PLAIN)

    assert with_arm(Reason.needs("a GPU")).status == "firm"
    assert [with_arm(why).status for why in (NO_ROOM, STOPPED)] == ["provisional"] * 2
    assert "the run was stopped before it could measure" in str(with_arm(STOPPED))
    assert "the minutes had no room to measure" in str(with_arm(NO_ROOM))
