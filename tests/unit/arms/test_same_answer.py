"""When two answers say the same."""

import pytest

from tuneworthy.arms.prompt.lenient import normal_form


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("json", '{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}'),
        ("number", "so 3 + 4 = 7", "7.0"),
        ("number", "1,000", "1000"),
        ("label", " Refund\n", "refund"),
        ("text", "In  the\nend", "in the end"),
        ("json", "{Broken", " {broken "),
        ("json", '{"a": NaN}', '{"a":  nan}'),
        (None, "A", "a"),
    ],
)
def test_the_same_in_another_form(kind, one, other):
    assert normal_form(one, kind) == normal_form(other, kind)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("json", '{"a": 1}', '{"a": "1"}'),
        ("json", '{"a": "X"}', '{"a": "x"}'),
        ("json", "[1, 2]", "[2, 1]"),
        ("number", "7", "70"),
        ("label", "refund", "refunds"),
        ("text", "in the end", "in end the"),
    ],
)
def test_what_differs_stays_apart(kind, one, other):
    assert normal_form(one, kind) != normal_form(other, kind)
