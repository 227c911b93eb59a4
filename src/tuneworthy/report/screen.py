"""A screen of text for a terminal: widths, truncation, colours, and a plain ASCII form."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tuneworthy.records.escape import visible

_GLYPHS = "▶▪░▒▓█│─·…−–—×≤≥→±✓"
_TO_ASCII = str.maketrans(_GLYPHS, ">#.-+#|-|~---x<>>~y")
_SHADE_GLYPHS = "░▒▓█"
_NAME_WIDTH = 11


class Screen:
    """Lines of a screen, none wider than `width`; with `plain` without colours and all ASCII."""

    def __init__(self, width: int = 80, plain: bool = False) -> None:
        self.width, self.plain = width, plain
        self._lines: list[Text] = []

    def safe(self, text: str) -> str:
        """Return a text on one line: control characters escaped, and ASCII alone if `plain`."""
        safe = visible(str(text))
        return _as_ascii(safe) if self.plain else safe

    def say(self, *texts: str, style: str = "", indent: int = 2) -> None:
        """Add each text that is not empty, wrapped."""
        for text in filter(None, texts):
            for line in wrapped(self.safe(text), self.width, " " * indent):
                self.add(Text(line, style))

    def row(self, name: str, text: str, style: str = "", side: int = _NAME_WIDTH) -> None:
        """Add a text, wrapped, beside its name in a column of `side` cells."""
        self.beside(Text("  ").append(cell(name, side), "dim"), text, style)

    def beside(self, head: Text, text: str, style: str = "") -> None:
        """Add a text, wrapped, to the right of `head`."""
        room = self.width - head.cell_len
        for at, line in enumerate(wrapped(self.safe(text), room, "")):
            left = head if at == 0 else Text(" " * head.cell_len)
            self.add(left.copy().append(line, style))

    def add(self, *lines: Text | str) -> None:
        """Add lines as they are; without an argument, an empty one."""
        self._lines += [Text(line) if isinstance(line, str) else line for line in lines or ("",)]

    def text(self) -> Text:
        """Return the lines joined to one text that never wraps."""
        text = Text("\n", no_wrap=True, end="\n").join(self._lines)
        text.no_wrap = True
        return Text(_as_ascii(text.plain), no_wrap=True) if self.plain else text


def _as_ascii(text: str) -> str:
    return text.translate(_TO_ASCII).encode("ascii", "backslashreplace").decode()


def cell(text: str, width: int, right: bool = False) -> str:
    """Return text truncated or padded to exactly `width` terminal cells."""
    if cell_len(text) > width:
        return set_cell_size(text, max(width - 1, 0)) + "…" if width else ""
    pad = " " * (width - cell_len(text))
    return pad + text if right else text + pad


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """Return text as lines no wider than `width`, each with the indent."""
    room = width - len(indent)
    lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    return [indent + piece for line in lines for piece in _split_wide(line, room)]


def _split_wide(line: str, room: int) -> list[str]:
    """Return the pieces of a line with wide characters, none wider than `room` cells."""
    pieces = [""]
    for char in line:
        if cell_len(pieces[-1] + char) > room:
            pieces.append("")
        pieces[-1] += char
    return pieces


def shade_strip(values: Iterable[float | None]) -> str:
    """Return means in [0, 1] as shade characters, the fullest for right; a space for None."""
    return "".join(" " if v is None else _SHADE_GLYPHS[min(3, int(v * 4))] for v in values)


def bar(value: float, width: int) -> str:
    """Return a bar of `width` cells for a share in [0, 1]."""
    return cell("▪" * round(min(max(value, 0.0), 1.0) * width), width)


def can_encode_glyphs(stream: TextIO) -> bool:
    """Return whether a stream's encoding can represent all characters of _GLYPHS."""
    try:
        _GLYPHS.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def terminal_size(stream: TextIO | None = None) -> tuple[int, bool]:
    """Return (width, plain) for a stream: 120 columns on a wide terminal, else 80."""
    target = stream or sys.stdout
    console = Console(file=target)
    wide = console.is_terminal and console.width >= 120
    return (120 if wide else 80), not can_encode_glyphs(target)


def show(screen: Text, stream: TextIO | None = None) -> None:
    """Print a screen; in colour only on a terminal and never under NO_COLOR."""
    Console(file=stream or sys.stdout, highlight=False, markup=False).print(
        screen, soft_wrap=True, no_wrap=True
    )
