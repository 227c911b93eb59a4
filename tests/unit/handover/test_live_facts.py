"""Facts that moved since the study, by dated documents; the day on which a verdict expires."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tuneworthy.handover import live_answers
from tuneworthy.handover.artefact_folder import expiry_of
from tuneworthy.handover.live_answers import facts_moment, moved_facts
from tuneworthy.records.case import Case, LoggedRequest, Message
from tuneworthy.records.further import Freshness
from tuneworthy.records.interval import Interval
from tuneworthy.records.task import CENTURY
from tuneworthy.rows.docs import Doc

TODAY = "2026-03-01T00:00:00+00:00"
TOPICS = ("leave", "parking", "lunch", "travel", "badge", "laptop")


def docs(moved=2, at="2026-02-01"):
    """Six rules; the first `moved` of them got a new figure at a date."""
    found = []
    for number, topic in enumerate(TOPICS):
        text = f"The limit on {topic} is {10 + number} days."
        ends = at if number < moved else None
        found.append(Doc(id=f"{topic}-1", text=text, **{"from": "2025-01-01", "to": ends}))
        if ends:
            later = f"The limit on {topic} is {50 + number} days."
            found.append(Doc(id=f"{topic}-2", text=later, **{"from": at}))
    return found


def requests(n=60, answer="10 days", time=None):
    return [LoggedRequest(input=f"what is the limit on {TOPICS[i % 6]}?", answer=answer,
                          line=i + 1, time=time) for i in range(n)]  # fmt: skip


def measured(made=docs(), asked=None, since="2026-01-15", today=TODAY):
    return moved_facts(made, requests() if asked is None else asked, since, today, 0.005)


def test_requests_about_moved_facts_are_found_with_their_lines():
    found = measured()
    assert (found.share.k, found.share.n) == (20, 60)
    assert found.share.low < 1 / 3 < found.share.high
    assert found.lines == (1, 2, 7, 8, 13)
    assert (found.old, found.new, found.other) == (10, 0, 10)  # "10 days" is the old rule on leave
    assert (found.stale.k, found.stale.n) == (10, 60)  # of all answers, as `stale_ok` is
    assert measured(asked=requests(answer="50 days")).new == 10


def test_what_moved_before_the_study_or_after_the_request_is_not_counted():
    assert measured(since="2026-02-02").share.k == 0
    assert measured(today="2026-01-20").share.k == 0
    assert measured(asked=requests(time="2026-01-20")).share.k == 0
    assert measured(asked=requests(time="2026-02-20")).share.k == 20
    assert measured(asked=requests(time="2025-06-01")).share.k == 0  # a log from before the study
    assert measured(docs(moved=0)).stale is None


def test_without_dates_documents_or_a_date_of_the_study_it_says_why():
    assert "no documents" in measured([])
    bare = [Doc(id="a", text="The limit on leave is 10 days.")]
    assert "no dates" in measured(bare)
    numbered = [Doc(id="a", text="The limit on leave is 10 days.", **{"from": "3"})]
    assert "no dates" in measured(numbered)
    assert "not known" in measured(since=None)


def test_of_many_requests_a_sample_is_looked_up(monkeypatch):
    monkeypatch.setattr(live_answers, "MOST_REQUESTS", 30)
    found = measured(asked=requests(600))
    assert found.share.n == 30
    assert found.share.low < 1 / 3 < found.share.high


def case(time):
    return Case(
        id=time or "x", messages=(Message(role="user", content="q"),), output="a", time=time
    )


def test_the_facts_stand_for_the_last_dated_row_else_for_the_study():
    assert facts_moment([case("2024-01-02"), case("2024-03-01")], TODAY) == "2024-03-01"
    assert facts_moment([case("2024-01-02"), case(None)], TODAY) == TODAY
    assert facts_moment([case("17")], TODAY) == TODAY
    assert facts_moment([], None) is None


class Arm:
    def __init__(self, expires=None):
        self.expires = expires


STALE = Freshness(days=Interval(mean=120.0, low=90.5, high=200.0))


@pytest.mark.parametrize(("after", "passed"), [(90, False), (91, True)])
def test_a_verdict_expires_after_the_fewest_days(after, passed):
    made = date(2026, 1, 1)
    today = f"{made + timedelta(days=after)}T12:00:00+00:00"
    found = expiry_of(f"{made}T10:00:00+00:00", STALE, Arm(), False, today)
    assert (found.day, found.passed) == ("2026-04-01", passed)
    assert "5 %" in found.because


def test_the_earlier_of_two_ends_counts():
    found = expiry_of("2026-01-01T00:00:00", STALE, Arm("2026-02-01"), False, TODAY)
    assert (found.day, found.passed) == ("2026-02-01", True)
    assert "retired" in found.because
    assert expiry_of("2026-01-01T00:00:00", STALE, Arm("2027-01-01"), False, TODAY).day == (
        "2026-04-01"
    )


def test_no_end_is_none_with_its_reason():
    for staleness, made, reads, why in [
        (STALE, TODAY, True, "looks facts up"),
        (None, TODAY, False, "knowledge.changed_share"),
        (Freshness(because="no document is dated"), TODAY, False, "no document is dated"),
        (STALE, None, False, "date of the study"),
        (
            Freshness(days=Interval(mean=CENTURY, low=CENTURY, high=CENTURY)),
            TODAY,
            False,
            "no fact",
        ),
    ]:
        found = expiry_of(made, staleness, Arm(), reads, TODAY)
        assert (found.day, found.passed) == (None, False)
        assert why in found.because


def test_a_question_asked_again_and_again_is_one_witness():
    apart = [replace(one, input=f"{one.input} {at}") for at, one in enumerate(requests())]
    many, few = measured(asked=apart), measured()
    for found in (many, few):
        assert (found.share.k, found.share.n) == (20, 60)
    assert few.share.low < many.share.low < 1 / 3
    assert few.stale.low < many.stale.low
