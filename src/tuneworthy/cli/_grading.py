"""Grade rows whose answers differ, blind: the loop of `compare --grade N` in a terminal."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.cli._options import print_stderr

if TYPE_CHECKING:
    from tuneworthy.explain.two_logs import AnsweredCase, LogComparison

_KEYS = {"l": (1.0, 0.0), "r": (0.0, 1.0), "b": (0.0, 0.0), "e": (1.0, 1.0)}
_HELP = "[l]eft right [r]ight right [b]oth wrong [e]ach right [q]uit"


def grade_rows(compared: LogComparison, most: int, path: Path, known: Any) -> int:
    """Ask for grades of the first rows of the order until `most` are graded; return how many are.

    Each grade is appended to `path` at once, so that a later call goes on. Sides are shuffled.
    """
    from tuneworthy.report.screen import show, terminal_size

    done, open_rows = 0, compared.open_rows[:most]
    for row in open_rows:
        answers = [answer.text.strip() for answer in row.answers]
        if all((row.case.id, text) in known for text in answers):
            done += 1
            continue
        sides = [0, 1]
        random.Random(f"grade {row.case.id}").shuffle(sides)
        width, plain = terminal_size(sys.stderr)
        show(_screen(row, sides, f"{done + 1} of {len(open_rows)}", width, plain), sys.stderr)
        if (grades := _read_grades()) is None:
            break
        with path.open("a", encoding="utf-8") as file:
            for side, grade in zip(sides, grades, strict=True):
                line = {"id": row.case.id, "answer": row.answers[side].text, "grade": grade}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        done += 1
    print_stderr(f"{done} rows are graded, in {path}; the same command goes on")
    return done


def _screen(row: AnsweredCase, sides: list[int], head: str, width: int, plain: bool) -> Any:
    from tuneworthy.report.vote_screen import question_screen
    from tuneworthy.verdict.pairwise_votes import VoteQuestion

    left, right = (row.answers[side].text for side in sides)
    question = VoteQuestion(row.case.query(), left, right)
    expected = " or ".join(dict.fromkeys((row.case.output, *row.case.accepted)))
    return question_screen(question, f"{head} · expected: {expected}", width, plain, keys=_HELP)


def _read_grades() -> tuple[float, float] | None:
    """Return the grades (left, right) that a person types; None at the end of the input or `q`."""
    while True:
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return None
        typed = line.strip().lower()
        if not line or typed in ("q", "quit"):
            return None
        if typed in _KEYS:
            return _KEYS[typed]
        print_stderr(_HELP)
