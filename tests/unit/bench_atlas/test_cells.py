"""Cells: fixed test rows, the arms that apply, a study that can be stopped, plans that fit."""

from types import SimpleNamespace

import pytest
from bench.atlas import cells
from bench.atlas.atlas_data import read_atlas
from bench.atlas.cell_queue import (
    CellCost,
    cost_cells,
    inapplicable_arm_lines,
    only_queue,
    open_cells,
    queued,
)
from bench.atlas.cells import (
    Cell,
    all_cells,
    applicable_arms,
    find_cells,
    public_cells,
    sample_task,
    split_rows,
    unscored_arms,
)
from bench.atlas.check_entry import check_entry
from bench.atlas.entry import is_key
from bench.atlas.run_cell import CellOptions, run_cell, write_cell
from tests import atlas_kit, studies
from tests.tiny import tiny_llama

from tuneworthy.flows.session import open_session
from tuneworthy.measure import timing
from tuneworthy.models.local import wheel
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import LOST_WORDS
from tuneworthy.records.errors import ModelError, StoreError, TaskError, Unanswered
from tuneworthy.records.model import Reply
from tuneworthy.records.plugins import catalogue
from tuneworthy.report.results_folder import find_results, read_results
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store.signals import StopRequested

QUICK = CellOptions(arms=("majority", "tfidf"))


@pytest.fixture
def few(monkeypatch):
    atlas_kit.few_rows(monkeypatch)
    yield
    cells.generated_task.cache_clear()


def test_there_is_a_cell_for_every_type_and_size():
    assert len(all_cells()) == len(catalogue("suite")) * len(cells.SIZES)
    assert len({cell.key("smollm2-135m") for cell in all_cells()}) == len(all_cells())
    with pytest.raises(TaskError, match="did you mean clause_type-100"):
        find_cells(["clause_typ-100"])


@pytest.mark.parametrize("models", [
    ("hf:/m/müller", "hf:/m/möller"), (f"hf:/{'a/' * 40}1", f"hf:/{'a/' * 40}2"),
    ("hf:日本", "hf:中国"),
])  # fmt: skip
def test_the_key_of_any_model_names_a_file_and_no_two_share_it(models):
    """`ü` made no key: the cell's whole run ended in a traceback. Long paths shared one."""
    keys = {Cell("changing_facts", 1000).key(model) for model in models}
    assert len(keys) == 2
    assert all(map(is_key, keys)), keys


def test_the_arms_are_those_that_apply():
    arms = {name: applicable_arms(sample_task(Cell(name, 100))) for name in catalogue("suite")}
    assert {name for name, own in arms.items() if "tfidf" in own} == {"clause_type"}
    assert {name for name, own in arms.items() if "rag" in own} == {"policy_faq", "changing_facts"}
    closed = {"clause_type", "support_tickets", "clinic_notes"}
    assert {name for name, own in arms.items() if "constrained" in own} == closed
    assert all({"majority", "zero_shot", "lora"} <= set(own) for own in arms.values())
    assert not any("distil" in own for own in arms.values())
    assert "distil" in applicable_arms(sample_task(Cell("clause_type", 100)), teacher=True)


def test_the_sizes_of_a_type_share_their_test_rows(few):
    small, large = (split_rows(Cell("clause_type", size)) for size in (20, 40))
    assert small[1] == large[1]
    assert small[0] == large[0][:20]
    assert not {row["input"] for row in large[0]} & {row["input"] for row in large[1]}
    with pytest.raises(TaskError, match="too few rows"):
        split_rows(Cell("clause_type", 41))


def test_a_cell_is_a_study_whose_entry_is_kept(few, tmp_path):
    cell = Cell("clause_type", 20)
    entry = run_cell(cell, tmp_path, QUICK)
    card = entry.card
    assert (card.kind, card.size, card.n) == ("Clause types", 20, 20)
    assert [arm.name for arm in card.arms] == ["majority", "tfidf"]
    assert len(card.shown) == 10
    atlas = read_atlas(tmp_path)
    assert atlas.entry(card.key) == entry
    assert open_cells([cell], atlas, CellOptions()), "most arms are still missing"
    assert run_cell(cell, tmp_path, QUICK) == entry  # the study is finished: nothing runs again


def test_a_study_that_was_stopped_with_a_verdict_makes_no_entry(few, tmp_path, monkeypatch):
    """A study of a part was written into the atlas as a whole one."""
    stopped = SimpleNamespace(stopped=StopRequested(0))
    monkeypatch.setattr("bench.atlas.run_cell.run", lambda *more: stopped)
    with pytest.raises(StopRequested):
        run_cell(Cell("clause_type", 20), tmp_path, QUICK)


def test_a_stopped_cell_goes_on_where_it_stopped(few, tmp_path):
    cell = Cell("clause_type", 20)

    def stop(event, data):
        if event == "step":
            raise StopRequested(0)

    def units():
        with open_session(write_cell(cell, tmp_path, QUICK), QUICK.run_options) as session:
            return set(session.ledger.keys(session.study))

    with pytest.raises(StopRequested):
        run_cell(cell, tmp_path, QUICK, stop)
    kept = units()
    assert kept
    assert read_atlas(tmp_path).entries == {}
    run_cell(cell, tmp_path, QUICK)
    assert kept < units()  # the same study went on; nothing stored was made anew
    assert len(read_atlas(tmp_path).entries) == 1


def test_answers_that_failed_for_now_make_no_entry_and_are_asked_for_again(
    few, tmp_path, monkeypatch
):
    """They count as wrong until they come: 20 of 20 failed and the map showed a score of 0."""
    cell, options = Cell("clause_type", 20), CellOptions(
        "scripted:./replies.jsonl", arms=("majority", "zero_shot")
    )  # fmt: skip
    path = write_cell(cell, tmp_path, options)
    studies.lines(path.parent / "replies.jsonl", [{"when": "", "say": "payment"}])
    down = Reply(text="", finish="error", error=f"{LOST_WORDS['for now']}503")
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "_reply_to", lambda *given: down)
        with pytest.raises(Unanswered, match="20 answers"):
            run_cell(cell, tmp_path, options)
        assert read_atlas(tmp_path).entries == {}
    (zero_shot,) = (a for a in run_cell(cell, tmp_path, options).card.arms if a.tool == "prompt")
    assert zero_shot.score.mean == 0.1


def test_a_written_cell_runs_every_arm_and_stays_as_it_is(few, tmp_path):
    path = write_cell(Cell("changing_facts", 20), tmp_path)
    before = path.stat().st_mtime_ns
    assert write_cell(Cell("changing_facts", 20), tmp_path) == path
    assert path.stat().st_mtime_ns == before
    task = read_task(path)
    assert not task.budget.stages
    assert task.seeds == 3
    assert {"rag", "rag_lora", "lora"} <= set(task.arms)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", sorted(catalogue("suite")))
def test_every_type_is_measured_and_each_answer_can_be_scored_again(few, tmp_path, name):
    """A scripted model answers each row with the same text: some score, none is right."""
    cell, options = Cell(name, 20), CellOptions(
        model="scripted:./replies.jsonl", arms=("majority", "zero_shot", "few_shot")
    )  # fmt: skip
    path = write_cell(cell, tmp_path, options)
    studies.lines(
        path.parent / "replies.jsonl", [{"when": "", "say": split_rows(cell)[0][0]["output"]}]
    )
    entry = run_cell(cell, tmp_path, options)
    assert check_entry(entry) == 3 * 20
    assert entry.card.facts_change == (name in {"policy_faq", "changing_facts"})
    texts = {text for run in entry.runs if run.arm == "zero_shot" for text in run.answers}
    assert texts == {split_rows(cell)[0][0]["output"]}


def test_where_there_are_documents_reading_the_gold_passage_is_measured(few, tmp_path):
    cell = Cell("changing_facts", 20)
    options = CellOptions("scripted:./replies.jsonl", arms=("majority", "zero_shot", "oracle"))
    path = write_cell(cell, tmp_path, options)
    studies.lines(path.parent / "replies.jsonl", [
        {"when": "edition", "say": "12 months"}, {"when": "", "say": "unknown"},
    ])  # fmt: skip
    card = run_cell(cell, tmp_path, options).card
    assert card.reading is not None
    assert card.reading > card.base
    assert [arm.name for arm in card.arms] == ["majority", "zero_shot"]  # it competes with none
    assert "oracle" not in unscored_arms(cell, card)
    assert "rag" in unscored_arms(cell, card)


def test_a_teacher_adds_distil_and_a_cap_goes_into_the_task(few, tmp_path):
    options = CellOptions(teacher="openai:large@http://localhost:1/v1", usd=2.5)
    task = read_task(write_cell(Cell("clause_type", 20), tmp_path, options))
    assert "distil" in task.arms
    assert (task.teacher, task.budget.usd) == (options.teacher, 2.5)


@pytest.mark.parametrize("pay", [False, True])
def test_a_cell_asks_a_server_without_a_cap_only_if_it_may(pay, few, tmp_path):
    """Your own server has no list price, so a cap in dollars can't be checked."""
    options = CellOptions(model="openai:own@http://localhost:1/v1", arms=["zero_shot"], pay=pay)
    path = write_cell(Cell("clause_type", 20), tmp_path, options)
    with open_session(path, options.run_options) as session:
        if pay:
            session.refuse_unpaid()
        else:
            with pytest.raises(TaskError, match="--pay"):
                session.refuse_unpaid()


def test_a_cell_whose_model_is_absent_says_how_to_fetch_it(few, tmp_path, monkeypatch):
    monkeypatch.setattr(wheel, "locate", lambda: None)
    with pytest.raises(ModelError, match="tuneworthy models get"):
        run_cell(Cell("clause_type", 20), tmp_path)
    assert not (tmp_path / "atlas").exists()


def test_a_cell_is_costed_without_being_run(few, tmp_path):
    atlas, asked = read_atlas(tmp_path), []
    left = open_cells([Cell("clause_type", 20)], atlas, QUICK)
    (cost,) = cost_cells(left, tmp_path, QUICK, asked.append)
    assert (cost.units, cost.lacks, cost.begun) == (2, 2, False)
    assert asked == ["clause_type: rows and speed"]
    assert not (tmp_path / "atlas" / "clause_type-20" / "results").exists()
    assert inapplicable_arm_lines([Cell("word_sums", 20)])[0] == "tfidf does not apply to word_sums"


@pytest.mark.full
def test_the_speed_of_the_machine_is_measured_once(few, tmp_path, monkeypatch):
    model = tiny_llama(tmp_path / "model", max_position_embeddings=4096)
    options = CellOptions(model=f"hf:{model}", arms=("majority", "zero_shot"))
    calls, speed = [], timing.measure_speed
    monkeypatch.setattr(
        timing, "measure_speed", lambda *given: calls.append(given) or speed(*given)
    )
    cells = [Cell("clause_type", 20), Cell("clause_type", 40), Cell("word_sums", 20)]
    found = cost_cells(dict.fromkeys(cells, 2), tmp_path, options)
    assert len(calls) == 1
    assert {cost.cell for cost in found} == set(cells)
    assert all(cost.units == 2 for cost in found)


@pytest.mark.full
def test_a_trained_arm_is_recorded_with_every_seed(few, tmp_path):
    cell = Cell("clause_type", 20)
    options = CellOptions(model="hf:./model", arms=("majority", "zero_shot", "lora"), seeds=2)
    tiny_llama(write_cell(cell, tmp_path, options).parent / "model")
    entry = run_cell(cell, tmp_path, options)
    (lora,) = (arm for arm in entry.card.arms if arm.name == "lora")
    assert (lora.seeds, lora.holds_facts, lora.tool) == (2, True, "tune")
    assert lora.seconds > 0
    runs = [run for run in entry.runs if run.arm == "lora"]
    assert sorted(run.seed for run in runs) == [0, 1]
    assert sum(run.counts for run in runs) == 1
    assert check_entry(entry) == 20 * (2 + len(runs))
    with open_session(write_cell(cell, tmp_path, options), options.run_options) as session:
        assert session.plan().across == ()
    assert not any(run.spec.role == "placebo" for run in read_results(find_results(
        tmp_path / "atlas" / cell.id)).runs)  # fmt: skip


def test_the_queue_goes_on_with_what_it_began_then_takes_most_arms_a_minute():
    costs = [
        CellCost(Cell("dear", 100), 100.0, 9, 9),
        CellCost(Cell("cheap", 100), 10.0, 9, 9),
        CellCost(Cell("almost", 100), 10.0, 9, 1),
        CellCost(Cell("begun", 100), 500.0, 9, 9, begun=True),
        CellCost(Cell("counted", 100), 0.0, 1, 1),
    ]
    order = [cost.cell.name for cost in queued(costs)]
    assert order == ["begun", "counted", "cheap", "almost", "dear"]


def test_a_cell_is_open_until_every_arm_of_its_options_is_scored(few, tmp_path):
    cell = Cell("clause_type", 20)
    assert open_cells([cell], read_atlas(tmp_path), QUICK) == {cell: 2}
    run_cell(cell, tmp_path, QUICK)
    assert open_cells([cell], read_atlas(tmp_path), QUICK) == {}
    more = CellOptions(arms=("majority", "tfidf", "vote"))
    assert open_cells([cell], read_atlas(tmp_path), more) == {cell: 1}
    (cost,) = cost_cells({cell: 1}, tmp_path, QUICK)
    assert cost.begun


def test_one_queue_a_folder_at_the_lowest_priority(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("bench.atlas.cell_queue.nice", asked.append)
    with only_queue(tmp_path):
        with pytest.raises(StoreError), only_queue(tmp_path):
            pass
        assert asked == [19]
    with only_queue(tmp_path):
        pass


@pytest.fixture
def public(tmp_path, few):
    """Return a folder with a public set of labels: 40 rows to learn from and 20 test rows."""
    folder = tmp_path / "sets" / "piqa_general"
    folder.mkdir(parents=True)
    (folder / "task.json").write_text('{"instruction": ""}', "utf-8")
    rows = [
        {
            "input": f"To open jar {at}",
            "meta": {"choices": ["turn it", f"eat it {at}"], "gold": at % 2},
        }
        for at in range(60)
    ]
    for part, own in (("train", rows[:40]), ("test", rows[40:])):
        studies.lines(folder / f"{part}.jsonl", own)
    return tmp_path / "sets"


def test_a_public_set_is_a_type_whose_entry_holds_no_row(public, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "PUBLIC_SIZES", (20, 40, 80))
    found = public_cells(public)
    assert [cell.id for cell in found] == ["piqa_general-20", "piqa_general-40"]
    assert public_cells(None) == []
    assert find_cells(["piqa_general-40"], public) == found[1:]
    entry = run_cell(found[0], tmp_path, QUICK)
    assert (entry.card.kind, entry.card.size, entry.card.n) == ("The likelier of two ends", 20, 20)
    assert entry.figures_only
    assert "To open jar" not in entry.model_dump_json()
    assert check_entry(entry) == 0


def test_a_public_set_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TaskError, match="not there"):
        split_rows(Cell("gsm8k", 100, tmp_path))
