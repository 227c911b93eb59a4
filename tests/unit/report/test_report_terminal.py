"""The terminal: the ladder screen at 80 and 120 columns, on a pipe, under NO_COLOR."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console
from study_fixture import attacked, study

from tuneworthy.records.evidence import Interval, TruncatedAnswers
from tuneworthy.records.reason import Reason
from tuneworthy.records.task import Economics
from tuneworthy.records.verdict import Next
from tuneworthy.report import fact_lines
from tuneworthy.report.checks import audit_screen
from tuneworthy.report.comparisons import compare_screen
from tuneworthy.report.fact_lines import left_line
from tuneworthy.report.html import page
from tuneworthy.report.live import Live
from tuneworthy.report.plans import plan_screen
from tuneworthy.report.screen import show
from tuneworthy.report.terminal import ladder_screen, table
from tuneworthy.verdict import phrases

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028]")
ATTACK = "\x1b]52;c;ZXZpbA==\x07\x1b[31m\n[link=http://evil.example]x[/link]\u202e漢\x9b1m"


@pytest.fixture(scope="module")
def results():
    return study()


def screens(results, width, plain=False):
    pairs = results.evidence.pairs[:3]
    return [
        ladder_screen(results, width, plain),
        table(results, width, plain),
        audit_screen(results.audit, width, plain),
        plan_screen(results.plan, width, plain),
        compare_screen(results, results, pairs, width, plain),
    ]


def changed(results, **verdict):
    return results.model_copy(update={"verdict": results.verdict.model_copy(update=verdict)})


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_no_line_is_wider_than_the_screen(results, width, plain):
    for screen in screens(results, width, plain):
        assert max(cell_len(line) for line in screen.plain.split("\n")) <= width
        assert not plain or screen.plain.isascii()


def test_the_rows_of_the_headline_are_those_that_were_scored(results):
    named, n = results.verdict.arm, results.evidence.n
    assert f" · {n} rows" in fact_lines.status_line(results)
    arms = [a.model_copy(update={"n": n // 5}) if a.name == named else a
            for a in results.evidence.arms]  # fmt: skip
    seen = results.evidence.model_copy(update={"arms": tuple(arms)})
    status = fact_lines.status_line(results.model_copy(update={"evidence": seen}))
    assert f" · {n // 5} of {n} rows" in status


def test_the_ladder_says_of_an_arm_how_many_answers_are_missing(results):
    lost = {"errors": 50, "score_if_right": 0.78}
    arms = tuple(arm.model_copy(update=lost if arm.name == "constrained" else {})
                 for arm in results.evidence.arms)  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": arms})
    assert (
        "8 of 250 without an answer or a score: counted as wrong"
        in ladder_screen(results, 80).plain
    )
    text = ladder_screen(results.model_copy(update={"evidence": evidence}), 80).plain
    told = "50 of 250 without an answer or a score: counted as wrong (.78 at most if right)"
    assert told in " ".join(text.split())
    assert max(cell_len(line) for line in text.split("\n")) <= 80


def test_d3_the_ladder_and_the_page_say_how_many_answers_the_token_limit_ended(results):
    cut = {"cut": TruncatedAnswers(n=41, wrong=30, asked=16, gained=2, gain=0.031)}
    arms = tuple(arm.model_copy(update=cut if arm.name == "constrained" else {})
                 for arm in results.evidence.arms)  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": arms})
    found = results.model_copy(update={"evidence": evidence})
    text = " ".join(ladder_screen(found, 80).plain.split())
    assert "41 of 250 answers cut by the token limit, which cost it at most 3.1 points" in text
    assert "· 41 cut" in page(found)
    named = results.verdict.arm
    much = {"cut": cut["cut"].model_copy(update={"gain": 0.2})}
    arms = tuple(arm.model_copy(update=much if arm.name == named else {})
                 for arm in results.evidence.arms)  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": arms})
    caution = "The token limit ended 41 of 250 answers of <code>constrained</code>, which may have"
    assert caution in page(results.model_copy(update={"evidence": evidence}))
    assert caution not in page(found)
    assert "cut by the token limit" not in ladder_screen(results, 80).plain


def test_the_first_screen_says_what_the_design_says(results):
    text = ladder_screen(results, 120).plain
    lines = text.split("\n")
    assert lines[0].startswith("  Don't fine-tune yet.   Use: constrained (schema)")
    assert lines[0].rstrip().endswith("provisional · 250 rows")
    left = " ".join(line.strip() for line in lines[1:3])
    assert "A tuned model (lora) could be at most 7.2 points better (95 % sure)" in left
    assert "It pays above 382,000 requests a month; you have 40,000." in left
    assert "▶ constrained" in text
    assert "not shown better than ▶ : +2 (−2.5 … +7.2)" in text
    assert "skipped: the output is JSON: there is no closed set of labels" in text
    assert "failed: the endpoint refused the key (401)" in text
    assert "To be sure within 5 points: tuneworthy settle, about 71 clicks" in text
    assert text.index("present ") < text.index("constrained  ") < text.index("  lora  ")


@pytest.mark.parametrize(
    ("use", "arm", "said"),
    [
        ("tune", "lora", "Fine-tune."),
        ("distil", "distil", "Distil a teacher."),
        ("keep", "present", "Keep what runs today."),
        ("none", None, "Nothing beats the reference."),
        ("classifier", "tfidf", "Don't fine-tune yet."),
    ],
)
def test_each_verdict_has_its_sentence(results, use, arm, said):
    text = ladder_screen(changed(results, use=use, arm=arm, status="firm"), 80).plain
    assert text.split("\n")[0].strip().startswith(said)


def test_what_is_provisional_claims_less(results):
    text = ladder_screen(changed(results, use="none", arm=None, status="provisional"), 80).plain
    assert text.split("\n")[0].strip().startswith("Nothing is shown to beat the reference.")


def test_a_blocked_verdict_names_the_block_and_no_arm(results):
    blocked = changed(results, status="blocked", use="none", arm=None, left_on_table=None)
    evidence = blocked.evidence.model_copy(update={"blocks": ("6 rows leak into the test",)})
    text = ladder_screen(blocked.model_copy(update={"evidence": evidence}), 80).plain
    assert text.split("\n")[0].startswith("  No verdict.")
    assert "6 rows leak into the test" in text
    assert "▶" not in text


def test_a_limited_run_is_stamped(results):
    evidence = results.evidence.model_copy(update={"limited": True})
    text = ladder_screen(results.model_copy(update={"evidence": evidence}), 80).plain
    assert "NOT A VERDICT" in text
    assert "NOT A VERDICT" not in ladder_screen(results, 80).plain


def test_what_was_not_trained_is_said(results):
    arms = tuple(
        arm.model_copy(update={"score": None, "state": "skipped", "because": Reason.of("no GPU")})
        if arm.name == "lora"
        else arm
        for arm in results.evidence.arms
    )
    evidence = results.evidence.model_copy(update={"arms": arms})
    text = fact_lines.pays_line(results.model_copy(update={"evidence": evidence}))
    assert text == "No tuned model was measured (lora: no GPU)."


def test_one_reason_of_several_skipped_arms_is_told_once(results):
    skipped = {
        "score": None,
        "state": "skipped",
        "because": Reason.of("even a perfect score would not pay"),
    }
    names = ("zero_shot", "nearest_shots", "constrained")
    arms = tuple(arm.model_copy(update=skipped if arm.name in names else {})
                 for arm in results.evidence.arms)  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": arms})
    screen = ladder_screen(results.model_copy(update={"evidence": evidence}), 120).plain
    assert screen.count("even a perfect score would not pay") == 1
    assert screen.count("skipped: for the same reason") == sum(a.name in names for a in arms) - 1


def test_a_missing_number_is_named_not_zero(results):
    bare = changed(results, left_on_table=None, economics={},
                   missing={"/left_on_table": "one arm", "/economics": "no prices"})  # fmt: skip
    assert left_line(bare).endswith("is not measured: one arm.")
    assert fact_lines.pays_line(bare).endswith("is not measured: no prices.")
    empty = results.task.model_copy(update={"economics": Economics()})
    unpriced = {"usd_per_1k": None, "build_usd": None, "upkeep_usd_month": 0.0}
    arms = tuple(arm.model_copy(update=unpriced) for arm in results.evidence.arms)
    evidence = results.evidence.model_copy(update={"arms": arms})
    bare = changed(
        results.model_copy(update={"task": empty, "evidence": evidence}),
        economics={"rival": "lora"}, missing={"/economics/break_even_per_month": "not known: …"},
    )  # fmt: skip
    keys = "machine_hour, hours_to_build, engineer_hour, value_of_correct"
    assert fact_lines.pays_line(bare).endswith(f"lacks {keys}.")


def test_the_named_arm_is_said_in_plain_words_with_its_score(results):
    arm = fact_lines.arm_named(results)
    low, mean, high = (f"{100 * v:.0f}" for v in (arm.score.low, arm.score.mean, arm.score.high))
    said = fact_lines.scored_line(results)
    assert said.startswith(phrases.TOOLS[arm.tool][1])
    assert said.endswith(f": {mean} of 100 points on rows like these (95 % sure: {low} to {high}).")
    assert said.split(":")[0] in " ".join(ladder_screen(results, 120).plain.split())
    assert fact_lines.scored_line(changed(results, status="blocked")) == ""
    assert fact_lines.scored_line(changed(results, arm=None)) == ""


def test_a_next_step_says_its_size(results):
    step = Next(do="label", rows=380, why="the rival is open")
    assert fact_lines.next_line(changed(results, next=step)) == (
        "Next: label, 380 rows: the rival is open"
    )
    step = Next(do="raise budget.minutes", minutes=12, usd=0.0, why="one arm had no room")
    assert fact_lines.next_line(changed(results, next=step)) == (
        "Next: raise budget.minutes, 12 minutes: one arm had no room"
    )
    assert fact_lines.next_line(changed(results, next=Next(do="keep", why=""))) == "Next: keep"


def test_a67_a_limit_with_braces_in_its_name_is_text(results):
    arm = results.evidence.arms[4].model_copy(update={"limits": {"{0.__class__}%n": "met"}})
    assert fact_lines.limit_lines(arm, results) == [("{0.__class__}%n", "met")]


@pytest.mark.parametrize("plain", [False, True])
def test_a64_a65_data_can_forge_no_line_and_no_escape(results, plain):
    bad = attacked(study(n=40), ATTACK)
    for screen, clean in zip(screens(bad, 80, plain), screens(study(n=40), 80, plain), strict=True):
        assert not CONTROL.search(screen.plain)
        assert max(cell_len(line) for line in screen.plain.split("\n")) <= 80
        assert not any(span.style and "link" in str(span.style) for span in screen.spans)
        firsts = [line.split(" ")[0] for line in screen.plain.split("\n")]
        assert "[link=http://evil.example]x[/link]" not in firsts
        assert len(clean.plain) > 0


def test_a64_the_check_can_fail():
    assert CONTROL.search(ATTACK)


def printed(screen, **environment):
    stream = io.StringIO()
    console = Console(file=stream, width=120, _environ=environment, **FORCED)
    console.print(screen, soft_wrap=True)
    return stream.getvalue()


FORCED = {"force_terminal": True, "highlight": False, "markup": False, "color_system": "standard"}


def test_no_color_keeps_the_text_and_drops_the_colours(results):
    screen = ladder_screen(results, 120)
    coloured, bare = printed(screen, TERM="xterm"), printed(screen, TERM="xterm", NO_COLOR="1")
    assert "\x1b[36m" in coloured
    assert not re.search(r"\x1b\[(3\d|4\d|9\d)m", bare)


def test_a_pipe_gets_no_control_character(results):
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    show(ladder_screen(results, 80), stream)
    stream.seek(0)
    text = stream.read()
    assert not CONTROL.search(text)
    assert "▶ constrained" in text


def test_an_ascii_pipe_gets_the_plain_form(results):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    show(ladder_screen(results, 80, plain=True), stream)
    stream.seek(0)
    assert "> constrained" in stream.read()


def test_the_live_view_off_a_terminal_is_a_short_log():
    stream = io.StringIO()
    with Live(stream) as view:
        view.say("plan: 2 arms")
        for done in range(0, 251, 10):
            view.progress("few_shot", done, 250)
        view.now("prompt", "few_shot", 0.14)
        view.now("prompt", "few_shot", 0.14)
        view.now("prompt", "few_shot", 0.11)
        view.now("prompt", "few_shot", 0.09)
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "if you stopped now: PROMPT (few_shot), at most 9 points may be left"
    assert len(lines) == 15
    assert [line for line in lines if "few_shot:" in line][:2] == [
        "few_shot: 0 of 250",
        "few_shot: 30 of 250",
    ]
    assert not CONTROL.search(stream.getvalue())


def test_the_live_view_off_a_terminal_writes_no_line_a_step():
    stream = io.StringIO()
    with Live(stream) as view:
        view.progress("majority", 0, 0)
        view.progress("majority", 1, 0)
        view.progress("lora", 0, 120)
        for step in range(1, 49):
            view.say(f"lora: epoch 1, step {step} of 48: loss {3 / step:.3f}")
        view.say("lora: epoch 1: dev score 0.688")
    assert stream.getvalue().splitlines() == [
        "majority: done",
        "lora: 0 of 120",
        "lora: epoch 1, step 1 of 48: loss 3.000",
        "lora: epoch 1: dev score 0.688",
    ]


def test_the_live_view_shows_what_is_measured_now_and_what_would_be_named():
    view = Live(io.StringIO())
    view.now("prompt", "few_shot", 0.14)
    view.now("schema", "constrained", 0.05)
    named = "if you stopped now: SCHEMA (constrained), at most 5 points may be left"
    assert view.verdict_line() == named
    view.at("lora: fold 1, 80 rows; 40 of 60 minutes left")
    assert "40 of 60 minutes left" in view.screen().plain
    view.progress("a\x1b[2Jb", 3, 10, "note\n")
    assert not CONTROL.search(view.screen().plain)


def test_the_live_view_draws_on_a_terminal():
    stream = io.StringIO()
    view = Live(stream, width=100)
    view._console = Console(file=stream, width=100, **FORCED)
    view._plain = False
    view.progress("few_shot", 125, 250, "fold 3")
    lines = view.screen().plain.split("\n")
    assert lines[0].startswith("  few_shot")
    assert "▪▪▪▪▪▪▪ " in lines[0]
    assert "125 of 250" in lines[0]
    assert lines[-1] == "  if you stopped now: no verdict yet"


def test_a_plan_with_cuts_says_which_minutes_leave_nothing_out(results):
    plan = results.plan.model_copy(update={"cuts": ("left out: lora",), "whole": 46.2})
    said = " ".join(plan_screen(plan).plain.split())
    assert "With budget: {minutes: 47} nothing of this is left out." in said


def test_an_arm_with_a_wide_interval_says_why_in_the_table_and_on_the_page(results):
    why = ("30 points wide, 1.8 times as wide as 160 independent rows would leave it (17 points)",
           "its folds differ by more than their rows explain: .20, .09")  # fmt: skip
    line = f"{why[0]}: {why[1]}"
    assert fact_lines.wide_line(results.evidence.arms[0]) == ""
    assert "intervals are wide" not in page(results)
    arms = tuple(
        arm.model_copy(update={"wide": why}) if arm.name == "lora" else arm
        for arm in results.evidence.arms
    )
    evidence = results.evidence.model_copy(update={"arms": arms})
    wide = results.model_copy(update={"evidence": evidence})
    told = " ".join(table(wide, 80).plain.split())
    assert told.count(f"lora, 95 %: {line}") == 1
    html = page(wide)
    assert f'title="{line}"' in html
    assert f"<dt>lora</dt><dd>{line}</dd>" in html
    alone = arms[-1].model_copy(update={"wide": why[:1]})
    assert fact_lines.wide_line(alone) == why[0]


def test_failed_answers_are_named_beside_a_share_of_valid_ones_and_its_open_limit(results):
    named = results.verdict.arm
    whole = Interval(mean=1.0, low=0.98, high=1.0)
    arms = tuple(
        a.model_copy(update={"errors": 75 if a.name == named else 0, "valid": whole,
                             "missing": {"limits.valid": "75 of 250 answers failed"}})
        for a in results.evidence.arms
    )  # fmt: skip
    lost = results.model_copy(
        update={"evidence": results.evidence.model_copy(update={"arms": arms})}
    )
    told = " ".join(table(lost, 80).plain.split())
    assert told.count("`valid` is the share of the others") == 1
    assert f"{named}: 75 of 250 without an answer" in told
    limits = " ".join(ladder_screen(lost, 80).plain.split())
    assert "75 of 250 answers failed" in limits
