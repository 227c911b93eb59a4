"""Pages of studies: what they show, what they refuse, and that a running study goes on."""

import html
import os
import re

import pytest
from study_kit import HASH, KEY, NAME, RESULTS, attacked, finished, running, study

from tuneworthy.lab.security import POLICY
from tuneworthy.lab.studies import find_studies, find_study, results_of
from tuneworthy.lab.study_pages import run_snapshot
from tuneworthy.records.record import digest
from tuneworthy.report import fact_lines
from tuneworthy.report.results_folder import write_results
from tuneworthy.store.place import HOME_FOLDER, STORE_FILE
from tuneworthy.store.store import open_ledger
from tuneworthy.verdict import phrases

PARTS = ("", "/run", "/settle")
PAGE = {"accept": "text/html"}
ATTACK = "</script><img src=x onerror=alert(1)>\x1b]0;\u202e"


def text_of(reply):
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", reply.text)))


def test_an_empty_folder_says_what_will_stand_here(browser):
    reply = browser.get("/studies")
    assert reply.status_code == 200
    assert "No study here yet" in reply.text
    assert "tuneworthy demo" in reply.text
    assert 'href="/studies" aria-current="page"' in reply.text
    assert 'href="/studies"' in browser.get("/").text


def test_the_list_has_verdict_status_rows_and_place(browser, tmp_path):
    finished(tmp_path)
    (tmp_path / "tickets").mkdir()
    finished(tmp_path / "tickets", study="cd" * 32)
    told = text_of(browser.get("/studies"))
    arm, use = RESULTS.verdict.arm, RESULTS.verdict.use
    assert f"Use: {arm} ({use})" in told
    assert told.count("provisional 30") == 2
    assert "in tickets" in told
    assert f'/study/{KEY}"' in browser.get("/studies").text


def test_a_copy_in_another_folder_has_an_id_of_its_own(tmp_path):
    finished(tmp_path)
    (tmp_path / "copy").mkdir()
    finished(tmp_path / "copy")
    first, second = find_studies(tmp_path)
    assert first.id == KEY != second.id
    assert {first.inside, second.inside} == {"", "copy"}


@pytest.mark.parametrize("part", PARTS)
def test_each_page_leads_to_the_others_and_has_no_inline_style(browser, tmp_path, part):
    key = finished(tmp_path)
    reply = browser.get(f"/study/{key}{part}")
    assert reply.status_code == 200
    for address in {"/studies", *(f"/study/{key}{other}" for other in PARTS)} - {f"/study/{key}"}:
        assert f'href="{address}"' in reply.text
    assert "style=" not in reply.text
    assert "<style" not in reply.text
    assert "<script>" not in reply.text
    assert not re.search(r"\son[a-z]+=", reply.text)
    assert not re.search(r"\bNone\b", text_of(reply)), "a Python value is no text"


def test_the_report_is_the_file_of_the_study_with_the_labs_policy(browser, tmp_path):
    key = finished(tmp_path)
    reply = browser.get(f"/study/{key}")
    assert reply.headers["content-security-policy"] == POLICY
    assert "http-equiv" not in reply.text
    file = (tmp_path / "results" / NAME / "report.html").read_text("utf-8")
    block = re.compile('<section class="verdict".*</main>', re.S)
    assert block.search(reply.text)[0] == block.search(file)[0]
    for name in ("report.css", "report.js"):
        assert f'"/static/{name}"' in reply.text
        assert browser.get(f"/static/{name}").status_code == 200
        assert name not in file


def test_the_page_of_settling_names_the_votes_and_the_folder(browser, tmp_path):
    (tmp_path / "my tickets").mkdir()
    page = browser.get(f"/study/{finished(tmp_path / 'my tickets')}/settle")
    assert "About 71 clicks" in text_of(page)
    assert "tuneworthy settle &#39;my tickets&#39;" in page.text


def test_every_page_of_a_study_speaks_from_the_same_verdict(browser, tmp_path):
    key = finished(tmp_path)
    verdict = RESULTS.verdict
    headline = f"{phrases.headline_and_arm(verdict)} ({verdict.use})"
    pages = {path: text_of(browser.get(path)) for path in
             ("/studies", *(f"/study/{key}{part}" for part in PARTS))}  # fmt: skip
    for path, told in pages.items():
        assert headline in told.replace(") provisional", ") · provisional"), path
        assert "provisional" in told, path
    left = fact_lines.left_line(RESULTS)
    assert left in pages[f"/study/{key}"]
    assert left in pages[f"/study/{key}/settle"]
    questions = pages[f"/study/{key}"].partition("The five-question checklist")[2]
    assert f"the verdict above says “{phrases.headline_and_arm(verdict)}”" in questions
    assert "Five times yes" not in questions


def test_a_running_study_shows_what_it_would_say_now(browser, tmp_path):
    with running(tmp_path / "one"):
        told = text_of(browser.get("/studies"))
        arm, use = RESULTS.verdict.arm, RESULTS.verdict.use.upper()
        assert f"If you stopped now: {use} ({arm}), at most 9 points may be left" in told
        live = run_snapshot(find_study(tmp_path, KEY))
        assert live["state"] == "running"
        assert [row["state"] for row in live["arms"]] == ["done", "done", "left out", "at work"]
        assert [row["done"] for row in live["arms"]] == [30, 30, 0, 0], "seldom: each row is synced"
        assert any(row["named"] and row["score"] for row in live["ladder"])
        page = browser.get(f"/study/{KEY}/run")
        assert 'data-state="running"' in page.text
        assert "&lt;b&gt;message&lt;/b&gt;" in page.text
        early = browser.get(f"/study/{KEY}", headers=PAGE)
        assert early.status_code == 404
        assert "it has not ended" in early.text or "has no results yet" in early.text
    assert run_snapshot(find_study(tmp_path, KEY))["state"] == "stopped"
    assert "It was stopped" in browser.get(f"/study/{KEY}/run").text
    finished(tmp_path / "one")
    assert run_snapshot(find_study(tmp_path, KEY))["state"] == "done"
    assert f"Use: {arm}" in text_of(browser.get(f"/study/{KEY}/run")), "its verdict, no draft"


def test_the_run_of_a_study_without_events_names_its_verdict_and_report(browser, tmp_path):
    page = browser.get(f"/study/{finished(tmp_path)}/run")
    assert f"Use: {RESULTS.verdict.arm}" in text_of(page)
    assert "no record of how this study ran" in text_of(page)
    assert f'<a href="/study/{KEY}">Its report</a>' in page.text
    assert "no verdict yet" not in page.text.lower()


@pytest.mark.parametrize(("change", "told", "votes"), [
    ({}, "would settle it within 5 points", True),
    ({"pool": 0}, "There are no inputs to vote on yet", False),
    ({"pairs": ()}, "No vote helps", False),
    ({"blocks": ("a leak was left in",)}, "No vote helps before", False),
])  # fmt: skip
def test_the_page_of_settling_asks_for_votes_only_where_they_help(
    browser, tmp_path, change, told, votes
):
    evidence = RESULTS.evidence.model_copy(update={"pool": 9, **change})
    page = browser.get(
        f"/study/{finished(tmp_path, RESULTS.model_copy(update={'evidence': evidence}))}/settle"
    )
    assert told in text_of(page)
    assert ('id="voting"' in page.text, "settle.js" in page.text) == (votes, votes)


def test_no_case_is_shown_before_the_study_has_ended(browser, tmp_path):
    with running(tmp_path):
        for part in PARTS:
            reply = browser.get(f"/study/{KEY}{part}")
            assert RESULTS.cases[0].input not in reply.text, part
            assert reply.status_code == (200 if part == "/run" else 404)


def test_pages_write_nothing_and_do_not_hold_up_the_writer(browser, tmp_path):
    with running(tmp_path) as tell:
        before = len(list((tmp_path / HOME_FOLDER).iterdir()))
        for number in range(5):
            browser.get(f"/study/{KEY}/run")
            tell("arm", RESULTS.plan.arms[0])
            assert len(run_snapshot(find_study(tmp_path, KEY))["arms"]) >= 4, number
        assert len(list((tmp_path / HOME_FOLDER).iterdir())) <= before + 2, (
            "SQLite's own files alone"
        )
    with open_ledger(tmp_path, write=False) as ledger:
        assert ledger.verify() > 0
        assert ledger.doors(HASH) == [], "no page opens the sealed cases"


@pytest.mark.parametrize(
    "key", ["0" * 16, "ab", "nothing", NAME, "%2e%2e", "a%2f..%2fetc", "a%00b", "%3Cb%3E",
            "x" * 300],
)  # fmt: skip
def test_an_id_is_never_a_path(browser, tmp_path, key):
    finished(tmp_path)
    secret = tmp_path.parent / "results.json"
    for path in (f"/study/{key}", f"/study/{key}/settle", f"/study/{key}/run",
                 f"/study/{KEY}/{key}"):  # fmt: skip
        reply = browser.get(path, headers=PAGE)
        assert reply.status_code in (400, 404), path
        assert "<b>" not in reply.text
        assert str(secret.parent) not in reply.text


def test_a_name_with_markup_stays_text(browser, tmp_path):
    results = attacked(study(12), ATTACK)
    home = tmp_path / "<img src=x>"
    home.mkdir()
    key = finished(home, results)
    paths = ["/studies", *(f"/study/{key}{part}" for part in PARTS)]
    for path in paths:
        reply = browser.get(path)
        assert reply.status_code == 200, path
        assert "<img" not in reply.text, path
        assert "</script><img" not in reply.text, path
        assert "\x1b" not in reply.text, path
        assert "\u202e" not in reply.text, path


def test_links_are_no_studies(browser, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    finished(outside)
    (tmp_path / "linked").symlink_to(outside)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / NAME).symlink_to(outside / "results" / NAME)
    (tmp_path / "results" / "other-12345678").mkdir()
    (tmp_path / "results" / "other-12345678" / "results.json").symlink_to(
        outside / "results" / NAME / "results.json"
    )
    assert find_studies(tmp_path) == []
    os.mkfifo(tmp_path / "results" / "other-12345678" / "verdict.json")
    assert browser.get("/studies").status_code == 200


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff" * 9, b"[" * 5000])
def test_results_that_can_not_be_read_are_named(browser, tmp_path, content):
    key = finished(tmp_path)
    (tmp_path / "results" / NAME / "results.json").write_bytes(content)
    (tmp_path / "results" / NAME / "verdict.json").write_bytes(content)
    reply = browser.get(f"/study/{key}", headers=PAGE)
    assert reply.status_code == 422
    assert "another version" in reply.text
    assert "can't be read" in text_of(browser.get("/studies"))


def test_a_ledger_of_somebody_else_is_data(browser, tmp_path):
    (tmp_path / HOME_FOLDER).mkdir(exist_ok=True)
    (tmp_path / HOME_FOLDER / STORE_FILE).write_bytes(b"no database" * 100)
    assert browser.get("/studies").status_code == 200
    (tmp_path / HOME_FOLDER / STORE_FILE).unlink()
    with open_ledger(tmp_path) as ledger:
        for number, name in enumerate(("../..", "a/b", "", ".", "..", "x" * 500, "good-12345678")):
            ledger.freeze(f"{number:064d}", "results folder", {"folder": name})
    assert [place.name for place in find_studies(tmp_path)] == ["good-12345678"]


def test_new_results_are_read_at_once(browser, tmp_path):
    def statuses():
        row = re.search(r'data-of="Status"[^>]*>(\w+)<', browser.get("/studies").text)
        (place,) = find_studies(tmp_path)
        return row[1], results_of(place).verdict.status

    finished(tmp_path)
    assert statuses() == ("provisional", "provisional")
    firm = RESULTS.verdict.model_copy(update={"status": "firm"})
    write_results(RESULTS.model_copy(update={"verdict": firm}), tmp_path, HASH)
    assert statuses() == ("firm", "firm")


def test_the_ids_are_hashes():
    assert digest(NAME, 16) == KEY
