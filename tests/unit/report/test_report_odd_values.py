"""The page of studies with odd ids and graded scores: its links work, no count is made up."""

import html
import re
from urllib.parse import parse_qs

import pytest
from study_fixture import study

from tuneworthy.records.answer import Score
from tuneworthy.records.case import LabelDoubt
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.evidence import Interval
from tuneworthy.report.html import page


@pytest.mark.parametrize("case", ["Q&A-12", "C++ 3", "50%25", "a#b=c", '<i>"x"</i>', "\u202eab\n"])
def test_a_link_to_a_case_is_read_back_as_its_id(case):
    """The script decodes the address as form data, so an unescaped `&` ends the id."""
    doubt = LabelDoubt(case=case, ground="conflict", why="x")
    seen = Diagnosis(arm="present", n_fail=3, n_pass=9, doubts=(doubt,))
    results = study(12)
    evidence = results.evidence.model_copy(update={"diagnosis": seen})
    shown = page(results.model_copy(update={"evidence": evidence}))
    links = [html.unescape(one) for one in re.findall(r'href="#(case=[^"]*)"', shown)]
    assert [parse_qs(one, keep_blank_values=True) for one in links] == [{"case": [case]}]


@pytest.mark.parametrize(("values", "whole"), [((0.75, 0.5), False), ((1.0, 0.0), True)])
def test_partly_right_answers_are_not_counted_as_right_ones(values, whole):
    results = study(50)
    named = results.verdict.arm
    given = [values[0]] * 48 + [values[1]] * 2
    scores = dict(zip((case.id for case in results.cases), given, strict=True))
    runs = [
        run if run.spec.name != named else run.model_copy(
            update={"scores": tuple(Score(value=scores[a.case], why="") for a in run.answers)}
        )
        for run in results.runs
    ]  # fmt: skip
    mean = Interval(mean=sum(given) / 50, low=0.6, high=0.98)
    arms = [arm if arm.name != named else arm.model_copy(update={"score": mean})
            for arm in results.evidence.arms]  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": tuple(arms)})
    text = page(results.model_copy(update={"runs": tuple(runs), "evidence": evidence}))
    assert ("of 50 is not" in text) == whole
    assert ("A mean of .74 over 50 cases" in text) == (not whole)
