"""The page of findings: each number is one of the shipped data, each sentence follows from it."""

import html
import re
from dataclasses import replace

import pytest
from bench.atlas import findings as made
from bench.atlas.atlas_data import read_atlas

from tuneworthy.lab.claim_results import claim_results, findings_page, number_text
from tuneworthy.lab.pages import Site
from tuneworthy.records.counting import points
from tuneworthy.records.interval import Interval
from tuneworthy.report.atlas_file import read_atlas as read_package

FILE = Site(live=False)


@pytest.fixture(scope="module")
def measured():
    return made.measured_figures(read_atlas(None), claim_results())


def with_arm(measured, key, name, **changed):
    card = measured.cards[key]
    arms = tuple(a.model_copy(update=changed) if a.name == name else a for a in card.arms)
    return replace(measured, cards={**measured.cards, key: card.model_copy(update={"arms": arms})})


def test_five_findings_ship(measured):
    assert len(made.findings(measured)) == made.MOST_FINDINGS == 5


def test_each_bar_is_a_figure_of_the_data(measured):
    """The test reads the figures of a finding's evidence independently of the page's code."""
    for finding in made.findings(measured):
        if finding.claim:
            told = next(each for each in claim_results() if each.number == finding.claim)
            known = {(f.mean, f.low, f.high) for f in told.figures}
        else:
            card = measured.cards[finding.entry]
            shown = [span for a in card.arms for span in (a.score, a.behind) if span]
            known = {(span.mean, span.low, span.high) for span in shown}
        for row in finding.rows:
            if row.bounds is None:
                assert row.mean == card.reading
            else:
                assert (row.mean, row.bounds.low, row.bounds.high) in known
                assert row.mean == row.bounds.mean


def test_the_page_shows_each_number_and_links_its_evidence(measured):
    page = html.unescape(findings_page(FILE))
    assert list(read_package().findings) == made.findings(measured)
    for finding in made.findings(measured):
        assert finding.headline in page
        assert finding.measured_on in page
        for row in finding.rows:
            bounds = (
                row.bounds and f"{number_text(row.bounds.low)} to {number_text(row.bounds.high)}"
            )
            shown = f'<b>{number_text(row.mean)}</b> <span class="soft">{bounds or "bounds not"}'
            assert shown in page
        assert (f"atlas-{finding.entry}.html" if finding.entry else f"#e{finding.claim}") in page
    assert "135M" in page
    assert not re.search(r"<[^>]*\s(style|on\w+)=", page)


def test_a_lead_is_told_with_its_bound(measured):
    finding = made.voice_finding(measured)
    gap = next(a for a in measured.cards[made.VOICE_KEY].arms if a.name == "lora").behind
    told = "by {:.0f} points ({:.0f} to {:.0f})"
    assert told.format(100 * gap.mean, 100 * gap.low, 100 * gap.high) in finding.means


def test_a_sentence_that_the_figures_do_not_bear_out_is_not_told(measured):
    apart = Interval(mean=0.2, low=-0.1, high=0.3)
    sure = Interval(mean=0.2, low=0.1, high=0.3)
    for name in ("rag", "lora"):
        close = with_arm(measured, made.RULES_KEY, name, behind=apart)
        assert made.together_finding(close) is None
    assert (
        made.word_counts_finding(with_arm(measured, made.BANK_KEY, "constrained", behind=apart))
        is None
    )
    assert made.voice_finding(with_arm(measured, made.VOICE_KEY, "lora", behind=apart)) is None
    assert (
        made.nothing_works_finding(with_arm(measured, made.SUMS_KEY, "majority", score=None))
        is None
    )
    assert (
        made.word_counts_finding(with_arm(measured, made.BANK_KEY, "few_shot", behind=apart))
        is None
    )  # a prompt that no bar shows
    assert (
        made.word_counts_finding(with_arm(measured, made.BANK_KEY, "tfidf", behind=sure)) is None
    )  # another arm is the best
    told = measured.claims["weak_evaluations"]
    wide = tuple(f.model_copy(update={"low": 0.4}) for f in told.figures)
    unsure = {"weak_evaluations": told.model_copy(update={"figures": wide})}
    assert made.few_rows_finding(replace(measured, claims=unsure)) is None


def test_a_task_that_is_open_is_not_told_as_one_that_nothing_wins(measured):
    """On the sums the token limit cut answers, so the verdict is open."""
    card = measured.cards[made.SUMS_KEY]
    assert card.status == "provisional"
    told = made.nothing_works_finding(measured)
    assert told.headline.startswith("On word sums nothing is shown to beat")
    assert f"by at most {points(card.left)}" in told.means
    firm = {made.SUMS_KEY: card.model_copy(update={"status": "firm", "left": 0.01})}
    told = made.nothing_works_finding(replace(measured, cards=firm))
    assert told.headline.startswith("On word sums nothing beats")


def test_without_data_the_page_tells_nothing():
    assert made.findings(made.MeasuredFigures()) == []


def test_a_lead_that_the_scores_leave_open_is_shown_by_its_own_bars(measured):
    told = made.word_counts_finding(measured)
    leads = [bar for bar in told.rows if bar.strong]
    assert len(leads) == 2
    assert all(bar.bounds.low > 0 for bar in leads)
