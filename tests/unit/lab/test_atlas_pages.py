"""The pages of the atlas: with 0, 1 and many entries; every number is one of an entry."""

import html
import re
from functools import partial
from itertools import product

import pytest
from bench.atlas import atlas_data
from bench.atlas.atlas_map import choose_arm
from bench.atlas.cells import Cell, all_cells
from bench.atlas.entry import Entry
from tests import atlas_kit

from tuneworthy.lab.atlas_pages import atlas_page, measured_page
from tuneworthy.lab.export import export_site
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.lab.problem import Problem
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import ShownRow

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
CELL = Cell("clause_type", 100)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return atlas_kit.results_of(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def entry(results):
    """An entry of a small study, with the key of a cell of the map."""
    made = atlas_kit.entry(results, key=CELL.key("smollm2-135m"), kind="Clause types",
                           shown=(ShownRow(input="taught", output="by this"),))  # fmt: skip
    return with_card(made, size=100, model="smollm2-135m", facts_change=True)


@pytest.fixture(autouse=True)
def publish(monkeypatch, tmp_path):
    """Publish nothing, and return a function that publishes entries beside those of before."""
    monkeypatch.setattr(atlas_data, "SHIPPED_FOLDER", tmp_path / "nothing-shipped")
    made = partial(atlas_kit.publish, monkeypatch, tmp_path)
    made()
    return made


def with_card(entry, **changed):
    return entry.model_copy(update={"card": entry.card.model_copy(update=changed)})


def text_of(page):
    plain = re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", plain)))


def two(value):
    return f"{value:.2f}".removeprefix("0")


def test_the_map_shows_winner_bound_status_model_and_floor_of_the_entry(publish, entry):
    publish(entry)
    page, card = text_of(atlas_page(Site())), entry.card
    named = next(arm for arm in card.arms if arm.name == card.arm)
    bounds = f"{two(named.score.low)}–{two(named.score.high)}"
    assert f"{card.arm} {two(named.score.mean)} {bounds}" in page
    assert f"{card.use}, {card.status}" in page
    assert "smollm2-135m (135M)" in page
    assert f"plain instruction {card.base:.2f}" in page
    assert page.count("not measured yet") == len(all_cells()) - 1
    assert "1 of 27 cells are measured" in page
    assert f'href="/atlas/{card.key}"' in atlas_page(Site())


def test_every_number_of_the_arms_is_one_of_the_entry_and_changes_with_it(publish, entry):
    publish(entry)
    page, card = measured_page(entry.card.key, Site()), entry.card
    table = text_of(page[page.index("<tbody>") : page.index("</tbody>")])
    for arm in card.arms:
        span = arm.score
        assert f"{two(span.mean)} {two(span.low)}–{two(span.high)}" in table, arm.name
        if arm.behind:
            behind = [f"{100 * v:.1f}" for v in (arm.behind.mean, arm.behind.low, arm.behind.high)]
            shown = f"{behind[0]} ({behind[1]} to {behind[2]})".replace("-", "−")
            assert shown in table, arm.name
    first = card.arms[0].model_copy(update={"score": Interval(mean=0.123, low=0.111, high=0.137)})
    publish(with_card(entry, arms=(first, *card.arms[1:])))
    assert ".12 .11–.14" in text_of(measured_page(card.key, Site()))
    assert ".12 .11–.14" not in text_of(page)


def test_every_case_stands_there_with_gold_and_all_answers(publish, entry):
    publish(entry)
    page = measured_page(entry.card.key, Site())
    blocks = re.findall(r'<details class="case">.*?</details>', page, re.S)
    assert len(blocks) == len(entry.cases)
    counting = [run for run in entry.runs if run.counts]
    for at in (0, len(blocks) - 1):
        case, text = entry.cases[at], text_of(blocks[at])
        assert case.input in text
        assert f"right answer {case.output}" in text
        for run in counting:
            if case.id in run.cases:
                place = run.cases.index(case.id)
                sign = "✓" if run.scores[place] == 1 else "✕"
                assert f"{sign} {run.arm} {run.answers[place]}" in text
    assert "taught" in page


def test_an_arm_that_was_not_compared_is_told_apart_from_the_best(publish, entry):
    """Of public sets only pairs with the named arm are known: both showed the same dash."""
    card = entry.card
    best = max((arm for arm in card.arms if arm.tool), key=lambda arm: arm.score.mean)
    bare = [arm.model_copy(update={"behind": None}) for arm in card.arms]
    ours = bare[0].model_copy(update={"name": "ours", "tool": None})
    publish(with_card(entry, arms=(*bare, ours)))
    page = measured_page(card.key, Site())
    rows = {
        row.split()[0]: row
        for row in map(text_of, re.findall("<tr.*?</tr>", page, re.S))
        if row.split()
    }
    for arm in card.arms:
        assert ("the best" in rows[arm.name]) == (arm.name == best.name)
        assert ("not compared" in rows[arm.name]) == (arm.name != best.name)
    assert " reference " in rows["majority"]
    assert " not given " in rows["ours"]


def view(page, name):
    """Return the text of the one view of this name on a task's page."""
    found = [
        text_of(block)
        for names, block in re.findall(
            r'<span class="view" data-views="([^"]*)"[^>]*>(.*?</span>)\s*</span>', page, re.S
        )
        if name in names.split()
    ]
    (text,) = found
    return text


def test_the_views_name_what_the_map_chooses(publish, entry):
    publish(entry)
    page, card = measured_page(entry.card.key, Site()), entry.card
    for cost, facts in product(("none", "seconds", "usd"), (False, True)):
        chosen = choose_arm(card, cost, facts)
        shown = view(page, f"{cost}-{int(facts)}")
        assert (chosen.arm.name if chosen.arm else "no arm") in shown
        assert ("left out: tfidf" in shown) == facts
    assert page.count(" hidden>") == page.count("data-views=") - 1
    row = re.search(r"<tr[^>]*data-holds[^>]*><th[^>]*>(\w+)", page)
    assert row[1] == "tfidf"


def test_a_full_map_weighs_at_most_150_kb(publish, entry):
    card = entry.card
    arms = tuple(card.arms[1].model_copy(update={"name": f"arm_{n}", "seconds": float(n + 1)})
                 for n in range(10))  # fmt: skip
    publish(*(
        with_card(entry, key=cell.key("smollm2-135m"), kind=cell.kind, size=cell.size,
                  arms=(*card.arms, *arms))
        for cell in all_cells()
    ))  # fmt: skip
    page = atlas_page(Site())
    assert "27</b> of 27" in page
    assert len(page.encode()) <= 150_000


def test_the_page_gives_the_reasons_of_the_verdict(results, publish, entry):
    """A provisional verdict within its margin has another reason: cut answers, say."""
    publish(entry)
    assert entry.card.because == results.verdict.because
    shown = results.verdict.because.replace("`", "")
    assert f"Why: {shown}" in text_of(measured_page(entry.card.key, Site()))


def test_figures_only_are_said_on_every_view(publish, entry):
    publish(Entry(card=entry.card))
    assert "figures only, not scored again" in atlas_page(Site())
    page = measured_page(entry.card.key, Site())
    assert "can't be scored again" in html.unescape(page)
    assert 'details class="case"' not in page


def test_other_tasks_stand_beside_the_grid(publish, entry):
    publish(with_card(entry, key="mine", kind="My mails", size=77))
    page = text_of(atlas_page(Site()))
    assert "My mails 77 rows · mine" in page
    assert page.count("not measured yet") == len(all_cells())


@pytest.mark.parametrize("site", [Site(), Site(live=False)], ids=["live", "file"])
def test_pages_are_escaped_and_hold_nothing_that_the_policy_refuses(publish, entry, site):
    case = entry.cases[0].model_copy(update={"output": ATTACK})
    runs = tuple(
        run.model_copy(update={"answers": (ATTACK, *run.answers[1:])}) for run in entry.runs
    )
    bad = entry.model_copy(update={"cases": (case, *entry.cases[1:]), "runs": runs})
    bad = with_card(bad, instruction=ATTACK, environment={ATTACK: ATTACK}, kind=ATTACK)
    publish(bad)
    for page in (atlas_page(site), measured_page(bad.card.key, site)):
        assert "<script>alert" not in page
        assert "<img" not in page
        assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert "http:" not in page
        assert "https:" not in page
        assert len(re.findall("<h1", page)) == 1
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_the_lab_serves_the_map_and_a_task_and_knows_no_other(browser, publish, entry):
    publish(entry)
    assert "1</b> of 27" in browser.get("/atlas").text
    assert "Every case and answer" in browser.get(f"/atlas/{entry.card.key}").text
    reply = browser.get("/atlas/nothing", headers={"accept": "text/html"})
    assert reply.status_code == 404
    assert "no such task" in reply.text
    with pytest.raises(Problem):
        measured_page("nothing", Site())


def test_an_export_has_the_map_and_the_tasks_and_makes_no_request(publish, entry, tmp_path):
    publish(entry)
    home = export_site(tmp_path / "site")
    names = {path.name for path in home.parent.glob("atlas*.html")}
    assert names == {"atlas.html", f"atlas-{entry.card.key}.html"}
    assert (home.parent / "static" / "atlas.css").is_file()
    page = (home.parent / "atlas.html").read_text("utf-8")
    assert f'href="atlas-{entry.card.key}.html"' in page
    assert "Content-Security-Policy" in page


def test_the_script_of_the_atlas_asks_no_server():
    text = (LAB_FOLDER / "static" / "atlas.js").read_text("utf-8")
    assert not re.search(r"fetch|EventSource|XMLHttp", text)
