"""The page of two studies: what differs, the cases behind it, and what can't be compared."""

import html
import os
import re

import pytest
from study_kit import RESULTS, finished, study

from tuneworthy.compare.two_studies import compare_studies, scores_by_arm, slices_of_pair
from tuneworthy.core.record import digest
from tuneworthy.lab.study_cases import case_key
from tuneworthy.lab.study_facts import study_rows
from tuneworthy.report import _words as words

PAGE = {"accept": "text/html"}
OTHER = "cd" * 32


def text_of(reply):
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", reply.text)))


def shifted(results, arm="lora", fall=8):
    """Return the results with the first right answers of an arm scored 0."""
    runs, left = [], fall
    for run in results.runs:
        scores = list(run.scores)
        for at, score in enumerate(scores):
            if run.spec.name == arm and left and getattr(score, "value", 0) == 1:
                scores[at], left = score.model_copy(update={"value": 0.0}), left - 1
        runs.append(run.model_copy(update={"scores": tuple(scores)}))
    return results.model_copy(update={"runs": tuple(runs)})


@pytest.fixture
def two(tmp_path):
    """Two finished studies of a folder, the second with 8 answers of one arm less right."""
    second = shifted(RESULTS)
    return finished(tmp_path), finished(tmp_path, second, OTHER), second


def test_every_pair_has_its_interval_and_the_cases_behind_it(browser, two):
    a, b, second = two
    reply = browser.get(f"/compare?a={a}&b={b}")
    assert reply.status_code == 200
    told, pairs = text_of(reply), compare_studies(RESULTS, second)
    for pair in pairs:
        assert words.span(pair) in told
    at, lora = next((k, one) for k, one in enumerate(pairs) if one.arm == "lora")
    assert (lora.losses, lora.wins) == (8, 0)
    page = browser.get(f"/compare?a={a}&b={b}&pair={at}")
    old, new = (scores_by_arm(one, frozenset())["lora"] for one in (RESULTS, second))
    differ = [case.id for case in RESULTS.cases if old[case.id] != new[case.id]]
    assert len(differ) == 8
    for name in differ:
        for key in (a, b):
            assert f'href="/study/{key}/case/{case_key(name)}"' in page.text
            assert browser.get(f"/study/{key}/case/{case_key(name)}").status_code == 200
    assert page.text.count('aria-label="A: ') == 8
    assert "Scored differently on 8 of 30 cases" in text_of(page)
    assert browser.get(f"/compare?a={a}&b={b}&pair={at}&side=gained").text.count("data-row") == len(
        pairs
    )
    assert f"tuneworthy compare results/{RESULTS.task.name}-" in page.text
    assert "style=" not in page.text
    assert "None" not in told


def test_the_parts_of_the_cases_have_the_differences_of_the_pair(browser, two):
    a, b, second = two
    pair = next(one for one in compare_studies(RESULTS, second) if one.arm == "lora")
    parts = slices_of_pair(RESULTS, second, pair)
    thirds = [part for part in parts.slices if part.kind == "length"]
    assert sum(part.n for part in thirds) == pair.n == parts.n
    whole = sum(part.delta.mean * part.n for part in thirds) / pair.n
    assert whole == pytest.approx(pair.mean, abs=1e-5)
    assert (parts.arm, parts.rival) == ("B lora", "A lora")
    told = text_of(browser.get(f"/compare?a={a}&b={b}"))
    for part in parts.slices:
        assert words.span(part.delta) in told


def test_swapped_the_differences_change_their_sign(browser, two):
    a, b, second = two
    (lora,) = (one for one in compare_studies(second, RESULTS) if one.arm == "lora")
    assert lora.wins == 8
    assert words.span(lora) in text_of(browser.get(f"/compare?a={b}&b={a}"))


def test_studies_are_chosen_one_after_the_other(browser, two):
    a, b, _ = two
    first = browser.get("/compare")
    assert "Choose A" in first.text
    assert {f"/compare?a={key}" for key in (a, b)} <= set(re.findall(r'href="([^"]+)"', first.text))
    then = browser.get(f"/compare?a={a}")
    assert "Choose B" in then.text
    assert f'href="/compare?a={a}&amp;b={b}"' in then.text
    assert f"b={a}" not in then.text
    assert f'href="/compare?a={a}"' in browser.get("/studies").text


def test_an_unknown_study_is_named_with_those_that_are_there(browser, two):
    a, b, _ = two
    for query in (f"a={a}&b={'0' * 16}", f"a=nothing&b={b}", "a=%3Cscript%3E", f"a={a}&b=../x"):
        reply = browser.get(f"/compare?{query}", headers=PAGE)
        assert reply.status_code == 404
        assert "No finished study of this folder has this id" in reply.text
        known = f"a={a}&amp;b={b}" if f"a={a}" in query else f"a={a}"
        assert f'href="/compare?{known}"' in reply.text
        assert "<script>" not in reply.text


def test_two_metrics_are_never_subtracted(browser, two, tmp_path):
    a = two[0]
    success = RESULTS.task.success.model_copy(update={"pass_at": 0.25})
    other = RESULTS.model_copy(update={"task": RESULTS.task.model_copy(update={
        "success": success})})  # fmt: skip
    c = finished(tmp_path, other, "ef" * 32)
    reply = browser.get(f"/compare?a={a}&b={c}", headers=PAGE)
    assert reply.status_code == 422
    assert "The two studies were not scored by the same metric" in text_of(reply)
    assert "pass_at: 1.0 in A, 0.25 in B" in text_of(reply)


def test_other_rows_under_the_same_ids_are_refused(browser, two, tmp_path):
    rows = study(30)
    turned = [case.model_copy(update={"messages": (
        case.messages[0].model_copy(update={"content": f"row {k}"}),)})
        for k, case in enumerate(rows.cases)]  # fmt: skip
    c = finished(tmp_path, rows.model_copy(update={"cases": tuple(turned)}), "ef" * 32)
    reply = browser.get(f"/compare?a={two[0]}&b={c}")
    assert reply.status_code == 422
    assert "name other rows" in text_of(reply)


@pytest.mark.parametrize(
    ("query", "status"),
    [("pair=99", 404), ("pair=-1", 422), ("pair=x", 422), ("side=none", 422),
     ("pair=99999999999", 422)],
)  # fmt: skip
def test_a_wrong_filter_is_named(browser, two, query, status):
    a, b, _ = two
    reply = browser.get(f"/compare?a={a}&b={b}&{query}", headers=PAGE)
    assert reply.status_code == status
    assert "what to do" in reply.text.lower()


def test_the_same_study_twice_and_too_few_studies_say_so(browser, tmp_path):
    assert "No finished study here yet" in browser.get("/compare").text
    a = finished(tmp_path)
    assert "a second one is needed" in browser.get("/compare").text
    assert f"/compare?a={a}" not in browser.get("/studies").text
    reply = browser.get(f"/compare?a={a}&b={a}")
    assert reply.status_code == 422
    assert "This is the same study twice" in reply.text
    assert digest("x", 16) not in reply.text


@pytest.mark.parametrize("newest", [0, 1])
def test_the_newest_study_comes_first_within_a_minute_too(tmp_path, two, newest):
    for at, path in enumerate(sorted(tmp_path.glob("results/*/verdict.json"))):
        seconds = 1_790_000_040 + (30 if at == newest else 0)
        os.utime(path, (seconds, seconds))
    rows = study_rows(tmp_path)
    assert [row["id"] for row in rows] == [two[newest], two[1 - newest]]
    assert rows[0]["date"] == rows[1]["date"]
