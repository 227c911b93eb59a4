"""The questions on the page and the screen: the checklist of five first, each with its bound."""

import re

from study_fixture import study

from tuneworthy.explain.questions import CHECKLIST, ORDER, evaluation, harm, prompt_exhausted
from tuneworthy.records.verdict import Finding
from tuneworthy.report.fact_lines import checklist_summary
from tuneworthy.report.html import page
from tuneworthy.report.page_parts import Span, Table
from tuneworthy.report.row_sections import questions_section
from tuneworthy.report.terminal import ladder_screen

GAIN = {"value": 0.08, "low": 0.021, "high": 0.14}


def told(**answers):
    """Return the drawn study with these answers; the other questions are not measured."""
    results = study(60)
    found = tuple(
        Finding(name=name, answer=answers.get(name, "not_measured"), because=f"because of {name}",
                next=f"next after {name}", prior="a prior" if name == "prompt_exhausted" else None,
                **(GAIN if answers.get(name) == "no" else {}))
        for name in reversed(ORDER)
    )  # fmt: skip
    own = Finding(name="own_question", answer="yes", because="of <b>us</b>", value=0.25)
    verdict = results.verdict.model_copy(update={"questions": (*found, own)})
    return results.model_copy(update={"verdict": verdict})


def test_the_checklist_stands_apart_and_a_no_says_why_tuning_is_wrong():
    results = told(prompt_exhausted="no", evaluation="yes", harm="no")
    five, others = [part for part in questions_section(results).parts if isinstance(part, Table)]
    assert len(five.rows) == len(CHECKLIST)
    assert others.rows[-1][0] == "own question"
    rows = {row[0]: row for row in (*five.rows, *others.rows)}
    no = rows[prompt_exhausted.QUESTION]
    assert (no[1].shown, no[1].css, no[2]) == ("no", "answer-no", "8 points (2.1 to 14)")
    assert no[3].text == "prior: a prior"
    assert [span.text for span in no[4] if isinstance(span, Span)] == [
        prompt_exhausted.WRONG,
        "Because of prompt_exhausted.",
        "Next: next after prompt_exhausted.",
    ]
    yes, harmless = rows[evaluation.QUESTION], rows[harm.QUESTION]
    assert len(yes[4]) == len(harmless[4]) == 3, "no wrong"
    assert yes[1].css == "answer-yes"
    assert harmless[1].css == "answer-yes", "no harm speaks for tuning"


def test_the_page_shows_both_tables_and_escapes_them():
    text = page(told(prompt_exhausted="no"))
    part = re.search(r'<section id="questions">.*?</section>', text, re.S)[0]
    assert part.index("The five-question checklist") < part.index("Four more")
    assert part.count("<tr>") == 2 + len(ORDER) + 1
    for said in (prompt_exhausted.WRONG, "8 points (2.1 to 14)", "a prior", "not measured"):
        assert said in part
    assert "Of &lt;b&gt;us&lt;/b&gt;" in part
    assert "<b>us" not in part
    clean = page(told(prompt_exhausted="yes"))
    assert prompt_exhausted.WRONG not in clean


def test_the_first_screen_counts_the_checklist_where_any_was_answered():
    results = told(prompt_exhausted="no", evaluation="yes")
    assert checklist_summary(results.verdict) == (
        "1 yes (evaluation), 1 no (prompts exhausted), 3 not measured (enough data, behaviour"
        " rather than facts, stable knowledge)"
    )
    said = "  Five questions before tuning: 1 yes (evaluation), 1 no (prompts exhausted)"
    assert said in ladder_screen(results, 120).plain
    silent = told(harm="no")
    assert checklist_summary(silent.verdict) == ""
    assert "Five questions" not in ladder_screen(silent, 80).plain
