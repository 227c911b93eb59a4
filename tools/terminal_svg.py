"""Write docs/pictures/terminal.svg: one real command and its screen, typed and printed.

`python tools/terminal_svg.py` runs the command on the recorded answers of `demo --recorded` and
draws what it printed. The animation is CSS inside the file: no script, no outside request; without
motion the whole screen stands still.
"""

from __future__ import annotations

import contextlib
import html
import io
import os
import tempfile
from pathlib import Path

from tuneworthy.cli._frame import run
from tuneworthy.suite import write_recorded

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "terminal.svg"
FILES = "rules_first.jsonl", "rules_second.jsonl"
COMMAND = ["compare", *FILES, "--gold", "test.jsonl"]
WIDTH, CHAR, LINE, MARGIN = 80, 8.43, 19, 16
TYPING, PAUSE, PER_LINE, HOLD = 2.4, 0.6, 0.06, 9.0  # seconds
STYLE = """
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d8dee9; }
.head { font-weight: bold; fill: #ffffff; }
.typed { fill: #a3be8c; }
.shown { animation: show TOTALs linear infinite; }
@keyframes wipe { 0% { width: 0; } TYPED%, 100% { width: FULLpx; } }
#typing { animation: wipe TOTALs steps(STEPS, end) infinite; }
@media (prefers-reduced-motion: reduce) { .shown, #typing { animation: none !important; } }
"""


def screen() -> str:
    """Return what the command prints on the recorded answers, as on a terminal of 80 columns."""
    printed, here = io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        write_recorded("support_tickets", Path(folder))
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(printed):
                code = run(COMMAND)
        finally:
            os.chdir(here)
    if code != 0:
        raise SystemExit(f"the command ended with {code}")
    return printed.getvalue().rstrip("\n")


def drawing(text: str) -> str:
    """Return the SVG of the command and its screen."""
    lines = text.split("\n")
    typed = f"$ tuneworthy {' '.join(COMMAND)}"
    total = TYPING + PAUSE + PER_LINE * len(lines) + HOLD
    width, height = round(WIDTH * CHAR + 2 * MARGIN), (len(lines) + 3) * LINE + MARGIN
    full = round(len(typed) * CHAR + MARGIN)
    title = html.escape(" ".join(lines[0].split()))
    style = STYLE.replace("TOTAL", f"{total:.2f}").replace("FULL", str(full))
    style = style.replace("TYPED", f"{100 * TYPING / total:.2f}").replace("STEPS", str(len(typed)))
    rows = [_row(line, at) for at, line in enumerate(lines)]
    for at in range(len(lines)):
        begin = 100 * (TYPING + PAUSE + PER_LINE * at) / total
        style += (
            f"#l{at} {{ animation-name: s{at}; }} @keyframes s{at} {{ 0%, {begin:.2f}%"
            f" {{ opacity: 0; }} {begin + 0.01:.2f}%, 100% {{ opacity: 1; }} }}\n"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{html.escape(typed)}">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#2e3440"/>\n'
        f'<clipPath id="clip"><rect id="typing" x="0" y="0" width="{full}" height="{3 * LINE}"/>'
        f'</clipPath>\n<g clip-path="url(#clip)">{_text(typed, 0, "typed")}</g>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def _row(line: str, at: int) -> str:
    kind = "head" if at == 0 else ""
    return f'<g id="l{at}" class="shown">{_text(line, at + 2, kind)}</g>'


def _text(line: str, at: int, kind: str) -> str:
    place = f'x="{MARGIN}" y="{MARGIN + (at + 1) * LINE}" xml:space="preserve"'
    of = f' class="{kind}"' if kind else ""
    length = f' textLength="{len(line) * CHAR:.1f}"' if line.strip() else ""
    return f"<text {place}{of}{length}>{html.escape(line)}</text>"


if __name__ == "__main__":
    OUT.write_text(drawing(screen()), "utf-8")
    print(f"wrote {OUT.name}")
