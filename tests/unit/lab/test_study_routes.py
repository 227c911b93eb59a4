"""Pages of studies: what they show, what they refuse, and that a running study goes on."""

import html
import json
import os
import re

import pytest
from study_kit import HASH, KEY, NAME, RESULTS, attacked, finished, running, study

from tuneworthy.core.record import digest
from tuneworthy.core.verdict import Next
from tuneworthy.lab.studies import find_studies
from tuneworthy.lab.study_cases import Filter, case_key, filtered_positions, matrix_of
from tuneworthy.lab.study_decide import decision_screens
from tuneworthy.ledger.place import HOME_FOLDER, STORE_FILE
from tuneworthy.ledger.store import open_ledger
from tuneworthy.results_folder import write_results

TABS = ("task", "plan", "run", "results", "settle", "changes", "build")
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
    assert f"/study/{KEY}/results" in browser.get("/studies").text


def test_a_copy_in_another_folder_has_an_id_of_its_own(tmp_path):
    finished(tmp_path)
    (tmp_path / "copy").mkdir()
    finished(tmp_path / "copy")
    first, second = find_studies(tmp_path)
    assert first.id == KEY != second.id
    assert {first.inside, second.inside} == {"", "copy"}


@pytest.mark.parametrize("tab", TABS)
def test_each_page_has_its_command_and_no_inline_style(browser, tmp_path, tab):
    key = finished(tmp_path)
    reply = browser.get(f"/study/{key}/{tab}")
    assert reply.status_code == 200
    assert '<code class="command">tuneworthy ' in reply.text
    assert "style=" not in reply.text
    assert "<script>" not in reply.text
    assert not re.search(r"\son[a-z]+=", reply.text)
    assert "None" not in text_of(reply), "a Python value is no text"
    assert f'href="/study/{key}/{tab}" aria-current="page"' in reply.text


def test_what_each_page_shows(browser, tmp_path):
    key = finished(tmp_path)
    page = {tab: text_of(browser.get(f"/study/{key}/{tab}")) for tab in TABS}
    assert "name: tickets" in page["task"]
    assert "What do the rows look like?" in page["task"]
    assert "left out: the output is JSON" in page["plan"]
    assert "temperatures 0 to 1.3" in page["plan"]
    assert "How did training go?" in page["run"]
    assert "About 71 clicks" in page["settle"]
    assert "tuneworthy settle" in page["settle"]
    assert "is not measured" in page["changes"]
    assert "Nothing is built yet" in page["build"]
    assert "metric:" in page["results"]


def test_commands_name_the_folder_of_the_task(browser, tmp_path):
    (tmp_path / "my tickets").mkdir()
    key = finished(tmp_path / "my tickets")
    assert "tuneworthy plan &#39;my tickets&#39;" in browser.get(f"/study/{key}/plan").text


def test_the_matrix_keeps_its_filter_in_the_address(browser, tmp_path):
    key, matrix = finished(tmp_path), matrix_of(RESULTS)
    counts = {}
    for show in ("all", "failures", "different"):
        reply = browser.get(f"/study/{key}/results?show={show}")
        counts[show] = len(set(re.findall(rf"/study/{key}/case/([0-9a-f]{{16}})", reply.text)))
        assert counts[show] == min(25, len(filtered_positions(RESULTS, matrix, Filter(show))))
        assert f'href="?show={show}#cases" aria-current="true"' in reply.text
    failing = [case.id for case, value in
               zip(RESULTS.cases, matrix.values[RESULTS.verdict.arm], strict=True)
               if value is not None and value < RESULTS.task.success.passes_from]  # fmt: skip
    found = [RESULTS.cases[i].id for i in filtered_positions(RESULTS, matrix, Filter("failures"))]
    assert sorted(found) == sorted(failing)
    assert 0 < counts["failures"] < counts["all"]
    last = browser.get(f"/study/{key}/results?page=2").text
    assert "Page 2 of 2" in last


@pytest.mark.parametrize(
    ("query", "status"),
    [("show=none", 422), ("page=0", 422), ("page=x", 422), ("page=3", 404), ("cause=x", 404),
     ("page=99999999999", 422), ("cause=" + "x" * 50, 422), ("cause=%3Cb%3E", 404)],
)  # fmt: skip
def test_a_wrong_filter_is_named(browser, tmp_path, query, status):
    reply = browser.get(f"/study/{finished(tmp_path)}/results?{query}", headers=PAGE)
    assert reply.status_code == status
    assert "<b>" not in reply.text
    assert "what to do" in reply.text


def test_a_case_shows_prompt_answer_reading_and_reason(browser, tmp_path):
    key, case = finished(tmp_path), RESULTS.cases[3]
    matrix = matrix_of(RESULTS)
    order = filtered_positions(RESULTS, matrix, Filter("failures"))
    name = case_key(RESULTS.cases[order[1]].id)
    near = browser.get(f"/study/{key}/case/{name}?show=failures").text
    for position in (order[0], order[2]):
        place = case_key(RESULTS.cases[position].id)
        assert f'href="/study/{key}/case/{place}?show=failures"' in near
    told = text_of(browser.get(f"/study/{key}/case/{case_key(case.id)}"))
    assert case.id in told
    for heading in ("Asked", "Right answer", "Raw answer", "Read as", "Why this score"):
        assert heading in told
    assert " beside lora " in told, "the base beside the tuned arm"
    assert "Prompt sent" in told
    for run in RESULTS.runs:
        if run.answers and run.spec.role == "candidate":
            assert run.spec.name in told


def test_texts_of_several_lines_keep_them(browser, tmp_path):
    case = RESULTS.cases[0].model_copy(update={"output": "one\n\ttwo\x1b[31m <b>"})
    key = finished(tmp_path, RESULTS.model_copy(update={"cases": (case, *RESULTS.cases[1:])}))
    page = browser.get(f"/study/{key}/case/{case_key(case.id)}").text
    assert "<pre>one\n\ttwo\\x1b[31m &lt;b&gt;</pre>" in page


def test_decide_asks_twelve_questions_one_a_screen(browser, tmp_path):
    key = finished(tmp_path)
    found = decision_screens(RESULTS)
    assert [one.name for one in found[:3]] == ["wrong", "context", "success"]
    assert len(found) == 3 + len(RESULTS.verdict.questions)
    first = browser.get(f"/decide/{key}")
    assert "What exactly is wrong with the base model?" in first.text
    for at, one in enumerate(found):
        reply = browser.get(f"/decide/{key}?q={one.name}")
        assert one.question in text_of(reply)
        assert f"{at + 1} of {len(found)}" in reply.text
        if one.answer == "not measured":
            assert one.command.startswith("tuneworthy "), one.name
            assert one.command in reply.text
    answered = next(one for one in found if one.name == "enough_data")
    assert answered.answer == "yes"
    assert answered.number, "with its interval"
    assert browser.get(f"/decide/{key}?q=none").status_code == 404


def test_an_open_question_names_the_keys_that_it_lacks():
    verdict = RESULTS.verdict
    questions = [
        one.model_copy(update={"answer": "not_measured", "because": because, "next": step})
        for one, because, step in zip(
            verdict.questions,
            ("not measured (key `bigger`)",
             "not measured (task.yaml has none)", "too small: needs about 40 rows"),
            ("measure bigger", "write down knowledge.changed_share and knowledge.over", "score"),
            strict=False,
        )
    ]  # fmt: skip
    changed = verdict.model_copy(update={"questions": tuple(questions)})
    found = decision_screens(RESULTS.model_copy(update={"verdict": changed}))[3:]
    assert found[0].yaml == "bigger: …"
    assert found[1].yaml == "knowledge:\n  changed_share: …\n  over: …"
    assert (found[2].command, found[2].yaml) == ("tuneworthy run", "")


def test_a_running_study_shows_what_it_would_say_now(browser, tmp_path):
    with running(tmp_path / "one"):
        told = text_of(browser.get("/studies"))
        arm, use = RESULTS.verdict.arm, RESULTS.verdict.use.upper()
        assert f"If you stopped now: {use} ({arm}), may leave 14 → 9 points" in told
        live = browser.get(f"/api/studies/{KEY}/run").json()
        assert live["state"] == "running"
        assert [row["state"] for row in live["arms"]] == ["done", "done", "left out", "at work"]
        assert [row["done"] for row in live["arms"]] == [30, 30, 0, 0], "seldom: each row is synced"
        assert any(row["named"] and row["score"] for row in live["ladder"])
        page = browser.get(f"/study/{KEY}/run")
        assert 'data-state="running"' in page.text
        assert "&lt;b&gt;message&lt;/b&gt;" in page.text
        assert "left out: the output is JSON" in text_of(browser.get(f"/study/{KEY}/plan"))
        early = browser.get(f"/study/{KEY}/results", headers=PAGE)
        assert early.status_code == 404
        assert "it has not ended" in early.text or "has no results yet" in early.text
    assert browser.get(f"/api/studies/{KEY}/run").json()["state"] == "stopped"
    assert "It was stopped" in browser.get(f"/study/{KEY}/run").text
    finished(tmp_path / "one")
    assert browser.get(f"/api/studies/{KEY}/run").json()["state"] == "done"


def test_no_case_is_shown_before_the_study_has_ended(browser, tmp_path):
    with running(tmp_path):
        for path in (*TABS, f"case/{case_key(RESULTS.cases[0].id)}"):
            reply = browser.get(f"/study/{KEY}/{path}")
            assert RESULTS.cases[0].input not in reply.text, path
        assert browser.get(f"/decide/{KEY}").status_code == 404


def test_pages_write_nothing_and_do_not_hold_up_the_writer(browser, tmp_path):
    with running(tmp_path) as tell:
        before = len(list((tmp_path / HOME_FOLDER).iterdir()))
        for number in range(5):
            browser.get(f"/study/{KEY}/run")
            tell("arm", RESULTS.plan.arms[0])
            assert len(browser.get(f"/api/studies/{KEY}/run").json()["arms"]) >= 4, number
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
    for path in (f"/study/{key}/results", f"/study/{KEY}/case/{key}", f"/decide/{key}",
                 f"/api/studies/{key}/run", f"/study/{KEY}/{key}"):  # fmt: skip
        reply = browser.get(path, headers=PAGE)
        assert reply.status_code in (400, 404), path
        assert "<b>" not in reply.text
        assert str(secret.parent) not in reply.text


def test_a_name_with_markup_stays_text(browser, tmp_path):
    results = attacked(study(12), ATTACK)
    home = tmp_path / "<img src=x>"
    home.mkdir()
    key = finished(home, results)
    cases = re.findall(r"/case/([0-9a-f]{16})", browser.get(f"/study/{key}/results").text)
    paths = ["/studies", f"/decide/{key}", f"/study/{key}/case/{cases[0]}"]
    paths += [f"/study/{key}/{tab}" for tab in TABS]
    paths += [f"/decide/{key}?q={one.name}" for one in decision_screens(results)[:3]]
    for path in paths:
        reply = browser.get(path)
        assert reply.status_code == 200, path
        assert "<img" not in reply.text, path
        assert "</script><" not in reply.text.replace("defer></script>", ""), path
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
    reply = browser.get(f"/study/{key}/results", headers=PAGE)
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
    key = finished(tmp_path)
    assert "provisional" in browser.get("/studies").text
    firm = RESULTS.verdict.model_copy(update={"status": "firm"})
    write_results(RESULTS.model_copy(update={"verdict": firm}), tmp_path, HASH)
    assert "firm" in text_of(browser.get(f"/study/{key}/settle"))


def test_builds_of_this_verdict_come_first(browser, tmp_path):
    key = finished(tmp_path)
    for name in ("a-1", "b-refused", ".draft-c"):
        (tmp_path / "build" / name).mkdir(parents=True)
    (tmp_path / "build" / "a-1" / "artefact.json").write_text(json.dumps({"id": 1}))
    told = text_of(browser.get(f"/study/{key}/build"))
    assert "it has no artefact.json that can be read" in told
    assert "refused: it answers otherwise" in told
    assert "draft" not in told


def test_the_ids_are_hashes():
    assert digest(NAME, 16) == KEY
    assert re.fullmatch(r"[0-9a-f]{16}", case_key("../../etc/passwd"))


def test_the_path_to_a_decision_names_the_minutes_of_the_verdict():
    step = Next(do="raise budget.minutes", minutes=4, why="no room: `tuneworthy run --more 4m`")
    verdict = RESULTS.verdict.model_copy(update={"next": step})
    plan = RESULTS.plan.model_copy(update={"whole": 90.0, "staged": True})
    seen = RESULTS.evidence.model_copy(update={"diagnosis": None})
    results = RESULTS.model_copy(update={"verdict": verdict, "plan": plan, "evidence": seen})
    first = decision_screens(results)[0]
    assert (first.name, first.command) == ("wrong", "tuneworthy run --more 4m")
