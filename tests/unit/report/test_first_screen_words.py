"""The first screen claims no more than was measured, and its notes can be acted on."""

import pytest
from study_fixture import study
from tests import studies

import tuneworthy
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.counting import tenths
from tuneworthy.records.reason import Reason
from tuneworthy.records.task import Present
from tuneworthy.records.verdict import Wrong
from tuneworthy.report import fact_lines
from tuneworthy.report.cause_lines import wrong_lines
from tuneworthy.report.fact_lines import left_line
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen

NO_MODEL = "No prompt and no tuned model was run here"


def text(results):
    return " ".join(ladder_screen(results, 80).plain.split())


def with_arms(results, change):
    arms = tuple(change(arm) for arm in results.evidence.arms)
    evidence = results.evidence.model_copy(update={"arms": arms})
    return results.model_copy(update={"evidence": evidence})


def unscored(names):
    def change(arm):
        gone = {"score": None, "state": "skipped", "because": Reason.of("no room")}
        return arm.model_copy(update=gone) if arm.name in names else arm

    return change


def test_rows_of_few_groups_are_said_on_the_first_screen():
    results = study()
    fix = "rows of more groups show more"
    seen = Observation(kind="groups", level="warning", count=12, fix=fix,
                       text="300 scored rows come in 12 groups")  # fmt: skip
    grouped = results.audit.model_copy(update={"observations": (seen,)})
    said = "300 scored rows come in 12 groups. Rows of more groups show more."
    assert said in text(results.model_copy(update={"audit": grouped}))
    note = seen.model_copy(update={"level": "note"})
    noted = grouped.model_copy(update={"observations": (note,)})
    assert said not in text(results.model_copy(update={"audit": noted}))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A study of recorded answers and a classifier: no prompt and no tuned model."""
    path = studies.write(tmp_path_factory.mktemp("plain"), n=90,
                         arms=["present", "majority", "copy_input", "tfidf"])  # fmt: skip
    return tuneworthy.run(path).results


def test_where_no_model_was_asked_the_screen_says_so_and_what_one_could_gain(plain):
    arm = fact_lines.arm_named(plain)
    room = f"{100 * (1 - arm.score.low):.1f}".removesuffix(".0")
    low = f"{100 * arm.score.low:.1f}".removesuffix(".0")
    could = f"they could gain at most {room} points, from {low} (the low end) to a perfect 100."
    assert f"{NO_MODEL}: {could}" in text(plain)
    assert "the only arm" not in text(plain)
    assert NO_MODEL in page(plain)


def test_what_is_named_without_a_comparison_is_said_to_be_the_only_arm(tmp_path):
    path = studies.write(tmp_path, n=90, arms=["present", "majority"])
    said = text(tuneworthy.run(path).results)
    assert "Use: present (keep), the only arm that was measured" in said


def test_a_study_with_a_prompt_or_a_system_of_unknown_tool_keeps_its_words():
    results = study()
    assert fact_lines.unrun_line(results) == ""
    models = ("zero_shot", "nearest_shots", "constrained", "lora")
    assert (
        fact_lines.unrun_line(with_arms(results, unscored(models))) == ""
    )  # rules_engine may be one
    bare = with_arms(results, unscored((*models, "rules_engine")))
    assert fact_lines.unrun_line(bare) == ""  # what runs today is a prompt
    logged = bare.task.model_copy(update={"present": Present(answers="logged.jsonl")})
    said = fact_lines.unrun_line(bare.model_copy(update={"task": logged}))
    assert said.startswith(NO_MODEL)
    assert said.endswith("(lora: no room).")


def test_a_reference_that_was_asked_for_and_does_not_apply_is_on_the_ladder(plain):
    assert "copy_input (reference)" in ladder_screen(plain, 120).plain
    assert "a copy of the input can't be right" in text(plain)


def test_failed_answers_that_could_change_nothing_have_no_bound():
    arm = next(arm for arm in study().evidence.arms if arm.score)
    failed = arm.model_copy(update={"errors": 1, "score_if_right": arm.score.mean + 0.001})
    assert "if right" not in fact_lines.unanswered_line(failed)
    more = failed.model_copy(update={"score_if_right": arm.score.mean + 0.1})
    assert "at most if right" in fact_lines.unanswered_line(more)


def test_an_arm_that_is_not_shown_better_than_a_reference_is_not_called_better():
    results = study()
    left = results.verdict.left_on_table.model_copy(update={"versus": "majority"})
    none = {"arm": None, "use": "none", "left_on_table": left}
    verdict = results.verdict.model_copy(update=none)
    line = left_line(results.model_copy(update={"verdict": verdict}))
    assert "is not shown to be better than majority: by at most" in line


def test_a_bound_beyond_a_perfect_score_says_what_is_missing_to_one_on_these_rows():
    results = study()
    left = results.verdict.left_on_table

    def line(points):
        over = left.model_copy(update={"points": points})
        verdict = results.verdict.model_copy(update={"left_on_table": over})
        return left_line(results.model_copy(update={"verdict": verdict}))

    named = fact_lines.arm_named(results)
    room = 1 - named.score.mean
    old = left.model_copy(update={"arm": None})  # a study from before the arm was noted
    verdict = results.verdict.model_copy(update={"left_on_table": old})
    told = left_line(results.model_copy(update={"verdict": verdict}))
    assert told.startswith("Another arm could be at most")
    assert "perfect score" not in line(room / 2)
    told = line(room + 0.05)
    assert f"on these rows at most the {tenths(room)} to a perfect score" in told
    assert told.endswith("more only where others are harder.")


def test_the_failures_of_what_runs_today_are_told_from_those_of_the_named_arm():
    results = study()
    named, other = results.verdict.arm, "zero_shot"
    assert named not in ("present", other)
    hard = Wrong(cause="hard", share=1.0, low=0.5, high=1.0, n=60, arm=None, placebo=None)
    for arm, told in (("present", True), (other, False)):
        seen = Diagnosis(arm=arm, n_fail=60, n_pass=40, wrong=(hard,))
        evidence = results.evidence.model_copy(update={"diagnosis": seen})
        verdict = results.verdict.model_copy(update={"wrong": (hard,)})
        both = {"evidence": evidence, "verdict": verdict}
        assert (f"not those of {named}" in wrong_lines(results.model_copy(update=both))) == told
