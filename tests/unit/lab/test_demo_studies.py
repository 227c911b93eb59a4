"""The demo studies on the start page: what ships is what a run gives; each opens as its report."""

import gzip
import re

import pytest

from tuneworthy.flows.study import run
from tuneworthy.lab.demo_studies import demo_cards, demo_results
from tuneworthy.lab.pages import Site, home_page
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.study_pages import demo_page
from tuneworthy.suite import RECORDED_FOLDER, STUDIES, write_recorded

FILE = Site(live=False)


@pytest.mark.parametrize("name", STUDIES)
def test_what_ships_is_what_a_run_gives(name, tmp_path, monkeypatch):
    """`python tools/record_demo.py` writes them again."""
    monkeypatch.setenv("TUNEWORTHY_LOOKS", "folder")
    now, kept = run(write_recorded(name, tmp_path)).results, demo_results(name)
    assert now.task == kept.task
    assert [case.id for case in now.cases] == [case.id for case in kept.cases]
    for key in ("use", "arm", "status", "because", "left_on_table"):
        assert getattr(now.verdict, key) == getattr(kept.verdict, key), key
    scores = [{arm.name: arm.score for arm in each.verdict.arms} for each in (now, kept)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", STUDIES)
def test_what_ships_holds_no_path_of_a_machine(name):
    text = gzip.decompress((RECORDED_FOLDER / f"{name}.results.json.gz").read_bytes()).decode()
    assert not [word for word in ("/home/", "/tmp/", "/root/", "/work/") if word in text]


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_the_start_page_has_the_verdict_of_each(site):
    page = home_page([], site)
    assert [card["name"] for card in demo_cards()] == list(STUDIES)
    for card in demo_cards():
        assert f'href="{site.page("demo", card["name"])}"' in page
        assert card["verdict"].replace("'", "&#39;") in page
        assert card["status"] in page
    assert ("/studies" in page) == site.live


def test_each_opens_as_its_report_live_and_from_a_file(browser):
    for name in STUDIES:
        live, file = browser.get(f"/demo/{name}"), demo_page(name, FILE)
        assert live.status_code == 200
        assert 'class="verdict"' in live.text
        assert "http-equiv" not in live.text
        assert 'http-equiv="Content-Security-Policy"' in file
        assert 'href="index.html"' in file
        assert "style=" not in file
    assert browser.get("/demo/nothing").status_code == 404
    with pytest.raises(Problem):
        demo_results("../nothing")


def test_the_counts_of_rows_stand_once_on_the_first_screen():
    page = re.sub(r"<[^>]+>", "", demo_page("open_clauses", Site(live=False)))
    assert page.count("280 given, 40 scored, 240 not scored") == 1
    assert "To label next: 102 more rows" in page
    assert "about 620 rows" not in page, "an assumed count, beside the measured one"
