"""Terminal screens of settling: one blind pair of answers at a time, and the progress so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from tuneworthy.core.counting import count_noun
from tuneworthy.core.record import canonical
from tuneworthy.metrics._json import parse
from tuneworthy.report._screens import escape_line, finished, wrapped
from tuneworthy.settle.pairwise_votes import VoteQuestion
from tuneworthy.verdict.phrases import bounds_path

CHOICE_KEYS = "[l]eft [r]ight [b]oth wrong [e]qual, both right [s]kip [q]uit =right answer"
PREFERENCE_KEYS = "better: [l]eft [r]ight, [b]oth bad [e]qually good [s]kip [q]uit =better text"
_NO_ANSWER = "(no answer)"


def question_screen(
    question: VoteQuestion,
    head: str,
    width: int = 80,
    plain: bool = False,
    preference: bool = False,
) -> Text:
    """Return the screen of one question: the input, two answers without names, the keys.

    JSON is shown in a canonical form, so its formatting cannot reveal the arm.
    """
    lines = [Text(), *_styled_lines(head, width, plain, "dim"), Text()]
    for message in question.query.messages:
        name = "input" if message.role == "user" else message.role
        lines += _labelled_lines(name, message.content, width, plain)
    left, right = (blind_form(text) for text in (question.left, question.right))
    lines += [
        Text(),
        *_labelled_lines("left", left, width, plain),
        *_labelled_lines("right", right, width, plain),
    ]
    lines += [
        Text(),
        *_styled_lines(PREFERENCE_KEYS if preference else CHOICE_KEYS, width, plain, "dim"),
    ]
    return finished(lines, plain)


def progress_line(left: Sequence[float], clicks: int, more: int | None) -> str:
    """Return the line on progress: `may be left: 11 → 9 points · 12 clicks, about 40 more`."""
    path = bounds_path(left)
    ahead = "no telling how many more" if more is None else f"about {more:,} more"
    points = f"may be left: {path} points · " if path else ""
    return f"{points}{count_noun(clicks, 'click')}, {ahead}"


def blind_form(text: str) -> str:
    """Return an answer's text; JSON in canonical form, so its formatting can't reveal the arm."""
    try:
        value = parse(text, exact=False)
    except ValueError:
        return text
    return canonical(value) if isinstance(value, dict | list) else text


def _labelled_lines(name: str, text: str, width: int, plain: bool) -> Iterator[Text]:
    body = text.strip() or _NO_ANSWER
    lines = [piece for line in body.splitlines() for piece in
             wrapped(escape_line(line, plain), width, " " * 9)]  # fmt: skip
    for at, line in enumerate(lines):
        label = f"  {name:<7}" if at == 0 else " " * 9
        yield Text().append(label, "bold").append(line[9:])


def _styled_lines(text: str, width: int, plain: bool, style: str) -> list[Text]:
    return [Text(line, style) for line in wrapped(escape_line(text, plain), width)]
