"""Answer an article's five questions from what an adviser gets: True, False or None.

None: not visible in the instruction, ten rows, the number of rows and the base's score. Source of
the questions: https://github.com/SidharthKriplani/genai-systems-lab (paraphrased).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bench.atlas.advice_input import AdviceInput

GOOD_EXAMPLES = 500  # the article's number of good examples
HALF = 0.5
_WORD = re.compile(r"\w+")
_TIME_WORDS = re.compile(
    r"\b(today|now|current(ly)?|latest|recent(ly)?|as of|this (week|month|year)|20[0-9]{2})\b", re.I
)
SEES = (
    "rows against 500 and contradictions among the ten; whether a metric is named; whether answers"
    " are labels, JSON or taken from the input; words of time in the instruction and the ten inputs"
)


def enough_data(shown: AdviceInput) -> bool | None:
    """Return whether there are 500 rows and none of the ten contradicts another."""
    answers: dict[str, set[str]] = {}
    for row in shown.rows:
        answers.setdefault(row.input.strip(), set()).add(row.output.strip())
    return shown.n >= GOOD_EXAMPLES and all(len(each) == 1 for each in answers.values())


def evaluation(shown: AdviceInput) -> bool | None:
    """Return whether success is measured: the task has a metric."""
    return bool(shown.metric)


def prompt_exhausted(shown: AdviceInput) -> bool | None:  # noqa: ARG001
    """Return None: which prompts were tried is not visible."""
    return None


def behaviour_not_facts(shown: AdviceInput) -> bool | None:
    """Return whether the answers are labels, JSON or taken from the input; None without rows.

    They are taken from the input if at least half of their words are in the instruction or in the
    row's own input.
    """
    if shown.output_type in ("label", "json"):
        return True
    if not shown.rows:
        return None
    known = set(_words(shown.instruction))
    pairs = [(_words(row.output), known | set(_words(row.input))) for row in shown.rows]
    total = sum(len(words) for words, _ in pairs)
    found = sum(word in around for words, around in pairs for word in words)
    return found >= HALF * total if total else None


def knowledge_still(shown: AdviceInput) -> bool | None:
    """Return False if most texts mention dates or times, else None: rows do not show change."""
    texts = [shown.instruction, *(row.input for row in shown.rows)]
    dated = sum(bool(_TIME_WORDS.search(text)) for text in texts)
    return False if dated > HALF * len(texts) else None


QUESTIONS: tuple[tuple[Callable[[AdviceInput], bool | None], str], ...] = (
    (enough_data, "prompt"),
    (evaluation, "prompt"),
    (prompt_exhausted, "prompt"),
    (behaviour_not_facts, "context"),
    (knowledge_still, "context"),
)
"""Each question, and the tool that the article recommends instead of tuning if it is a no."""


def tool_by_questions(shown: AdviceInput, unseen: bool) -> str:
    """Return the tool of the first question answered no; `tune` if there is none.

    `unseen` counts as the answer to a question that can't be answered from the input.
    """
    for question, instead in QUESTIONS:
        answer = question(shown)
        if not (unseen if answer is None else answer):
            return instead
    return "tune"


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
