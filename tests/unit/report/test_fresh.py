"""The section on facts says what is known, and why where it is not."""

from types import SimpleNamespace

from tuneworthy.records.further import Freshness, KnowledgeProbe, Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.task import CENTURY
from tuneworthy.report.page_parts import Span
from tuneworthy.report.steadiness_sections import freshness_section


def shown(staleness=None, known=None):
    evidence = SimpleNamespace(staleness=staleness, known=known)
    return freshness_section(SimpleNamespace(evidence=evidence))


def sentences(staleness, known=None):
    shown_texts = [getattr(part, "shown", None) for part in shown(staleness, known).parts]
    return [text for text in shown_texts if isinstance(text, str)]


COUNTED = Freshness(
    changed=Proportion(k=10, n=40, share=0.25, low=0.12, high=0.41),
    over_days=731.0,
    days=Interval(mean=130.3, low=71.0, high=293.2),
    faithful={"rag": Proportion(k=24, n=60, share=0.4, low=0.276, high=0.535)},
    stale={"lora": Proportion(k=60, n=60, share=1, low=0.94, high=1)},
    unsupported=tuple(f"r{i}" for i in range(20)),
)


def test_nothing_known_is_no_section():
    nothing = Freshness(because="no document is dated")
    assert shown() is None
    assert shown(nothing, KnowledgeProbe(because="there is no model to ask")) is None


def test_counted_change_with_its_interval_arms_and_rows():
    change, unsupported, table, ids = shown(COUNTED).parts
    assert "Of 40 dated documents 10 were replaced within 731 days" in change.shown
    assert "below 5% of old answers for 130 days (71 days to 293 days)" in change.shown
    assert table.rows == [
        ("lora", "not asked", "60 of 60 (94 % to 100 %)"),
        ("rag", "24 of 60 (28 % to 54 %)", "not asked"),
    ]
    assert "20 right answers" in unsupported.shown
    assert [one.text for one in ids.shown if isinstance(one, Span)] == [f"r{i}" for i in range(12)]


def test_without_an_end_and_without_a_number_it_says_so():
    endless = Interval(mean=CENTURY, low=400.0, high=CENTURY)
    line = sentences(COUNTED.model_copy(update={"days": endless}))[0]
    assert "400 days to a century or more" in line
    unknown = sentences(
        COUNTED.model_copy(update={"days": None, "because": "no document is dated"})
    )
    assert unknown[0] == "How fast the facts change is not known: no document is dated."
    known = sentences(COUNTED, KnowledgeProbe(because="there is no model to ask"))[-1]
    assert known == "What the model knows of the answers was not asked: there is no model to ask."
