"""Plan a study in chromium, from a file: five answers end in a task.yaml that `check` accepts."""

import shutil
from pathlib import Path

import pytest
from tests import recorded
from tests.browser_kit import BROWSER_MARKS, CHROMIUM, FLAGS
from tests.studies import lines

from tuneworthy.cli._frame import run
from tuneworthy.lab.export import export_site
from tuneworthy.rows.taskfile import read_task

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    site = export_site(tmp_path_factory.mktemp("plan") / "site").parent
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.said, tab.requests = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("request", lambda one: tab.requests.append(one.url))
        tab.address = (site / "plan.html").as_uri()
        yield tab
        browser.close()


def kept(page, target):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    shutil.copy(waiting.value.path(), target)
    assert page.locator("#yaml").text_content() == target.read_text("utf-8")
    return target


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = recorded.rows(60)
    lines(Path("rows.jsonl"), made)
    lines(Path("today.jsonl"), recorded.failing(made, lambda at: 0.3))
    return tmp_path


def test_the_file_of_five_answers_is_checked_and_run(page, here):
    page.goto(page.address)
    page.get_by_label("a system whose answers I have in a file", exact=True).check()
    page.get_by_label("a system whose answers I have in a file: which").fill("today.jsonl")
    page.get_by_label("More right in 100").select_option("10")
    page.get_by_label("At least right in 100").fill("90")
    page.get_by_label("none: classifiers and recorded answers only").check()
    task = read_task(kept(page, here / "task.yaml"))
    assert (task.name, task.success.margin, task.success.target) == ("rows", 0.1, 0.9)
    assert task.present.answers == "today.jsonl"
    assert task.arms == ("present", "majority", "tfidf")
    assert run(["check"]) == 0
    assert run(["run", "--no-progress"]) in (0, 3)
    assert page.said == []
    assert all(url.startswith("file:") for url in page.requests)


@pytest.mark.parametrize("kind", ["label", "json", "text", "number"])
@pytest.mark.parametrize("model", ["local", "hf", "endpoint", "none"])
def test_every_kind_of_answer_and_model_is_a_task(page, here, kind, model):
    page.goto(page.address)
    page.locator(f'[name="type"][value="{kind}"]').check()
    page.locator(f'[name="model"][value="{model}"]').check()
    page.locator("[name=file]").fill('odd "name": {x}.csv')
    task = read_task(kept(page, here / "task.yaml"))
    assert task.data.file == 'odd "name": {x}.csv'
    assert task.output.type == kind
    assert (task.arms == "auto") == (model != "none" or kind != "label")


def test_the_words_on_rows_follow_the_margin(page):
    page.goto(page.address)
    assert "can be judged" in page.locator("#shows").text_content(), "the first answers agree"
    page.get_by_label("More right in 100").select_option("5")
    assert "may stay open" in page.locator("#shows").text_content()
    instruction = page.locator("[name=instruction]")
    page.locator('[name="type"][value="number"]').check()
    assert "one number" in instruction.input_value()
    instruction.fill("My own words")
    page.locator('[name="type"][value="text"]').check()
    assert instruction.input_value() == "My own words"


def test_a_form_that_no_study_reads_is_refused_at_once(page):
    page.goto(page.address)
    for name, read in (("rows.xlsx", False), ("rows", False), ("ROWS.CSV", True)):
        page.locator("[name=file]").fill(name)
        assert page.locator("#keep").is_enabled() is read
        assert ("tuneworthy init" in page.locator("#file-note").text_content()) is not read


def test_what_is_still_to_fill_in_is_listed(page):
    page.goto(page.address)
    todo = page.locator("#todo")
    assert not todo.text_content()
    page.locator('[name="today"][value="prompt"]').check()
    page.locator('[name="model"][value="hf"]').check()
    assert todo.locator("p").all_text_contents() == [
        "To fill in: NAME and HOST in question 3.", "To fill in: ORG and NAME in question 5.",
        "To write: your prompt as prompt.md, beside task.yaml.",
    ]  # fmt: skip
    page.get_by_label("an open model that runs here: which").fill("hf:Qwen/Qwen3-0.6B")
    assert "question 5" not in todo.text_content()


def test_what_is_left_out_of_the_file_is_said(page):
    page.goto(page.address)
    page.get_by_label("At least right in 100").fill("150")
    assert "left out" in page.locator("#target-note").text_content()
    assert "target" not in page.locator("#yaml").text_content()
    page.locator("[name=file]").fill("")
    assert "Name the file" in page.locator("#file-note").text_content()
    assert page.locator("#keep").is_disabled()
    page.locator('[name="today"][value="answers"]').check()
    page.locator('[name="type"][value="number"]').check()
    page.locator('[name="model"][value="none"]').check()
    assert "A classifier needs labels" in page.locator("#model-note").text_content()
    page.locator('[name="model"][value="endpoint"]').check()
    assert "usd: 5" in page.locator("#yaml").text_content()
