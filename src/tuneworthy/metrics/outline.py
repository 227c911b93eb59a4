"""Share of layout checks met: required sections filled, in order, no others, right length.

The outline is that of the row's right answer, or is given in `success.options`: `sections` (the
headings in order), `least_words`, `most_words`. Without limits an answer may have half to twice
the words of the right one. A layout says nothing about truth: join it with another metric.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field
from rapidfuzz.distance import LCSseq

from tuneworthy.metrics._outline import sections, title_of
from tuneworthy.metrics._scorer import read_options
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted
from tuneworthy.records.record import Record

TYPE = "text"


class Options(Record):
    """Required headings in order, least and most words; None: as in the right answer."""

    sections: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    least_words: Annotated[int, Field(ge=0)] | None = None
    most_words: Annotated[int, Field(ge=1)] | None = None


def score(case: Case, answer: Answer, options: dict[str, Any]) -> Score | Unscored:
    """Return the share of checks met: each section filled, each in order, no extra one, length."""
    chosen = read_options(Options, options)
    best: Score | None = None
    for right in (case.output, *case.accepted):
        wanted = _required_headings(right, chosen)
        found = _score_layout(right, wanted, answer.text, chosen) if wanted else None
        if found and (best is None or found.value > best.value):
            best = found
    return best or Unscored(reason="the right answer has no headings; give `sections`")


def _required_headings(right: str, options: Options) -> dict[str, bool]:
    """Return {required heading: whether text must follow it}, in the required order."""
    if options.sections is not None:
        return {title_of(name): True for name in options.sections}
    return {section.title: section.words > 0 for section in sections(right)}


def _score_layout(right: str, wanted: dict[str, bool], said: str, options: Options) -> Score:
    if not said.strip():
        return Score(value=0, why="the answer is empty")
    own = sections(said)
    titles = [section.title for section in own]
    filled = {section.title for section in own if section.words or not wanted.get(section.title)}
    missing = [title for title in wanted if title not in filled]
    extra = [title for title in dict.fromkeys(titles) if title not in wanted]
    place = {title: at for at, title in enumerate(wanted)}  # small ints: rapidfuzz compares hashes
    placed = int(LCSseq.similarity(list(place.values()), [place[t] for t in titles if t in place]))
    length = _length_fault(right, said, options)
    met = (len(wanted) - len(missing)) + placed + (not extra) + (not length)
    wrong = {"missing or empty": missing, "not asked for": extra}
    parts = [f"{what}: {quoted('; '.join(names), 120)}" for what, names in wrong.items() if names]
    parts += ["not in order"] if placed < len(wanted) - len(missing) else []
    parts += [length] if length else []
    return Score(value=met / (2 * len(wanted) + 2), why="; ".join(parts) or "the layout is kept")


def _length_fault(right: str, said: str, options: Options) -> str:
    """Return a clause on a wrong word count: `9 words, not 20 to 80`; "" if it is right."""
    gold, own = (len(re.findall(r"\w+", text)) for text in (right, said))
    least = gold // 2 if options.least_words is None else options.least_words
    most = 2 * gold if options.most_words is None else options.most_words
    return "" if least <= own <= most else f"{own} words, not {least} to {most}"
