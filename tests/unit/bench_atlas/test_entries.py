"""Entries: they hold what a study measured, survive files, and are refused where they lie."""

import lzma
import random
from datetime import date, timedelta

import pytest
from bench.atlas import atlas_data, cells
from bench.atlas.atlas_data import ADDED_FOLDER, read_atlas, refuse_older, write_entry
from bench.atlas.cell_rows import cell_rows_digest, refuse_other_rows
from bench.atlas.check_entry import check_entry
from bench.atlas.entry import Entry
from bench.atlas.entry_files import (
    pack_entry,
    read_folder,
    read_head,
    read_packed,
    write_folder,
)
from tests import atlas_kit

from tuneworthy.records.errors import DataError, SecurityError, TaskError, TuneworthyError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return atlas_kit.results_of(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def entry(results):
    return atlas_kit.entry(results)


def changed(entry, **fields):
    return entry.model_copy(update=fields)


def with_run(entry, at, **fields):
    runs = list(entry.runs)
    runs[at] = runs[at].model_copy(update=fields)
    return changed(entry, runs=tuple(runs))


def test_an_entry_states_what_the_study_measured(results, entry):
    verdict, card = results.verdict, entry.card
    assert (card.use, card.arm, card.status) == (verdict.use, verdict.arm, verdict.status)
    by_name = {arm.name: arm for arm in results.evidence.arms}
    for arm in card.arms:
        assert (arm.score, arm.n) == (by_name[arm.name].score, by_name[arm.name].n)
    best = max((a for a in card.arms if a.tool), key=lambda a: a.score.mean)
    assert best.behind is None
    pairs = {(p.arm, p.versus): p for p in results.evidence.pairs}
    for arm in card.arms:
        if arm.name != best.name:
            pair = pairs[best.name, arm.name]
            assert (arm.behind.mean, arm.behind.low) == (pair.mean, pair.low)
            assert arm.behind.mean == pytest.approx(best.score.mean - arm.score.mean, abs=2e-6)
    assert card.base == by_name["zero_shot"].score.mean
    assert {a.name: a.holds_facts for a in card.arms} == {
        "present": None, "majority": False, "tfidf": True, "zero_shot": False,
    }  # fmt: skip
    assert card.environment["tuneworthy"] == entry.version


def test_the_model_is_named_only_where_an_arm_asked_it(results):
    assert atlas_kit.entry(results).card.model == results.task.model

    def of(*names):
        runs = tuple(run for run in results.runs if run.spec.name in names)
        return atlas_kit.entry(results.model_copy(update={"runs": runs})).card.model

    assert of("majority", "tfidf") == "no model"
    assert of("majority", "present") == "recorded answers"


def test_of_several_seeds_the_best_on_dev_counts(results):
    own = [run for run in results.runs if run.spec.name == "tfidf"]
    others = [run.model_copy(update={"seed": 1, "dev": 0.9}) for run in own]
    first = [run.model_copy(update={"dev": 0.1}) for run in own]
    rest = [run for run in results.runs if run.spec.name != "tfidf"]
    made = atlas_kit.entry(results.model_copy(update={"runs": (*rest, *first, *others)}))
    counted = {(run.seed, run.counts) for run in made.runs if run.arm == "tfidf"}
    assert counted == {(0, False), (1, True)}
    with pytest.raises(DataError, match="wrong number of seeds: 1"):
        check_entry(made)  # the figures are of one seed


def test_every_answer_is_scored_again(entry):
    assert check_entry(entry) == sum(len(run.cases) for run in entry.runs) == 4 * entry.card.n


def test_an_entry_survives_a_folder_and_a_packed_file(entry, tmp_path):
    assert read_folder(write_folder(entry, tmp_path / "a")) == entry
    path = tmp_path / "x.json.xz"
    path.write_bytes(pack_entry(entry))
    assert read_packed(path) == entry
    assert read_head(path) == entry.head()
    assert pack_entry(entry) == pack_entry(read_packed(path))


def test_a_score_that_its_answer_does_not_give_is_refused_with_the_count(entry):
    run = entry.runs[0]
    wrong = tuple(1 - score if at < 3 else score for at, score in enumerate(run.scores))
    with pytest.raises(DataError, match="scores otherwise: 3"):
        check_entry(with_run(entry, 0, scores=wrong))


def test_an_answer_that_was_changed_is_refused(entry):
    run = entry.runs[0]
    at = run.scores.index(1.0)
    texts = tuple("none of it" if place == at else text for place, text in enumerate(run.answers))
    with pytest.raises(DataError, match="answer that scores otherwise: 1"):
        check_entry(with_run(entry, 0, answers=texts))


def test_missing_answers_and_unknown_ids_are_counted(entry):
    run = entry.runs[0]
    short = {key: getattr(run, key)[2:] for key in ("cases", "answers", "scores")}
    with pytest.raises(DataError, match="missing answer: 2"):
        check_entry(with_run(entry, 0, **short))
    with pytest.raises(DataError, match="unknown id: 1"):
        check_entry(with_run(entry, 0, cases=("r9999", *run.cases[1:])))
    with pytest.raises(DataError, match="missing text or score: 1"):
        check_entry(with_run(entry, 0, scores=run.scores[1:]))


def test_other_rows_than_the_hash_says_are_refused(entry):
    case = entry.cases[0].model_copy(update={"must_say": ("x",)})
    with pytest.raises(DataError, match="rows other than its hash says: 1"):
        check_entry(changed(entry, cases=(case, *entry.cases[1:])))
    with pytest.raises(DataError, match="wrong number of cases"):
        check_entry(changed(entry, card=entry.card.model_copy(update={"n": 3})))


def test_a_verdict_that_the_answers_contradict_is_refused(entry):
    """The atlas takes no winner, no "none" and no "firm" on an entry's word."""
    card = entry.card
    assert (card.arm, card.status) == ("tfidf", "firm")

    def told(**verdict):
        check_entry(changed(entry, card=card.model_copy(update=verdict)))

    for name, use in (("zero_shot", "prompt"), ("present", "keep"), (None, "none")):
        for status in ("firm", "provisional"):
            with pytest.raises(DataError, match="verdict that its answers contradict"):
                told(arm=name, use=use, status=status)
    wide = tuple(arm.model_copy(update={"behind": arm.behind and arm.behind.model_copy(
                     update={"low": -1.0})}) for arm in card.arms)  # fmt: skip
    with pytest.raises(DataError, match="firm verdict that its answers leave open: 1"):
        told(arm="present", use="keep", arms=wide)
    with pytest.raises(DataError, match="blocked and names an arm"):
        told(status="blocked")
    limited = tuple(arm.model_copy(update={"breaks_limits": ("valid",)}) if arm.name == "tfidf"
                    else arm for arm in card.arms)  # fmt: skip
    with pytest.raises(DataError, match="limit that the task does not set"):
        told(arm="present", use="keep", arms=limited)
    told(status="provisional")
    told(arm="present", use="keep", status="provisional", arms=wide)


def test_a_verdict_that_prices_decided_is_no_entry(results):
    policy = results.policy.model_copy(update={"value_of_correct": 0.01})
    with pytest.raises(TaskError, match="prices decided"):
        atlas_kit.entry(results.model_copy(update={"policy": policy}))


def test_figures_that_do_not_follow_from_the_answers_are_refused(entry):
    card, arms = entry.card, list(entry.card.arms)
    high = arms[0].score.model_copy(update={"mean": arms[0].score.high})
    lied = arms[0].model_copy(update={"score": high})
    with pytest.raises(DataError, match="mean that its answers do not give: 1"):
        check_entry(changed(entry, card=card.model_copy(update={"arms": (lied, *arms[1:])})))
    far = next(at for at, arm in enumerate(arms) if arm.behind)
    span = arms[far].behind
    near = span.model_copy(update={"mean": (span.mean + span.low) / 2})
    moved = [*arms[:far], arms[far].model_copy(update={"behind": near}), *arms[far + 1 :]]
    with pytest.raises(DataError, match="distance that its answers do not give: 1"):
        check_entry(changed(entry, card=card.model_copy(update={"arms": tuple(moved)})))
    more = [*arms[:far], arms[far].model_copy(update={"n": 400}), *arms[far + 1 :]]
    with pytest.raises(DataError, match="wrong number of scored cases: 1"):
        check_entry(changed(entry, card=card.model_copy(update={"arms": tuple(more)})))
    odd = [*arms[:far], arms[far].model_copy(update={"seeds": 7}), *arms[far + 1 :]]
    with pytest.raises(DataError, match="wrong number of seeds"):
        check_entry(changed(entry, card=card.model_copy(update={"arms": tuple(odd)})))
    with pytest.raises(DataError, match="winner without a score"):
        check_entry(changed(entry, card=card.model_copy(update={"arm": "nobody"})))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metric": "exact"}, "metric other than the scored one: 1"),
        ({"margin": 0.5}, "margin other than the scored one: 1"),
        ({"output_type": "number"}, "form of answers other than the scored one: 1"),
        ({"use": "tune"}, "tool to use that is not the winner's: 1"),
        ({"arm": "majority"}, "tool to use that is not the winner's: 1"),
        ({"arm": None}, "tool to use that is not the winner's: 1"),
        ({"base": 0.9}, "plain instruction that no arm has: 1"),
        ({"left": -0.1}, "impossible number: 1"),
        ({"reading": float("inf")}, "impossible number: 1"),
        ({"measured": date(2999, 1, 1)}, "day in the future: 1"),
    ],
)
def test_a_card_that_contradicts_its_task_or_itself_is_refused(entry, change, told):
    with pytest.raises(DataError, match=told):
        check_entry(changed(entry, card=entry.card.model_copy(update=change)))


def test_a_winner_can_not_be_passed_off_as_another_tool_s(entry):
    """The tool of an arm of ours is known: word counts named as a prompt would make prompts win."""
    arms = tuple(arm.model_copy(update={"tool": "prompt"}) if arm.name == "tfidf" else arm
                 for arm in entry.card.arms)  # fmt: skip
    card = entry.card.model_copy(update={"arms": arms})
    use = "prompt" if card.arm == "tfidf" else card.use
    with pytest.raises(DataError, match="tool that is not its arm's: 1"):
        check_entry(changed(entry, card=card.model_copy(update={"use": use})))


def test_bounds_narrower_than_the_answers_give_are_refused(entry):
    for field, told in (("score", "bounds narrower"), ("behind", "of a distance narrower")):
        arms = list(entry.card.arms)
        at = next(at for at, arm in enumerate(arms) if getattr(arm, field))
        span = getattr(arms[at], field)
        exact = span.model_copy(update={"low": span.mean, "high": span.mean})
        arms[at] = arms[at].model_copy(update={field: exact})
        with pytest.raises(DataError, match=f"{told} than its answers give: 1"):
            check_entry(changed(entry, card=entry.card.model_copy(update={"arms": tuple(arms)})))


def test_an_arm_with_a_fold_of_its_own_right_answers_is_refused(entry):
    """Its score would be 1: the answers that it has wrong are missing and not due in that fold."""
    at = next(at for at, run in enumerate(entry.runs) if 0 < sum(run.scores) < len(run.scores))
    run = entry.runs[at]
    right = [place for place, score in enumerate(run.scores) if score == 1]
    own = {
        key: tuple(getattr(run, key)[i] for i in right) for key in ("cases", "answers", "scores")
    }
    with pytest.raises(DataError, match="case in two folds"):
        check_entry(with_run(entry, at, fold=7, **own))


def test_an_entry_that_could_not_be_read_again_is_not_added(entry, tmp_path):
    for text in ("a" * 5_000_001, "\ud800"):
        card = entry.card.model_copy(update={"instruction": text})
        with pytest.raises(DataError, match="can't be read"):
            write_entry(changed(entry, card=card), tmp_path)
    assert not list(tmp_path.rglob("*.json.xz"))


def test_an_entry_stands_in_a_cell_only_with_the_rows_of_the_cell(entry, monkeypatch):
    atlas_kit.few_rows(monkeypatch)
    cell = cells.Cell("clause_type", 40)
    card = entry.card.model_copy(update={"kind": cell.kind, "size": 40, "key": "mine"})
    with pytest.raises(DataError, match="not of the cell that it names"):
        refuse_other_rows(changed(entry, card=card))
    own = card.model_copy(update={"rows_hash": cell_rows_digest(cell)})
    refuse_other_rows(changed(entry, card=own))
    keyed = own.model_copy(update={"key": cell.key(cells.MODEL)})
    for model in (cells.MODEL, "no model"):
        refuse_other_rows(changed(entry, card=keyed.model_copy(update={"model": model})))
    with pytest.raises(DataError, match="not of the cell that it names"):
        refuse_other_rows(changed(entry, card=keyed.model_copy(update={"model": "hf:other"})))
    refuse_other_rows(entry)


def test_no_code_and_no_function_of_others_is_run(entry):
    for change in ({"metric": "./score.py:score"}, {"metric": "judge"}):
        success = entry.scoring.success.model_copy(update=change)
        scoring = entry.scoring.model_copy(update={"success": success})
        with pytest.raises(SecurityError, match="metrics of the package"):
            check_entry(changed(entry, scoring=scoring))
    success = entry.scoring.success.model_copy(update={"metric": "code", "options": {"run": True}})
    with pytest.raises(SecurityError, match="run as code"):
        check_entry(changed(entry, scoring=entry.scoring.model_copy(update={"success": success})))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("entry.json", '"format": 1,\n "version"', '"format": 2,\n "version"', "another format"),
        ("entry.json", '"kind"', '"sort"', "can't be read"),
        ("entry.json", '"key": "planted-40"', '"key": "../../etc/x"', "can't be read"),
        ("entry.json", '"n": ', '"n": NaN, "m": ', "can't be read"),
        ("answers.jsonl", '"arm": "tfidf"', '"arm": "unknown"', "no run of the entry"),
        ("answers.jsonl", '"score": ', '"score": 9', "can't be read"),
        ("cases.jsonl", '{"id"', '["id"', "can't be read"),
    ],
)
def test_a_folder_with_a_fault_is_refused(entry, tmp_path, file, old, new, told):
    folder = write_folder(entry, tmp_path / "a")
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(DataError, match=told):
        read_folder(folder)


def test_a_folder_without_a_file_and_one_with_other_files(entry, tmp_path):
    folder = write_folder(entry, tmp_path / "a")
    (folder / "answers.jsonl").unlink()
    with pytest.raises(DataError, match="can't be read"):
        read_folder(folder)
    with pytest.raises(TaskError, match="other files"):
        write_folder(entry, folder)


def test_the_newest_entry_of_a_key_counts_and_other_versions_are_said(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(atlas_data, "SHIPPED_FOLDER", tmp_path / "nothing-shipped")
    old = changed(entry, card=entry.card.model_copy(update={"measured": atlas_kit.DAY}))
    path = write_entry(changed(old, version="0.1.0"), tmp_path)
    assert path.parent == tmp_path / ADDED_FOLDER
    atlas = read_atlas(tmp_path)
    assert list(atlas.entries) == ["planted-40"]
    assert "1 measured task of tuneworthy 0.1.0" in atlas.notes[0]
    write_entry(entry, tmp_path)
    refuse_older(entry, read_atlas(tmp_path))
    day_before = entry.card.measured - timedelta(days=1)
    older = entry.card.model_copy(update={"measured": day_before})
    with pytest.raises(DataError, match="newer entry of this key"):
        refuse_older(changed(entry, card=older), read_atlas(tmp_path))
    assert read_atlas(tmp_path).notes == ()
    assert read_atlas(tmp_path).entry("planted-40") == entry
    (path.parent / "broken.json.xz").write_bytes(b"no")
    assert "broken.json.xz is left out" in read_atlas(tmp_path).notes[0]
    with pytest.raises(TaskError, match="no such entry"):
        read_atlas(tmp_path).entry("nothing")


def test_figures_only_hold_no_row_and_no_answer(results, tmp_path):
    made = atlas_kit.entry(results, shown=())
    bare = Entry(card=made.card)
    assert bare.figures_only
    folder = write_folder(bare, tmp_path / "a")
    assert [path.name for path in folder.iterdir()] == ["entry.json"]
    texts = {case.input for case in results.cases}
    assert not any(text in (folder / "entry.json").read_text("utf-8") for text in texts)
    assert check_entry(read_folder(folder)) == 0


def test_damaged_folders_are_refused_and_never_a_bug(entry, tmp_path):
    """A byte is changed at 120 places: each folder is read and checked, or refused."""
    folder, draw, refused = write_folder(entry, tmp_path / "a"), random.Random(3), 0
    whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    for _ in range(120):
        path = draw.choice(list(whole))
        content = bytearray(whole[path])
        content[draw.randrange(len(content))] = draw.choice(b'x9"{}[,:\\\x00\xff')
        path.write_bytes(content)
        try:
            check_entry(read_folder(folder))
        except TuneworthyError:
            refused += 1
        path.write_bytes(whole[path])
    assert refused > 60
    assert check_entry(read_folder(folder)) > 0


def test_a_run_of_an_arm_that_the_card_does_not_list_is_refused(entry):
    with pytest.raises(DataError, match="run of an unlisted arm: 1"):
        check_entry(with_run(entry, 0, arm="ghost"))


def test_a_packed_file_of_other_json_is_refused(entry, tmp_path):
    path = tmp_path / "x.json.xz"
    head, rest = lzma.decompress(pack_entry(entry)).split(b"\n", 1)
    for content in (head + b"\n[1]\n", b"[1]\n" + rest):
        path.write_bytes(lzma.compress(content))
        with pytest.raises(DataError, match="can't be read"):
            read_packed(path)


def test_what_is_shipped_is_whole_and_small():
    files = sorted(atlas_data.SHIPPED_FOLDER.glob("*.json.xz"))
    assert sum(path.stat().st_size for path in files) <= 5_000_000
    for path in files:
        assert check_entry(read_packed(path)) >= 0


def test_a_packed_file_that_would_fill_the_memory_is_cut(tmp_path):
    path = tmp_path / "bomb.json.xz"
    path.write_bytes(lzma.compress(b" " * 60_000_000))
    with pytest.raises(DataError):
        read_packed(path)
