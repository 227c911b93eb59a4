"""The pages on advice: guess which tool wins, and the advisers' scores. Computes no statistics."""

from __future__ import annotations

from tuneworthy.lab.pages import Site, render
from tuneworthy.report import atlas as texts
from tuneworthy.report.atlas_file import read_atlas

STYLE = "guess"
SCRIPTS = ("lab", "state", "guess")
KEYS = (
    (("1", "9"), "choose a tool by its number"),
    (("n", "→"), "next task"),
    (("←",), "the task before"),
    (("c",), "copy a link to my guesses"),
)


def guess_page(site: Site) -> str:
    """Return the page on which a visitor guesses the winning tool, then sees the measured one."""
    atlas = read_atlas()
    return render(
        "guess.html.j2", site, here="Guess first", style=STYLE, scripts=SCRIPTS, keys=KEYS,
        data=() if site.live else ("guess",), lines=atlas.notes,
        blocks={"guess": atlas.guess},
    )  # fmt: skip


def advice_page(site: Site) -> str:
    """Return the page with the table of advisers, each with its score and notes, as HTML."""
    atlas = read_atlas()
    rows = [
        {**score.plain(), "texts": texts.score_texts(score), "notes": texts.adviser_notes(score)}
        for score in texts.ranked(atlas.advice)
    ]
    return render(
        "advice.html.j2", site, here="Advisers", style=STYLE, scripts=(), data=(), keys=(),
        table=atlas.advice, rows=rows, lines=atlas.notes, headline=texts.headline(atlas.advice),
        lead=texts.lead_line(atlas.advice), scope=texts.scope_line(atlas.advice),
        intervals=texts.INTERVALS_NOTE,
    )  # fmt: skip
