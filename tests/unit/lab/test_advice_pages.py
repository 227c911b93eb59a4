"""Guess first and the advisers' table: from data alone, safe, empty where nothing is measured."""

import json
import re

import pytest
from tests.advice_kit import prompt_task, task

from tuneworthy import advising
from tuneworthy.lab import export
from tuneworthy.lab.advice_pages import advice_page, guess_data, guess_page, shown_advice
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.report._advice import NO_TASKS_HEADLINE

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
FILE = Site(live=False)
TASKS = [task(f"t{i}", size=600) for i in range(5)] + [prompt_task(f"p{i}") for i in range(3)]
TASKS.append(task("blocked", status="blocked"))


@pytest.fixture(scope="module")
def shown():
    return shown_advice(TASKS)


def test_the_headline_is_computed_from_the_tasks(shown):
    page = advice_page(shown, Site())
    assert "<h1>The checklist predicts the measured winner in 8 of 8 (63 to 100 %).</h1>" in page
    fewer = advice_page(
        shown_advice([each.model_copy(update={"size": 100}) for each in TASKS]), FILE
    )
    assert "measured winner in 3 of 8 (9 to 76 %)." in fewer
    assert "(types of task, or sets of rows), 8 of them firm; 1 left out (blocked)" in page
    assert "always fine-tune" in page
    assert "3 trainings not needed" in page


def test_the_data_hold_what_was_measured_and_what_advisers_said(shown):
    data = guess_data(shown)
    assert len(data["tasks"]) == 8
    one = next(each for each in data["tasks"] if each["title"].endswith("p0"))
    assert (one["use"], one["base"], len(one["rows"])) == ("prompt", 0.4, 10)
    tools = {each["name"]: each for each in one["tools"]}
    assert set(tools) == {"classifier", "prompt", "tune", "none"}
    assert tools["prompt"]["behind"] == {"mean": 0.02, "low": -0.01, "high": 0.04}
    assert (tools["classifier"]["outcome"], tools["none"]["outcome"]) == ("wrong", "wrong")
    always = data["advisers"].index("always fine-tune")
    assert one["named"][always] == {"tool": "tune", "outcome": "right"}
    assert data["version"] != guess_data(shown_advice(TASKS[:3]))["version"]


def test_a_served_page_holds_its_data_and_an_exported_one_loads_them(shown):
    live, file = guess_page(shown, Site()), guess_page(shown, FILE)
    block = re.search(r'<script type="application/json" id="guess-data">(.*?)</script>', live, re.S)
    assert json.loads(block.group(1)) == json.loads(json.dumps(guess_data(shown)))
    assert 'src="data/guess.js"' in file
    assert "guess-data" not in file
    assert "Content-Security-Policy" in file


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_without_a_measured_task_both_pages_say_so_and_how_to_get_some(site):
    empty = shown_advice([])
    for page in (guess_page(empty, site), advice_page(empty, site)):
        assert "No task is measured here yet" in page
        assert "tuneworthy advice --tasks FILE.jsonl" in page
        assert "<script" not in page
        assert not re.search(r"\d+ of \d+", page)
    assert NO_TASKS_HEADLINE not in guess_page(empty, site)


def pages(shown, site):
    return guess_page(shown, site), advice_page(shown, site)


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_pages_have_nothing_that_the_policy_refuses(shown, site):
    for page in (*pages(shown, site), *pages(shown_advice([]), site)):
        assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
        assert "<style" not in page
        inline = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page)
        assert all('type="application/json"' in each for each in inline)
        assert not re.search(r"https?:", page)
        assert len(re.findall("<h1", page)) == 1
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_text_of_others_is_text():
    names = {"title": ATTACK, "instruction": ATTACK, "kind": ATTACK, "model": ATTACK}
    shown = shown_advice([task("x").model_copy(update=names)])
    for page in pages(shown, Site()):
        assert "<script>alert" not in page
        assert "<img" not in page


def test_both_pages_are_exported_with_the_atlas(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(export, "measured_tasks", lambda **how: asked.append(how) or TASKS)
    (tmp_path / "site" / "data").mkdir(parents=True)
    export._write_advice_pages(tmp_path / "site", FILE)
    assert asked == [{"working": None}], "what a user measured is not published"
    told = (tmp_path / "site" / "data" / "guess.js").read_text("utf-8")
    assert told.startswith("lab.guess(")
    assert json.loads(told[len("lab.guess(") : -3])["tasks"][0]["title"] == "made-up task p0"
    assert "measured winner in 8 of 8" in (tmp_path / "site" / "advice.html").read_text("utf-8")


def test_the_page_weighs_at_most_120_kb_without_its_data(shown):
    files = ("lab.css", "guess.css", "svg.js", "keys.js", "state.js", "guess.js")
    weight = sum((LAB_FOLDER / "static" / name).stat().st_size for name in files)
    assert weight + len(guess_page(shown, FILE).encode()) <= 120_000


def test_the_lab_serves_both_pages_from_its_own_folder(browser, lab, monkeypatch):
    asked = []
    monkeypatch.setattr(advising, "measured_tasks", lambda working: asked.append(working) or TASKS)
    page = browser.get("/guess")
    assert page.status_code == 200
    assert 'id="guess-data"' in page.text
    assert 'href="/guess" aria-current="page"' in page.text
    assert "measured winner in 8 of 8" in browser.get("/advice").text
    assert asked == [lab.working] * 2
    monkeypatch.setattr(advising, "measured_tasks", lambda working: [])
    assert "No task is measured here yet" in browser.get("/guess").text
    assert "No task is measured here yet" in browser.get("/advice").text


def test_tasks_whose_rows_can_be_looked_at_come_first():
    bare = task("a").model_copy(update={"shown": ()})
    assert [each.key for each in shown_advice([bare, task("b")]).tasks] == ["b", "a"]
