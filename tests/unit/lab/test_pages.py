"""The pages as HTML: escaped, without anything that the policy refuses, light."""

import gzip
import html
import json
import re
from types import SimpleNamespace

import pytest

from tuneworthy.lab.cases import LabCase, all_cases, case_of
from tuneworthy.lab.events import run_id
from tuneworthy.lab.pages import (
    BLIND_SCRIPTS,
    CASE_SCRIPTS,
    HOME_SCRIPTS,
    LAB_FOLDER,
    PLAY_SCRIPTS,
    Site,
    case_page,
    error_page,
    playground_page,
)
from tuneworthy.lab.pages import home_page as home

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PAGES = {
    "home": lambda: home(list(all_cases().values())),
    "empty home": lambda: home([]),
    "case": lambda: case_page(case_of("never-stops"), 1),
    "exported": lambda: case_page(case_of("never-stops"), 1, Site(live=False)),
    "playground": playground_page,
    "exported playground": lambda: playground_page(Site(live=False)),
    "error": lambda: error_page(404, "No such case", "/case/x", "Nearest: never-stops.", ""),
}


def attacked():
    real = case_of("never-stops")
    names = {name: getattr(real.module, name) for name in dir(real.module) if name[0] != "_"}
    names |= {"SLUG": "attack", "TITLE": ATTACK, "STORY": ATTACK, "WIN": ATTACK}
    names |= {
        "KNOBS": {ATTACK: (ATTACK, 1)},
        "FIXES": (),
        "MEASURES": (ATTACK,),
        "CAUSES": (ATTACK,),
    }
    return LabCase("end_not_trained", SimpleNamespace(**names))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_that_the_policy_refuses(name):
    page = PAGES[name]()
    assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
    assert "<style" not in page
    inline = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page)
    assert all('type="application/json"' in each for each in inline)
    assert "https:" not in page
    assert "http:" not in page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_heading_a_language_and_no_id_twice(name):
    page = PAGES[name]()
    assert '<html lang="en"' in page
    assert len(re.findall("<h1", page)) == 1
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for wanted in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert wanted in ids


def test_text_of_others_is_text():
    case = attacked()
    for page in (case_page(case, 1), home([case]), error_page(404, *[ATTACK] * 4)):
        assert "<script>alert" not in page
        assert "<img" not in page
        assert html.escape(ATTACK, quote=False)[:20] in page.replace("&#39;", "'")


def test_the_case_says_no_cause_outside_of_the_list_of_five():
    page = case_page(case_of("never-stops"), 1)
    assert page.count('data-cause="end_not_trained"') == 1
    shown = re.sub(r"<(button|script)\b.*?</\1>", "", page, flags=re.S)
    assert "end_not_trained" not in shown
    assert "never carries loss" not in shown


def test_data_of_a_served_case_is_a_block_that_json_reads():
    page = case_page(case_of("never-stops"), 1, Site(token="secret"))
    block = re.search(r'<script type="application/json" id="case-data">(.*?)</script>', page, re.S)
    data = json.loads(block.group(1))
    assert data["slug"] == "never-stops"
    assert data["api"] == "/api/cases/never-stops"
    assert "reveal" not in data
    assert '<meta name="csrf-token" content="secret">' in page


def test_an_error_says_what_where_how_and_what_was_kept():
    page = error_page(507, "The disk is full", "records/1.json", "Free some space.", "step 24")
    for part in ("507", "The disk is full", "records/1.json", "Free some space.", "step 24"):
        assert part in page
    assert "<dt>kept</dt>" not in error_page(404, "No such case", "/case/x", "Go home.", "")


def test_a_home_without_a_recorded_run_says_what_will_stand_here():
    page = home([])
    assert "No run is recorded here yet" in page
    assert "tuneworthy lab" in page


def weight(names):
    files = ["lab.css", *(f"{name}.js" for name in names)]
    return sum((LAB_FOLDER / "static" / name).stat().st_size for name in files)


def test_the_first_page_weighs_at_most_120_kb():
    assert len(PAGES["home"]().encode()) + weight(HOME_SCRIPTS) <= 120_000


def test_the_playground_weighs_at_most_120_kb():
    assert len(PAGES["playground"]().encode()) + weight(PLAY_SCRIPTS) <= 120_000


def test_a_case_with_its_records_weighs_at_most_200_kb():
    shown = case_of("never-stops")
    names = [run_id(shown.slug, shown.config(role), 0) for role in ("plant", "twin")]
    records = sum(
        len(gzip.decompress((LAB_FOLDER / "records" / f"{name}.json.gz").read_bytes()))
        for name in names
    )
    assert records > 50_000
    assert len(PAGES["case"]().encode()) + weight(CASE_SCRIPTS) + records <= 200_000


@pytest.mark.parametrize("path", sorted((LAB_FOLDER / "static").glob("*.js")), ids=lambda p: p.name)
def test_scripts_are_plain_and_build_no_markup(path):
    text = path.read_text("utf-8")
    assert "'use strict';" in text
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                 "new Function", ".style", "import ", "export "):  # fmt: skip
        assert word not in text, word
    assert len(text.splitlines()) <= 200


def test_fetch_and_streams_are_in_one_script_only():
    for name in {*HOME_SCRIPTS, *CASE_SCRIPTS, *BLIND_SCRIPTS} - {"wire"}:
        text = (LAB_FOLDER / "static" / f"{name}.js").read_text("utf-8")
        assert not re.search(r"\bfetch\(|new EventSource", text), name
