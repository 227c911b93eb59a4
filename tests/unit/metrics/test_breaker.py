"""D4, a metric that loops: one call without a score, or a metric that is called broken."""

import pytest
from tests.in_time import ends_within

from tuneworthy.metrics import _user
from tuneworthy.metrics._user import MOST_IN_ROW, MOST_TIMEOUTS, CircuitBreaker, MetricBroken
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.sandbox.child import ChildFailed, TimedOut

LOOPS = "def score(case, answer):\n    while answer.startswith('loop'): pass\n    return 1\n"


def case(name="c"):
    return Case(id=name, messages=(Message(role="user", content="q"),), output="x")


def said(text):
    return Answer(case="c", text=text, finish="stop")


@pytest.fixture
def own(tmp_path):
    (tmp_path / "score.py").write_text(LOOPS)
    return _user.load_user_metric("./score.py:score", tmp_path, seconds=1.0)


def test_d4_a_metric_that_loops_again_and_again_is_called_broken(own):
    with ends_within(10):
        for n in range(MOST_IN_ROW - 1):
            assert isinstance(own(case(), said(f"loop {n}")), Unscored)
        with pytest.raises(TaskError) as caught:
            own(case("r9"), said("loop on"))
    error = caught.value
    assert error.what == "the metric does not come to an end"
    assert "score.py: score" in error.where
    assert error.got.startswith("3 calls in a row: each ran longer than 1 s")
    assert "case r9" in error.got
    assert "None where it can't say" in error.fix
    assert "every answer so far" in error.kept


def test_d4_a_metric_that_loops_on_one_row_goes_on_and_waits_for_it_once(own):
    with ends_within(10):
        for _ in range(20):  # an arm after another gives that answer
            assert "longer than 1 s" in own(case(), said("loop")).reason
            assert own(case(), said("fine")) == Score(value=1, why="./score.py:score gave 1")


def late():
    raise TimedOut("ran longer than 1 s and was stopped")


def test_d4_every_second_call_that_loops_is_too_often():
    breaker = CircuitBreaker()
    for n in range(MOST_TIMEOUTS - 1):
        assert breaker.call((f"fine {n}",), lambda: "made") == "made"
        with pytest.raises(TimedOut):
            breaker.call((f"late {n}",), late)
    breaker.call(("fine",), lambda: "made")
    with pytest.raises(MetricBroken, match=f"{MOST_TIMEOUTS} of {2 * MOST_TIMEOUTS} calls"):
        breaker.call(("late",), late)


def test_d4_one_call_in_twenty_that_loops_is_not():
    breaker = CircuitBreaker()
    for n in range(400):
        if n % 20 == 0:
            with pytest.raises(TimedOut):
                breaker.call((f"late {n}",), late)
        breaker.call((f"fine {n}",), lambda: 1)


def test_a_crash_is_no_call_that_loops():
    breaker = CircuitBreaker()

    def crash():
        raise ChildFailed("NameError")

    for n in range(2 * MOST_IN_ROW):
        with pytest.raises(ChildFailed, match="NameError"):
            breaker.call((str(n),), crash)
