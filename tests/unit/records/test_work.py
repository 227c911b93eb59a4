"""What an arm declares of its cost: requests, and the tokens that follow from them."""

from tuneworthy.records.arm import Asks, Work


def test_tokens_follow_from_the_requests():
    cases = Asks(requests=10, shared=50, own=20, prefixes=2)
    drawn = Asks(role="tune", requests=6, own=10, repeats=3, written=4)
    taught = Asks(role="teacher", requests=4, most=9, shared=5, own=5, few=True)
    work = Work(asks=(cases, drawn, taught), answer=7, encoded=1)
    assert (work.requests, work.read, work.written) == (16, 1 + 2 * 50 + 200 + 2 * 10, 70 + 24)
    assert (work.taught_read, work.taught_written) == (5 + 20, 28)
    assert (cases.read, cases.at_most, taught.at_most) == (70, 10, 9)


def test_nothing_asked_reads_no_shared_prompt():
    assert Work(asks=(Asks(requests=0, shared=50, own=20),), answer=7).read == 0
    whole = Work.total(requests=4, read=100, written=40)
    assert (whole.requests, whole.read, whole.written) == (4, 100, 40)
    assert Work.total(requests=0, read=0, written=0).read == 0
