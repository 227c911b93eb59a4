"""The page: self-contained, escaped, every missing value with its reason."""

import base64
import csv
import hashlib
import json
import random
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from study_fixture import attacked, study

from tuneworthy.records.escape import for_html
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report._data import TextTable, bin_means, page_data, score_matrix
from tuneworthy.report.html import page
from tuneworthy.report.page_parts import Columns
from tuneworthy.report.results_folder import read_results, write_results
from tuneworthy.report.row_sections import missing_values
from tuneworthy.report.training_sections import training_section
from tuneworthy.verdict.missing import json_pointer, null_paths

ATTACKS = [
    "<script>steal()</script>", "<img src=x onerror=steal()>", "</script><b>", "<!--",
    "<svg/onload=x>",
    '"><a href="javascript:steal()">', "data:text/html,<b>", "x{background:url(http://evil.example)}",
    "<noscript><p title='</noscript><img src=x onerror=steal()>'>", "{{ 7*7 }}{% raw %}",
    "\u2028\ufeff\x00\ud800\u202e\u200b", "![b](http://evil.example/x.png)",
    "\x1b]8;;http://x\x07",
    "&lt;script&gt;", "' onmouseover='steal()", "]]>", "<style>*{}</style>",
]  # fmt: skip


FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "fetch(",
             "Function(", ".style", "XMLHttp")  # fmt: skip


class Seen(HTMLParser):
    """Every tag with its attributes, and the text of each script and style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.raw, self._in = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in = (tag, dict(attrs))
            self.raw.append([self._in, ""])

    def handle_endtag(self, tag):
        if self._in and tag == self._in[0]:
            self._in = None

    def handle_data(self, data):
        if self._in:
            self.raw[-1][1] += data


@pytest.fixture(scope="module")
def results():
    return study()


@pytest.fixture(scope="module")
def text(results):
    return page(results)


def shape(seen):
    """Return the structure that data must not change: tags, attribute names, links, sources.

    A bare `code` is left out: back-ticks in a sentence make it, and it can do nothing.
    """
    keys = ("href", "src", "http-equiv")
    tags = [(tag, a) for tag, a in seen.tags if (tag, a) != ("code", {})]
    return [(tag, tuple(a), *(a[k] for k in keys if k in a)) for tag, a in tags]


def test_one_file_asks_nobody(text):
    seen = Seen(text)
    for tag, attributes in seen.tags:
        assert not {"src", "srcset", "style", "action", "data", "poster"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert re.match(r"#|data:,$", attributes.get("href") or "#"), attributes
        assert tag not in {"iframe", "object", "embed", "base", "img"}
    styles = "".join(body for (tag, _), body in seen.raw if tag == "style")
    assert "url(" not in styles
    assert "@import" not in styles
    outside = re.findall(r"https?://[^\s\"'<>]+", text)
    assert not [url for url in outside if "w3.org" not in url]


def test_the_policy_allows_this_script_and_style_only(text):
    seen = Seen(text)
    policy = next(a["content"] for t, a in seen.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for (tag, attributes), body in seen.raw:
        if attributes.get("type") == "application/json":
            continue
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    script = next(b for (t, a), b in seen.raw if t == "script" and not a)
    for word in FORBIDDEN:
        assert word not in script, word


def test_the_first_screen_stands_in_the_page_without_a_script(text):
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", plain))
    for said in ("Don&#39;t fine-tune yet.", "Use: constrained (schema)",
                 "7.2 points better (95 % sure)",
                 "not shown better than ▶ : +2 (−2.5 … +7.2)", "220 of 250 is not 88 %",
                 "no closed set of labels", "tuneworthy settle, about 71 clicks",
                 "won 8, equal 239, lost 3", "250 of 256 rows used"):  # fmt: skip
        assert said in words, said


def hostile(results, attack):
    return page(attacked(results, attack))


@cache
def harmless(n, length):
    """Return the shape with plain letters in every field: a longer name may move a label."""
    return shape(Seen(hostile(study(n), "x" * length)))


def changes_no_tag(small, attack):
    bad = Seen(hostile(small, attack))
    assert shape(bad) == harmless(len(small.cases), len(attack)), attack
    (data,) = (b for (t, a), b in bad.raw if a.get("type") == "application/json")
    assert any(attack in t for t in json.loads(data)["texts"])  # it is there, as text


@pytest.mark.parametrize("part", range(3))
def test_a60_a62_text_of_rows_changes_no_tag(part):
    changes_no_tag(study(n=3), " ".join(ATTACKS[part::3]))


@pytest.mark.full
@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a60_a62_no_single_attack_changes_a_tag(attack):
    changes_no_tag(study(n=3), attack)


def test_a60_a_template_in_a_row_is_text():
    text = hostile(study(n=5), "{{ 7*7 }}")
    assert "{{ 7*7 }}" in text
    assert "majority49" not in text


def test_a60_the_check_can_fail():
    small = study(n=5)
    bad = page(small).replace("majority</span>", "<img src=x onerror=x></span>")
    assert shape(Seen(page(small))) != shape(Seen(bad))


def test_a61_the_page_can_always_be_written_as_utf_8():
    hostile(study(n=5), "\ud800\x00\u202e").encode("utf-8")
    assert "\u202e" not in hostile(study(n=5), "\u202e")


@pytest.mark.long
def test_a60_a62_five_thousand_attacks():
    small, rng = study(n=5), random.Random(3)
    for _ in range(5000):
        attack = "".join(rng.choice([*ATTACKS, *"<>&'\"/\\`=\n\0 ax"]) for _ in range(6))
        changes_no_tag(small, attack)


def test_every_null_of_the_verdict_is_shown_with_its_reason(results, text):
    rows = missing_values(results)
    shown = re.sub(r"<[^>]+>", "\n", text.split('id="missing"')[1])
    for row in rows:
        assert row["what"] in shown
        assert for_html(row["why"]) in shown
        assert row["why"] != "no reason was recorded", row
    pointers = list(map(json_pointer, null_paths(results.verdict.plain())))
    assert "/changes" in pointers
    assert len(pointers) > 20
    assert "NaN" not in text
    assert ">None<" not in text


def test_what_one_reason_explains_is_said_once(results):
    rows = [row for row in missing_values(results) if row["where"] == ["tfidf"]]
    assert [row["why"] for row in rows] == ["the output is JSON: there is no closed set of labels"]
    assert {"score", "delta", "valid", "tokens"} <= set(rows[0]["what"].split(", "))


def test_names_in_back_ticks_are_code_and_stay_escaped(results):
    verdict = results.verdict.model_copy(update={"because": "`<b>` beats `x"})
    text = page(results.model_copy(update={"verdict": verdict}))
    assert "<code>&lt;b&gt;</code> beats `x" in text


def test_a_null_without_a_reason_is_not_hidden(results):
    verdict = results.verdict.model_copy(update={"seconds": None})
    rows = missing_values(results.model_copy(update={"verdict": verdict}))
    assert {"what": "seconds", "where": [], "why": "no reason was recorded"} in rows


def test_a_study_of_one_arm_without_grid_still_makes_a_page(results):
    arms = results.evidence.arms[:1]
    bare = results.model_copy(
        update={
            "evidence": results.evidence.model_copy(update={"arms": arms, "pairs": ()}),
            "runs": (), "grid": (), "cases": (),
            "verdict": results.verdict.model_copy(
                update={"arm": None, "use": "none", "by_margin": (), "left_on_table": None}
            ),
        }
    )  # fmt: skip
    text = page(bare)
    assert "No arm can be named." in text
    assert "this study stored no grid" in text
    assert "fewer than two arms that can be named" in text


def test_the_matrix_folds_seeds_and_sorts_the_hardest_first(results):
    matrix = score_matrix(results)
    assert sorted(matrix.order) == list(range(250))
    candidates = [a.name for a in results.evidence.arms if a.role == "candidate" and a.score]
    means = []
    for i in matrix.order:
        known = [v for name in candidates if (v := matrix.values[name][i]) is not None]
        means.append(sum(known) / len(known))
    assert means == sorted(means)
    assert sum(matrix.values["constrained"]) == 220
    assert sum(matrix.values["lora"]) == 225  # the artefact's seed, not the mean of two
    assert all(len(cell) == 2 for cell in matrix.answers["lora"])


def test_bins_are_means_and_keep_what_was_not_measured():
    assert bin_means([1.0, 0.0, None, None, 1.0, 1.0], 3) == [0.5, None, 1.0]
    assert bin_means([0.5], 10) == [0.5]


def test_prompts_are_stored_once_and_dropped_with_their_length_when_there_is_no_room():
    texts = TextTable(room=10)
    assert texts.prompt_indexes([("system", "12345")]) == [["system", 0]]
    assert texts.prompt_indexes([("system", "12345"), ("user", "1234567")]) == 12
    messages = [("system", "12345"), ("user", "123")]
    assert texts.prompt_indexes(messages) == [["system", 0], ["user", 1]]


def test_the_data_holds_every_answer_and_the_grid(results):
    data = page_data(results, score_matrix(results))
    assert len(data["cases"]) == 250
    assert len(data["grid"]) == len(results.grid)
    assert all(len(row) == 250 for row in data["values"])
    texts = [data["texts"][a["text"]] for arm in data["answers"] for c in arm for a in c]
    assert len(texts) == sum(len(run.answers) for run in results.runs)


def test_of_many_cases_the_page_lists_the_hardest_and_links_to_all(results, tmp_path, monkeypatch):
    whole, matrix = page_data(results, score_matrix(results)), score_matrix(results)
    assert "answers.csv" not in page(results)
    monkeypatch.setattr("tuneworthy.report._data.MOST_SHOWN_CASES", 30)
    data = page_data(results, matrix)
    listed = [data["cases"][at]["id"] for at in data["order"]]
    assert listed == [results.cases[at].id for at in matrix.order[:30]]
    assert data["all_cases"] == 250
    at = whole["order"][4]  # one case: its scores and answers moved with it
    new = next(i for i, case in enumerate(data["cases"]) if case["id"] == whole["cases"][at]["id"])
    for one, other in zip(data["values"], whole["values"], strict=True):
        assert one[new] == other[at]
    for one, other in zip(data["answers"], whole["answers"], strict=True):
        texts = [data["texts"][a["text"]] for a in one[new]]
        assert texts == [whole["texts"][a["text"]] for a in other[at]]
    folder = write_results(results, tmp_path, "0123456789abcdef")
    assert "hardest 30" in (folder / "report.html").read_text("utf-8")
    lines = list(csv.reader((folder / "answers.csv").read_text("utf-8").splitlines()))
    assert len({line[0] for line in lines[1:]}) == 250
    assert len(read_results(folder).cases) == 250


def test_axes_have_round_ticks_and_hold_their_values():
    scale = svg.score_axis([0.12, 0.95])
    assert scale.low <= 0.12 < 0.95 <= scale.high
    assert [round(t, 2) for t in scale.ticks()] == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    log = svg.log_axis([0.31, 2.95])
    assert 0 < log(0.31) < log(2.95) < 100
    assert all(log.low <= t <= log.high for t in log.ticks())
    assert svg.Axis(1, 1)(1) == 50


def test_names_beside_dots_do_not_meet():
    places = [(90.0, 20.0 + i) for i in range(5)]
    names = charts.place_labels(places, ["constrained"] * 5)
    downs = sorted(y + down for (_, y), (_, down) in zip(places, names, strict=True))
    assert all(b - a >= 6 for a, b in pairwise(downs))


def test_training_points_are_drawn_at_the_end_of_their_epoch(results):
    trace = next(run.trace for run in results.runs if run.trace)
    drawn = charts.training_points(trace)
    assert [x for x, _ in drawn["dev"]] == [15, 30, 45, 60, 75, 90]
    assert drawn["chosen"][0] == 75
    assert charts.training_points({}) == {"loss": [], "dev": [], "dev_loss": [], "chosen": None}


@pytest.mark.parametrize(("epochs", "said"), [(1, "nothing to choose"), (3, "not recorded")])
def test_training_without_a_dev_score_says_why(results, epochs, said):
    def unscored(run):
        if not run.trace:
            return run
        seen = [told | {"dev_score": None, "dev_loss": None} for told in run.trace["evaluations"]]
        return run.model_copy(update={"trace": {**run.trace, "evaluations": seen[:epochs]}})

    made = results.model_copy(update={"runs": tuple(map(unscored, results.runs))})
    curves = next(part for part in training_section(made).parts if isinstance(part, Columns))
    assert curves.of[1].drawn is None
    assert said in curves.of[1].empty
    assert said in page(made)
