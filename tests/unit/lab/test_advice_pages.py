"""Guess first and the advisers' table: from data alone, safe, empty where nothing is measured."""

import json
import re

import pytest
from bench.atlas.entry import Entry
from bench.atlas.package_file import figures
from tests import atlas_kit
from tests.advice_kit import prompt_task, task

from tuneworthy.lab import export
from tuneworthy.lab.advice_pages import advice_page, guess_page
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.report.atlas_file import read_atlas

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
FILE = Site(live=False)
TASKS = [task(f"t{i}", size=600) for i in range(5)] + [prompt_task(f"p{i}") for i in range(3)]
TASKS.append(task("blocked", status="blocked"))


@pytest.fixture(autouse=True)
def publish(monkeypatch, tmp_path):
    """Publish the made-up tasks; return a function that publishes others in their place."""

    def published(*tasks):
        return atlas_kit.ship(monkeypatch, tmp_path, atlas_kit.atlas_of(*tasks))

    monkeypatch.setattr(atlas_kit.Atlas, "entry", lambda self, key: Entry(card=TASKS[0]))
    published(*TASKS)
    return published


def test_the_headline_is_computed_from_the_tasks(publish):
    page = advice_page(Site())
    assert "<h1>Always fine-tune leads: right on 8 of 8, wrong on 0.</h1>" in page
    assert "Its lead is not shown" in page
    assert page.index("<b>always fine-tune</b>") < page.index("<b>never fine-tune (prompt)</b>")
    assert "38 (too few)" in page  # 9 to 76 %: most of the scale
    assert "100 (63 to 100)" in page
    publish(*(each.model_copy(update={"size": 100}) for each in TASKS))
    fewer = advice_page(FILE)
    assert fewer.count("38 (too few)") > page.count("38 (too few)")  # advisers that see the size
    assert "(types of task, or sets of rows), 8 of them firm; 1 left out (blocked)" in page
    assert "always fine-tune" in page
    assert "3 trainings not needed" in page


def test_the_data_hold_what_was_measured_and_what_advisers_said():
    data = figures(atlas_kit.atlas_of(*TASKS)).guess
    assert len(data["tasks"]) == 8
    one = next(each for each in data["tasks"] if each["title"].endswith("p0"))
    assert (one["use"], one["base"], len(one["rows"])) == ("prompt", 0.4, 10)
    tools = {each["name"]: each for each in one["tools"]}
    assert set(tools) == {"classifier", "prompt", "tune", "none"}
    assert tools["prompt"]["behind"] == {"mean": 0.02, "low": -0.01, "high": 0.04}
    assert (tools["classifier"]["outcome"], tools["none"]["outcome"]) == ("wrong", "wrong")
    always = data["advisers"].index("always fine-tune")
    assert one["named"][always] == {"tool": "tune", "outcome": "right"}
    assert data["version"] != figures(atlas_kit.atlas_of(*TASKS[:3])).guess["version"]


def test_a_served_page_holds_its_data_and_an_exported_one_loads_them():
    live, file = guess_page(Site()), guess_page(FILE)
    block = re.search(r'<script type="application/json" id="guess-data">(.*?)</script>', live, re.S)
    assert json.loads(block.group(1)) == read_atlas().guess
    assert 'src="data/guess.js"' in file
    assert "guess-data" not in file
    assert "Content-Security-Policy" in file


def pages(site):
    return guess_page(site), advice_page(site)


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_pages_have_nothing_that_the_policy_refuses(site):
    for page in pages(site):
        assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
        assert "<style" not in page
        inline = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page)
        assert all('type="application/json"' in each for each in inline)
        assert not re.search(r"https?:", page)
        assert len(re.findall("<h1", page)) == 1
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_text_of_others_is_text(publish):
    names = {"title": ATTACK, "instruction": ATTACK, "kind": ATTACK, "model": ATTACK}
    publish(task("x").model_copy(update=names))
    for page in pages(Site()):
        assert "<script>alert" not in page
        assert "<img" not in page


def test_both_pages_are_exported_with_the_atlas(tmp_path):
    (tmp_path / "site" / "data").mkdir(parents=True)
    export._write_advice_pages(tmp_path / "site", FILE)
    told = (tmp_path / "site" / "data" / "guess.js").read_text("utf-8")
    assert told.startswith("lab.guess(")
    assert json.loads(told[len("lab.guess(") : -3])["tasks"][0]["title"] == "made-up task p0"
    assert "right on 8 of 8" in (tmp_path / "site" / "advice.html").read_text("utf-8")


def test_the_page_weighs_at_most_120_kb_without_its_data():
    files = ("lab.css", "guess.css", "lab.js", "state.js", "guess.js")
    weight = sum((LAB_FOLDER / "static" / name).stat().st_size for name in files)
    assert weight + len(guess_page(FILE).encode()) <= 120_000


def test_the_lab_serves_both_pages(browser):
    page = browser.get("/guess")
    assert page.status_code == 200
    assert 'id="guess-data"' in page.text
    assert 'href="/guess" aria-current="page"' in page.text
    assert "right on 8 of 8" in browser.get("/advice").text


def test_tasks_whose_rows_can_be_looked_at_come_first(publish):
    bare = task("a").model_copy(update={"shown": ()})
    assert [each["key"] for each in publish(bare, task("b")).guess["tasks"]] == ["b", "a"]
