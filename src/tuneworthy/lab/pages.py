"""The lab's pages as HTML: home, cases, playground, own runs, errors. Computes nothing.

The templates escape all text; scripts get their data from a JSON block or from files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.lab import case_data
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.demo_studies import demo_cards
from tuneworthy.lab.own_folders import EXAMPLE_CASE, OwnFolders
from tuneworthy.lab.play_run import TASKS, playground_data
from tuneworthy.lab.recordings import SHIPPED_RECORDS, Recordings, RecordStore, shipped_record
from tuneworthy.records.escape import for_script
from tuneworthy.records.plugins import catalogue
from tuneworthy.report.column_names import name_cells

LAB_FOLDER = Path(__file__).parent
REPORT_STATIC = LAB_FOLDER.parent / "report" / "static"
REPORT_FILES = ("base.css", "report.css", "report.js")  # of the report that the lab shows
HERO_CASE = "never-stops"  # the case that the home page plays, if it is recorded
_PAGE_SCRIPTS = ("lab", "record", "chart", "answers")
HOME_SCRIPTS = (*_PAGE_SCRIPTS, "wire", "home", "strength")
_RUN_SCRIPTS = (*_PAGE_SCRIPTS, "wire", "tokens", "state", "instrument")
CASE_SCRIPTS = (*_RUN_SCRIPTS, "rail", "knobs", "card", "case")
BLIND_SCRIPTS = (*_RUN_SCRIPTS, "rail", "card", "blind")
PLAY_SCRIPTS = ("lab", "record", "state", "wire", "columns", "playground")
_CHECK_SCRIPTS = ("lab", "wire", "check")
_NO_BLOCKS: Mapping[str, Any] = {}
_HOME_FILTERS = (
    ("all", "All"),
    ("fine", "Loss looks fine"),
    ("wrong", "Loss looks wrong"),
    ("none", "No training"),
)
_HOME_KEYS = ((("j", "k"), "next and previous case"), (("Enter",), "open the case"))
_CASE_KEYS = (
    (("Space",), "play and pause"),
    (("←", "→"), "one step back, one step on"),
    (("1", "9"), "choose a cause by its number"),
    (("[", "]"), "previous and next training row"),
    (("e",), "go to the end token"),
    (("r",), "run it again with my setting"),
    (("n",), "next case"),
)

_PLAY_KEYS = (
    (("r",), "run all columns"),
    (("←", "→"), "one token back, one token on"),
    (("[", "]"), "previous and next input"),
    (("Ctrl", "Enter"), "run, while you write"),
)
_CHECK_KEYS = ((("j", "k"), "next and previous folder"), (("Enter",), "check it"))


@dataclass(frozen=True)
class Site:
    """The addresses of all pages: of a running lab, or of files in an exported folder."""

    live: bool = True
    token: str = ""
    """The CSRF token, which pages send with every POST."""

    records: RecordStore = SHIPPED_RECORDS
    """The recorded runs: those of the package, or also the user's."""

    policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"

    @property
    def home(self) -> str:
        """Return the address of the home page."""
        return "/" if self.live else "index.html"

    @property
    def links(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Return what every page links to: a name, and (name, address) of its pages."""
        studies = (("Studies", "/studies"),) if self.live else ()
        return (
            ("Cases", (("Cases", f"{self.home}#cases"),)),
            ("Playground", (("Playground", self.page("playground")),)),
            ("Check my run", (("Check my run", self.page("check")),)),
            ("Decide", (("Plan a study", self.page("plan")), *studies)),
            ("Evidence", (("Findings", self.page("findings")), ("Claims", self.page("experiments")),
                          ("What training changes", self.page("kinds")),
                          ("Atlas", self.page("atlas")), ("Guess first", self.page("guess")),
                          ("Advisers", self.page("advice")))),
        )  # fmt: skip

    def page(self, *name: str) -> str:
        """Return a page's address: `/atlas/KEY`, or `atlas-KEY.html` in an exported site."""
        return "/" + "/".join(name) if self.live else "-".join(name) + ".html"

    def static(self, name: str) -> str:
        """Return a static file's URL: below /static/ on a server, relative in an exported site."""
        return f"/static/{name}" if self.live else f"static/{name}"


_LIVE_SITE = Site()


def home_page(cases: Sequence[LabCase], site: Site = _LIVE_SITE) -> str:
    """Return the home page: a recorded pair of runs, and a card for each case."""
    cards = [case_data.card_data(case, site.records) for case in cases]
    shown = next((case for case in cases if case.slug == HERO_CASE), None)
    data = Recordings(shown, site.records).hero() if shown else None
    hero, strength = None, shipped_record("strength", "stops")
    if shown and data and data["plant"] and data["twin"]:
        begin = data["plant"][0]
        question = begin["questions"][0]["input"]
        hero = {"slug": shown.slug, "question": question, "steps": begin["steps"]}
    return render(
        "home.html.j2",
        site,
        here="Cases",
        scripts=HOME_SCRIPTS,
        data=()
        if site.live
        else tuple(name for name, known in (("hero", hero), ("strength", strength)) if known),
        keys=_HOME_KEYS,
        cards=cards,
        filters=_HOME_FILTERS,
        hero=hero,
        demos=demo_cards(),
        strength=strength,
        blocks={"hero": data if hero else None, "strength": strength},
    )


def case_page(case: LabCase, position: int, site: Site = _LIVE_SITE) -> str:
    """Return the page of a case; `position` is its number in the list."""
    shown = case_data.public_data(case, site.records)
    records = [name for name in (shown["records"]["plant"], shown["records"]["twin"]) if name]
    here = case_data.live_pair(case, site.records) if site.live else None
    return render(
        "case.html.j2",
        site,
        scripts=CASE_SCRIPTS,
        data=() if site.live else (*records, f"case-{case.slug}"),
        keys=_CASE_KEYS,
        case={**shown, "twin": True},
        where=f"Case {position} of {len(all_cases())}",
        after=_next_link(case, site),
        blocks={"case": {**shown, "here": here, "api": f"/api/cases/{case.slug}"}},
    )


def blind_page(key: str, site: Site = _LIVE_SITE) -> str:
    """Return the page of a blind run; only the key differs, so it reveals nothing."""
    shown = case_data.blind_data(list(all_cases().values()))
    return render(
        "blind.html.j2",
        site,
        scripts=BLIND_SCRIPTS,
        data=() if site.live else ("blind",),
        keys=_CASE_KEYS[:2] + _CASE_KEYS[3:5] + ((("n",), "all cases"),),
        case={**shown, "key": key, "twin": False, "records": {"plant": True}},
        blocks={"blind": {**shown, "key": key}},
    )


def playground_page(site: Site = _LIVE_SITE) -> str:
    """Return the page of the playground as HTML, with its recorded play if there is one."""
    play = play_data()
    return render(
        "playground.html.j2",
        site,
        here="Playground",
        scripts=PLAY_SCRIPTS,
        data=() if site.live else ("play",),
        keys=_PLAY_KEYS,
        play=play,
        blocks={"playground": play},
    )


def play_data() -> dict[str, Any]:
    """Return the data for the playground's script; "curves" is {} without records.

    "curves": {task: {setting: [mean score, share of valid answers] over the offered inputs}};
    "scores": {task: its metric in words}.
    """
    play = shipped_record("play", "rest") or {**playground_data(), "curves": {}}
    known = catalogue("metrics")
    return {**play, "scores": {name: known[case.task().success.metrics[0]]
                               for name, case in TASKS.items()}}  # fmt: skip


def check_page(own: OwnFolders, site: Site = _LIVE_SITE) -> str:
    """Return the page that checks the training folders named at launch."""
    listed = [{"id": one.id, "name": one.name, "path": str(one.named), "command": own.command(one)}
              for one in own.folders]  # fmt: skip
    return render(
        "check.html.j2",
        site,
        here="Check my run",
        scripts=_CHECK_SCRIPTS,
        data=() if site.live else ("checked",),
        keys=_CHECK_KEYS,
        folders=listed,
        example=EXAMPLE_CASE,
        files=[(option, str(path)) for option, path in own.files],
    )


def error_page(
    status: int, what: str, where: str, fix: str, kept: str, site: Site = _LIVE_SITE
) -> str:
    """Return the page of an error: what happened, where, how to fix it, what was kept."""
    return render(
        "error.html.j2",
        site,
        scripts=(),
        data=(),
        keys=(),
        status=status,
        what=what,
        parts=(("where", where), ("what to do", fix), ("kept", kept)),
    )


def _next_link(case: LabCase, site: Site) -> dict[str, str]:
    """Return {"address", "text"} of the link to the next case, or to all cases after the last."""
    slugs = list(all_cases())
    rest = slugs[slugs.index(case.slug) + 1 :] if case.slug in slugs else []
    if not rest:
        return {"address": f"{site.home}#cases", "text": "All cases"}
    following = all_cases()[rest[0]]
    return {"address": site.page("case", following.slug), "text": f"Next: {following.module.TITLE}"}


def render(name: str, site: Site, blocks: Mapping[str, Any] = _NO_BLOCKS, **values: Any) -> str:
    """Return a page rendered from a template, which escapes every text.

    `blocks` is the data of the page's scripts by name; an exported page reads it from files.
    """
    known = {name: Markup(for_script(value)) for name, value in blocks.items() if value}
    template = _templates().get_template(name)
    return name_cells(template.render(site=site, blocks=known, **{"here": "", **values}))


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(LAB_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
