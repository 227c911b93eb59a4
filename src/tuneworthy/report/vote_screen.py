"""Terminal screens of settling: one blind pair of answers at a time, and the progress so far."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from tuneworthy.metrics._leaves import parse
from tuneworthy.records.counting import count_noun
from tuneworthy.records.record import canonical
from tuneworthy.report.screen import Screen
from tuneworthy.verdict.pairwise_votes import VoteQuestion
from tuneworthy.verdict.phrases import bounds_path

_CHOICE_KEYS = "[l]eft [r]ight [b]oth wrong [e]qual, both right [s]kip [q]uit =right answer"
_PREFERENCE_KEYS = "better: [l]eft [r]ight, [b]oth bad [e]qually good [s]kip [q]uit =better text"
NO_ANSWER = "(no answer)"


def question_screen(
    question: VoteQuestion,
    head: str,
    width: int = 80,
    plain: bool = False,
    preference: bool = False,
    keys: str = "",
) -> Text:
    """Return the screen of one question: the input, two answers without names, the keys.

    `keys` are those of another question than which answer is right or better.

    JSON is shown in a canonical form, so its formatting cannot reveal the arm.
    """
    screen = Screen(width, plain)
    screen.add()
    screen.say(head, style="dim")
    screen.add()
    for message in question.query.messages:
        _labelled_rows(screen, "input" if message.role == "user" else message.role, message.content)
    screen.add()
    _labelled_rows(screen, "left", blind_form(question.left))
    _labelled_rows(screen, "right", blind_form(question.right))
    screen.add()
    screen.say(keys or (_PREFERENCE_KEYS if preference else _CHOICE_KEYS), style="dim")
    return screen.text()


def progress_line(left: Sequence[float], clicks: int, more: int | None) -> str:
    """Return the line on progress: `may be left: 11 → 9 points · 12 clicks, about 40 more`."""
    path = bounds_path(left)
    ahead = "no telling how many more" if more is None else f"about {more:,} more"
    points = f"may be left: {path} points · " if path else ""
    return f"{points}{count_noun(clicks, 'click')}, {ahead}"


def blind_form(text: str) -> str:
    """Return an answer's text; JSON in canonical form, so that formatting can't reveal the arm."""
    try:
        value = parse(text, exact=False)
    except ValueError:
        return text
    return canonical(value) if isinstance(value, dict | list) else text


def _labelled_rows(screen: Screen, name: str, text: str) -> None:
    for at, line in enumerate((text.strip() or NO_ANSWER).splitlines()):
        screen.beside(Text(f"  {name:<7}" if at == 0 else " " * 9, "bold"), line)
