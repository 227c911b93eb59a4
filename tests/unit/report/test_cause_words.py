"""What was wrong, in words and on the page: counts and shares of all classes add up."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_fixture import study

from tuneworthy.records.causes import Diagnosis, UntriedRemedy, Wrong
from tuneworthy.records.reason import NO_ROOM, Reason, Why
from tuneworthy.report.cause_lines import (
    expected_line,
    whole_percents,
    why_untried,
    wrong_line,
    wrong_lines,
)
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.report.view import _untrained_caution


@pytest.fixture(scope="module")
def results():
    return study()


def row(cause, count, n=60, arm=None, placebo=None):
    share = count / n
    return Wrong(cause=cause, share=share, low=share / 2, high=(1 + share) / 2, n=n, arm=arm,
                 placebo=placebo)  # fmt: skip


FORMAT = row("format", 30, arm="constrained", placebo="a random legal answer")
PILOT = UntriedRemedy(name="lora pilot", remedy="learnable", n=16, tried=12)


def read(results, rows, **more):
    """Return the study with this reading; `status` is the verdict's."""
    status = more.pop("status", "firm")
    fields = {"arm": "zero_shot", "n_fail": 60, "n_pass": 40, "wrong": tuple(rows)} | more
    evidence = results.evidence.model_copy(update={"diagnosis": Diagnosis(**fields)})
    verdict = results.verdict.model_copy(update={"wrong": tuple(rows), "status": status})
    return results.model_copy(update={"evidence": evidence, "verdict": verdict})


def test_the_first_screen_counts_every_failure(results):
    rows = [FORMAT, row("hard", 8), row("learnable", 4), row("chance", 2), row("untried", 16)]
    told = read(results, rows, untried=(PILOT,))
    said = wrong_lines(told)
    assert said == (
        "zero_shot fails 60 of 100. 30 of 60 failures (50 %, on other rows 25 to 75 %) were the"
        " format: constrained rescues them, a random legal answer does not. 8 of 60 failures"
        " (13 %, on other rows 7 to 57 %) are hard for this model: no remedy tried on it is shown"
        " to rescue them. The other 22: learnable 4 (7 %), may be chance 2 (3 %), not tried 16"
        " (27 %): lora pilot was tried beside its placebo on 12 of 60 failures."
    )
    assert sum(map(int, re.findall(r"\((\d+) %", said))) == 100
    shown = " ".join(ladder_screen(told, 80).plain.split())
    assert said in shown
    assert "other causes, or none" not in shown + page(told)


def test_few_failures_and_few_tried_are_said_before_any_share(results):
    few = Wrong(cause="few", share=1, low=1, high=1, n=20, arm=None, placebo=None)
    said = wrong_lines(read(results, [few, FORMAT, row("hard", 30)], few=True))
    start = "zero_shot fails 60 of 100. 20 failures read: too few to say for certain; the likeliest"
    assert said.startswith(f"{start} causes follow. 30 of 60")
    alone = read(results, [few], few=True)
    assert wrong_lines(alone) == (
        "zero_shot fails 60 of 100. 20 failures read: too few to say for certain."
    )
    left_out = UntriedRemedy(name="lora", remedy="learnable", n=40, because=str(NO_ROOM))
    open_ = read(results, [row("format", 20), row("untried", 40)], untried=(left_out,))
    why = f"lora was not tried ({NO_ROOM})"
    said = wrong_lines(open_)
    assert said.startswith(
        f"zero_shot fails 60 of 100. Only 20 of 60 failures were tried far enough to have a cause:"
        f" {why}. 20 of 60"
    )
    assert said.endswith("The other 40: not tried 40 (67 %).")
    assert said.count("budget.minutes") == 1
    html = page(open_)
    section = html[html.index('<section id="wrong">') :]
    assert section.index("Only 20 of 60 failures") < section.index('class="causes"')
    html = page(read(results, [few, FORMAT, row("hard", 30)], few=True))
    section = html[html.index('<section id="wrong">') :]
    assert section.index("too few to say for certain") < section.index('class="causes"')


def test_the_page_shows_every_class_and_shares_that_add_up_to_100(results):
    rows = [row("format", 20), row("hard", 20), row("chance", 4), row("untried", 16)]
    html = page(read(results, rows, untried=(PILOT,), cause={"a": "untried"}))
    table = html[html.index("causes-of") :]
    table = table[: table.index("</table>")]
    shares = [int(share) for share in re.findall(r"<b>(\d+) %</b>", table)]
    assert (len(shares), sum(shares)) == (4, 100)
    assert ["may be chance" in table, "not tried" in table] == [True, True]
    assert "16 of 60 failures (27 %) were not tried far enough to have a cause: lora" in table
    assert table.count(" to ") >= 3, "an interval for every class but the untried"
    bar = html[html.index('<p class="causes">') :]
    assert bar[: bar.index("</p>")].count("<rect") == 4


def test_where_causes_could_not_be_read_the_reason_stands_there(results):
    why = "the causes are not known: why"
    assert wrong_lines(results.model_copy(update={"verdict": nothing(results)})) == ""
    silent = read(results, [], because=why)
    assert wrong_lines(silent) == "zero_shot fails 60 of 100. The causes are not known: why."
    assert "The causes are not known: why." in page(silent)
    part = read(results, [FORMAT, row("untried", 30)], because=why)
    assert wrong_lines(part).endswith(
        "Only 30 of 60 failures were tried far enough to have a cause. 30 of 60 failures (50 %, on"
        " other rows 25 to 75 %) were the format: constrained rescues them, a random legal answer"
        " does not. The other 30: not tried 30 (50 %). The causes are not known: why."
    )
    stopped = read(results, [FORMAT], status="blocked")
    assert wrong_lines(stopped) == ""
    assert "(50 %" in page(read(results, [FORMAT]))
    assert "(50 %" not in page(stopped)
    assert "The study is blocked: what was wrong is not said" in page(stopped)
    assert wrong_lines(read(results, [], n_fail=0)) == ""


def nothing(results):
    return results.verdict.model_copy(update={"wrong": ()})


def test_a_study_without_a_reading_and_one_of_an_older_version_claim_no_more(results):
    bare = results.model_copy(
        update={"verdict": results.verdict.model_copy(update={"wrong": (FORMAT,)})}
    )
    assert wrong_lines(bare).startswith("30 of 60 failures (50 %")
    older = read(results, [FORMAT])
    assert wrong_lines(older).endswith("Of the other 30 no class was recorded.")


def test_the_reasons_of_untried_failures_are_counted():
    def waits(*names, **more):
        some = tuple(UntriedRemedy(name=n, remedy="learnable", n=9, **more) for n in names)
        return Diagnosis(arm="a", n_fail=60, n_pass=40, untried=some)

    assert why_untried(None) == why_untried(waits()) == ""
    assert why_untried(waits("lora")) == "lora was not tried on a failure"
    said = why_untried(waits("lora", "rag", "vote", "gepa", tried=12, passed=3))
    line = "{} was tried beside its placebo on 12 of 60 failures and passes 3 of the others"
    assert said == f"{line.format('lora')}; {line.format('rag')}; 2 more remedies"
    assert why_untried(waits("a", "b", "c", because="x")).endswith("(x); 1 more remedy")
    assert wrong_line(row("chance", 3)).endswith("placebo too: that may be chance.")
    assert wrong_line(row("untried", 15)) == (
        "15 of 60 failures (25 %) were not tried far enough to have a cause."
    )
    assert wrong_line(row("odd", 15)).endswith("were odd.")


def test_what_is_expected_of_all_failures_is_said_where_it_is_more_than_was_found(results):
    rows = [row("reading", 20), row("learnable", 4), row("untried", 36)]
    seen = {"untried": (PILOT,), "estimates": (row("reading", 48), row("learnable", 4))}
    told = read(results, rows, **seen)
    line = "If those not tried are like those tried, of all failures about 80 % reading (40 to 90)."
    assert wrong_lines(told).endswith(line)
    assert line in page(told)
    assert expected_line(None) == expected_line(Diagnosis(arm="a", n_fail=1, n_pass=0)) == ""


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_shares_in_whole_per_cent_add_up_to_100_and_none_is_off_by_one(counts):
    n = sum(counts)
    rows = [row(f"cause {at}", count, n) for at, count in enumerate(counts)]
    found = whole_percents(rows)
    assert sum(found.values()) == 100
    assert all(abs(found[one.cause] - 100 * one.share) < 1 for one in rows)


@pytest.mark.parametrize(
    ("because", "told"),
    [(NO_ROOM, "run --more 7m."), (Reason(why=Why.STOPPED), "stopped before one: tuneworthy run.")],
)
def test_a_training_that_did_not_run_says_how_it_can(because, told):
    arm = SimpleNamespace(name="lora", tool="tune", present=False, score=None, because=because,
                          left_out_for_time=True)  # fmt: skip
    planned = SimpleNamespace(spec=arm, first_minutes=6.2)
    study = SimpleNamespace(evidence=SimpleNamespace(arms=[arm]),
                            plan=SimpleNamespace(arms=[planned]))  # fmt: skip
    (said,) = _untrained_caution(study)
    assert said.endswith(told)
