"""D10: reading a text takes time in proportion to its length, whatever stands in it."""

import pytest
from tests.in_time import ends_within

from tuneworthy.arms.retrieval.chunks import split_text
from tuneworthy.metrics._code import parse_python
from tuneworthy.metrics._numbers import numbers
from tuneworthy.metrics._outline import sections
from tuneworthy.metrics._writing import normal_form, normal_number
from tuneworthy.records.redaction import has_key
from tuneworthy.rows.answer_form import headings
from tuneworthy.rows.observations import private_kinds

SIZE = 100_000
SPACES = " " * SIZE


def code(text):
    try:
        return parse_python(text)
    except ValueError:
        return None


TEXTS = [
    (normal_form, "? " * (SIZE // 2)),
    (normal_form, "! \u00a0" * (SIZE // 3)),
    (normal_form, "1 jan" + "½" * SIZE),
    (normal_number, "0." * (SIZE // 2)),
    (code, f"```{SPACES}x"),
    (code, "``` " * (SIZE // 4)),
    (sections, "0" * SIZE + ":"),
    (sections, "i" * SIZE + ":"),
    (sections, f"# a{SPACES}b"),
    (sections, "1." * (SIZE // 2) + "x:"),
    (headings, f"# a{SPACES}b"),
    (headings, "#" + "\n" * SIZE + "#"),
    (numbers, "1," * (SIZE // 2)),
    (numbers, "1'" * (SIZE // 2)),
    (split_text, f"a{SPACES}b"),
    (split_text, f"a{SPACES}\n{SPACES}b"),
    (has_key, "-eyJ" * (SIZE // 4)),
    (private_kinds, "+1(" * (SIZE // 3)),
    (private_kinds, "a@" * (SIZE // 2)),
]


@pytest.mark.parametrize(("read", "text"), TEXTS, ids=range(len(TEXTS)))
def test_d10_a_hostile_text_is_read_in_time(read, text):
    with ends_within(3):
        read(text)


def test_what_is_read_has_not_changed():
    assert normal_form("km / h,  12 /5 and a  / b") == "km/h 12/5 and a/b"
    assert [s.title for s in sections("# 1.2 First #\nx\n## II. Second\n**3) Third**:\n")] == [
        "first", "second", "third",
    ]  # fmt: skip
    assert [s.title for s in sections("1..5 Late:\nxi. Eleven:\n")] == ["1..late", "eleven"]
    assert headings("# One ##\ntext\n### Two words\n#three\n") == ["One", "Two words"]
    assert split_text(
        "One.\n\nTwo  \n \n three. four\n",
    ) == ["One.\n\nTwo  \n \n three. four"]
    assert code("``` python \nx = 1\n```") is not None
    assert has_key("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N")
