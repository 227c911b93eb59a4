"""The outline of a text: its headings in order and the words under each. Knows no case.

A heading is a line of its own that starts with `#`, is bold as a whole, is underlined by === or
---, is in capitals, or ends with a colon and has at most eight words. Its number is no part of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MARK = re.compile(r"#{1,6}\s+(.*?)\s*#*")
_BOLD = re.compile(r"(?:\*\*|__)(.+?)(?:\*\*|__):?")
_UNDER = re.compile(r"(=|-){3,}")
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)*[.)]?|[ivx]+[.)])\s+", re.IGNORECASE)
_LIST = re.compile(r"[-*+•]\s")
_LONGEST = 8  # words of a heading that only its colon marks


class Section(NamedTuple):
    """A heading in its normal form, and how many words stand under it."""

    title: str
    words: int


def sections(text: str) -> list[Section]:
    """Return the sections of a text in order; what stands before the first heading is none."""
    found: list[tuple[str, int]] = []
    lines, fenced = text.splitlines(), False
    for at, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        title = None if fenced else _heading(line.strip(), lines[at + 1 : at + 2])
        if title:
            found.append((title, 0))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + len(re.findall(r"\w+", line)))
    return [Section(*pair) for pair in found]


def title_of(text: str) -> str:
    """Return a heading without marks, number, colon and case."""
    bare = _NUMBER.sub("", text.strip().strip("#*_ ").rstrip(":").strip("*_ "), count=1)
    return " ".join(bare.casefold().split())


def _heading(line: str, following: list[str]) -> str:
    if not line or _UNDER.fullmatch(line) or _LIST.match(line):
        return ""
    for form in (_MARK, _BOLD):
        if match := form.fullmatch(line):
            return title_of(match[1])
    letters = [c for c in line if c.isalpha()]
    marked = line.endswith(":") or (len(letters) > 2 and all(c.isupper() for c in letters))
    underlined = bool(following) and _UNDER.fullmatch(following[0].strip()) is not None
    short = len(line.split()) <= _LONGEST
    return title_of(line) if underlined or (short and marked) else ""
