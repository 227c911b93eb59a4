"""The outline of a text: its headings in order and the word count of each. Knows no case.

A heading is a line of its own that starts with `#`, is all bold, or is underlined by === or ---.
In a text without such lines, a heading is a line of at most eight words in capitals or with a final
colon. A heading's number is not part of its title.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tuneworthy.metrics._writing import fold

_HEADING_MARK = re.compile(r"#{1,6}\s+")
_BOLD = re.compile(r"(?:\*\*|__)(.+?)(?:\*\*|__):?")
_UNDERLINE = re.compile(r"(=|-){3,}")
# Only the first digit of a run may start a match: else the regex rescans from each digit.
_NUMBER = re.compile(
    r"(?:(?<!\d)(?<!\d\.)\d+(?:\.\d+)*[.)]?|(?<![ivx])[ivx]+[.)])\s+", re.IGNORECASE
)
_LIST_ITEM = re.compile(r"[-*+•]\s")
_MOST_HEADING_WORDS = 8  # of a heading that only a colon or capitals mark


class Section(NamedTuple):
    """A section of a text: its normalised heading and the number of words under it."""

    title: str
    words: int


def sections(text: str) -> list[Section]:
    """Return the sections of a text in order; text before the first heading belongs to none."""
    lines = _line_pairs(text)
    strong = [_marked_heading(line, following) for line, following in lines]
    titles = strong if any(strong) else [_unmarked_heading(line) for line, _ in lines]
    found: list[tuple[str, int]] = []
    for title, (line, _) in zip(titles, lines, strict=True):
        if title:
            found.append((title, 0))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + len(re.findall(r"\w+", line)))
    return [Section(*pair) for pair in found]


def _line_pairs(text: str) -> list[tuple[str, str]]:
    """Return (line, next line) for each line; fenced code is indented, so it is no heading."""
    lines, fenced = [], False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        lines.append(f"    {line}" if fenced else line.strip())
    return list(zip(lines, [*lines[1:], ""], strict=False))


def title_of(text: str) -> str:
    """Return the normalised text of a heading: lower case, without marks, number and colon."""
    bare = _NUMBER.sub("", text.strip().strip("#*_ ").rstrip(":").strip("*_ "), count=1)
    return " ".join(fold(bare).split())


def _marked_heading(line: str, following: str) -> str:
    """Return the title of a line that is marked by `#`, bold or underlined; "" for another."""
    if mark := _HEADING_MARK.match(line):
        return title_of(line[mark.end() :].rstrip("#"))
    if match := _BOLD.fullmatch(line):
        return title_of(match[1])
    under = _UNDERLINE.fullmatch(following) and line and not line.startswith(" ")
    return (
        title_of(line)
        if under and not _LIST_ITEM.match(line) and not _UNDERLINE.fullmatch(line)
        else ""
    )


def _unmarked_heading(line: str) -> str:
    """Return the title of a short line in capitals or with a final colon; "" for another."""
    letters = [c for c in line if c.isalpha()]
    if line.startswith(" ") or len(line.split()) > _MOST_HEADING_WORDS or _LIST_ITEM.match(line):
        return ""
    capitals = len(letters) > 2 and all(c.isupper() for c in letters)
    return title_of(line) if line.endswith(":") or capitals else ""
