"""What every form of a log keeps: its example is read by it alone, and no value crashes it."""

import copy
import json

import pytest

from tuneworthy.records.case import LoggedRequest
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.rows.bad_rows import BadRow

NAMES = sorted(catalogue("logs"))
JUNK = (None, True, -1, 1e300, "", "x", "[", '{"a": 1}', [], [1], [[]], {}, {"a": {}}, "\ud800",
        "9" * 40)  # fmt: skip


@pytest.fixture(params=NAMES)
def form(request):
    return load("logs", request.param)


def places(value, path=()):
    """Yield the path of every value inside a line."""
    yield path
    listed = enumerate(value) if isinstance(value, list) else ()
    for key, inner in value.items() if isinstance(value, dict) else listed:
        yield from places(inner, (*path, key))


def planted(value, path, junk):
    """Return a copy with `junk` at a path."""
    made = copy.deepcopy(value)
    target = made
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    return made


def test_there_are_forms():
    assert {"served", "spans", "otlp"} <= set(NAMES)


def test_its_example_is_its_own_and_says_what_all_examples_say(form):
    assert [name for name in NAMES if load("logs", name).reads(form.EXAMPLE)] == [
        form.__name__.rpartition(".")[2]
    ]
    (request,) = form.requests(json.loads(json.dumps(form.EXAMPLE)))
    assert (request.input, request.answer) == ("How long is exam leave?", "11 days")
    assert (request.model, request.tokens_in) == ("tune-1f0c", 31)
    assert request.time.startswith("2026-01-31T08:00:00")
    assert request.seconds == pytest.approx(0.2)
    assert not request.failed


def test_no_value_crashes_it(form):
    """Any value anywhere gives requests, None or BadRow; every request has its types."""
    seen = refused = 0
    for path in places(form.EXAMPLE):
        for junk in JUNK if path else ():
            line = planted(form.EXAMPLE, path, copy.deepcopy(junk))
            before = json.dumps(line)
            if not form.reads(line):
                continue
            seen += 1
            try:
                found = list(form.requests(line))
            except BadRow:
                refused += 1
                continue
            assert json.dumps(line) == before
            for request in found:
                assert request is None or isinstance(request, LoggedRequest)
                assert request is None or all(
                    isinstance(getattr(request, name), str | None)
                    for name in ("input", "answer", "output", "time", "model", "finish", "group")
                )
                assert request is None or isinstance(request.span, str)
    assert seen > 50
    assert refused > 0  # some values are refused, so the check above is not about nothing
