"""A study from rows to verdict.json: it repeats, counts its looks and hides the answers."""

import json

import pytest
from tests import studies

from tuneworthy.flows.study import RunOptions, check, plan, run
from tuneworthy.measure import timing
from tuneworthy.measure.planning import Speed
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.records.results import Results
from tuneworthy.store.store import open_ledger


def test_a_study_ends_in_an_arm_and_writes_its_files(tmp_path):
    seen = []
    study = run(studies.write(tmp_path), watch=lambda event, data: seen.append(event))
    assert study.verdict.arm in {"tfidf", "present"}
    assert study.verdict.use in {"classifier", "keep"}
    assert (tmp_path / "results" / "latest").read_text().strip() == study.folder.name
    names = {path.name for path in study.folder.iterdir()}
    assert {"verdict.json", "report.html", "plan.json", "results.json"} <= names
    verdict = json.loads((study.folder / "verdict.json").read_text())
    assert verdict["schema"] == 1
    assert verdict["left_on_table"]["points"] >= 0
    assert len(verdict["by_margin"]) == 21
    assert {"audit", "plan", "arm", "step", "done"} <= set(seen)
    again = Results.model_validate_json((study.folder / "results.json").read_text())
    assert again.verdict == study.verdict


def test_every_null_has_its_reason(tmp_path):
    verdict = run(studies.write(tmp_path)).verdict.plain()

    def nulls(value, at=""):
        if value is None:
            yield at
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield from nulls(inner, f"{at}/{key}")
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from nulls(inner, f"{at}/{i}")

    lost = [at for at in nulls(verdict) if not any(at.startswith(p) for p in verdict["missing"])]
    assert not lost


def test_i80_running_a_finished_study_changes_nothing(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    first = run(path)
    before = (first.folder / "verdict.json").read_bytes()
    events = []
    second = run(path, watch=lambda event, data: events.append(event))
    assert events == ["done"]
    assert (second.folder / "verdict.json").read_bytes() == before


def test_two_fresh_studies_agree_but_for_times(tmp_path):
    one, two = (run(studies.write(tmp_path / name)) for name in ("a", "b"))
    texts = [studies.timeless((s.folder / "verdict.json").read_bytes()) for s in (one, two)]
    assert texts[0] == texts[1]
    assert one.verdict.evidence_hash == two.verdict.evidence_hash


def test_row_order_changes_no_verdict(tmp_path):
    one = run(studies.write(tmp_path / "a"))
    path = studies.write(tmp_path / "b")
    rows = (path.parent / "rows.jsonl").read_text().splitlines(keepends=True)
    (path.parent / "rows.jsonl").write_text("".join(reversed(rows)))
    assert run(path).verdict.evidence_hash == one.verdict.evidence_hash


def test_a_second_study_on_the_same_rows_is_a_look_and_pays_for_it(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    first = run(path)
    task = json.loads(path.read_text())
    path.write_text(json.dumps(task | {"arms": [*studies.LIGHT, "tfidf"]}))
    second = run(path)
    assert (first.verdict.looks, second.verdict.looks) == (1, 2)
    levels = [{pair.level for pair in s.results.evidence.pairs} for s in (first, second)]
    assert max(levels[1]) <= max(levels[0]) / 4


def test_fresh_starts_anew_and_equal_answers_are_no_further_look(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    first = run(path)
    again = run(path, RunOptions(fresh=True))
    assert again.verdict.task.hash != first.verdict.task.hash
    assert again.verdict.looks == 1
    assert [arm.score for arm in again.verdict.arms] == [arm.score for arm in first.verdict.arms]


def test_the_sealed_doors_are_logged_with_their_purpose(tmp_path):
    study = run(studies.write(tmp_path, arms=studies.LIGHT))
    with open_ledger(tmp_path, write=False) as ledger:
        doors = ledger.doors(study.verdict.task.hash)
    assert {(door["door"], door["purpose"]) for door in doors} == {
        ("open", "score"), ("open", "compare"), ("open", "shake"),
    }  # fmt: skip


def test_limit_is_stamped(tmp_path):
    study = run(studies.write(tmp_path, arms=studies.LIGHT), RunOptions(limit=40))
    assert study.results.evidence.limited
    assert study.results.plan.limited


def test_a_run_freezes_the_plan_a_look_at_it_does_not_and_check_opens_nothing(
    tmp_path, monkeypatch
):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    audit = check(path)
    assert audit.scored == 60
    assert not (tmp_path / ".tuneworthy" / "ledger.sqlite").exists()
    monkeypatch.setattr(timing, "measure_speed", lambda *_: Speed(read=1.0, written=1.0))
    slow = plan(path)
    monkeypatch.setattr(timing, "measure_speed", lambda *_: Speed(read=1e3, written=1e3))
    assert plan(path).minutes < slow.minutes  # a busy minute is not held against the study
    run(path)
    monkeypatch.setattr(timing, "measure_speed", lambda *_: Speed(read=1.0, written=1.0))
    assert plan(path).minutes < slow.minutes


def test_a_busy_machine_is_said_where_the_plan_is_timed(tmp_path, monkeypatch):
    path, said = studies.write(tmp_path, arms=studies.LIGHT), []
    monkeypatch.setattr(
        timing, "measure_speed", lambda *_: Speed(read=1e3, written=1e3, others=0.99)
    )
    plan(path, watch=lambda event, data: said.append((event, data)))
    assert any(event == "say" and "99 % of this machine" in data for event, data in said)
    said.clear()
    monkeypatch.setattr(
        timing, "measure_speed", lambda *_: Speed(read=1e3, written=1e3, others=0.03)
    )
    plan(path, watch=lambda event, data: said.append((event, data)))
    assert not [data for event, data in said if event == "say" and "of this machine" in data]


def test_p14_a_second_writer_is_told_who_holds_the_study(tmp_path):
    path = studies.write(tmp_path)
    with open_ledger(tmp_path), pytest.raises(StoreError) as caught:
        run(path)
    assert "pid" in str(caught.value)


def test_contradictory_answers_block(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    rows = studies.rows(60)
    for i in range(0, 30, 3):
        rows[i + 1]["input"] = rows[i]["input"]
    studies.lines(path.parent / "rows.jsonl", rows)
    study = run(path)
    assert study.verdict.status == "blocked"
    assert study.verdict.arm is None
    assert "contradict" in study.verdict.because


def test_errors_count_as_wrong_and_are_never_dropped(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    kept = (tmp_path / "logged.jsonl").read_text().splitlines(keepends=True)[:40]
    (tmp_path / "logged.jsonl").write_text("".join(kept))
    study = run(path)
    arm = next(arm for arm in study.results.evidence.arms if arm.name == "present")
    assert (arm.n, arm.errors) == (60, 20)
    assert arm.score_if_right == pytest.approx(arm.score.mean + 20 / 60)


def test_arms_without_anything_to_measure_are_an_error(tmp_path):
    with pytest.raises(TaskError, match="a reference alone"):
        run(studies.write(tmp_path, arms=["majority"], present=None))
    with pytest.raises(TaskError, match="empty"):
        run(studies.write(tmp_path / "b", arms=[]))
    with pytest.raises(TaskError, match="twice"):
        run(studies.write(tmp_path / "c", arms=["tfidf", "tfidf"]))


def test_a_remote_model_without_a_cap_is_refused(tmp_path):
    path = studies.write(tmp_path, model="openai:gpt-x", arms=["zero_shot"])
    with pytest.raises(TaskError, match="cap"):
        run(path)


@pytest.mark.parametrize(
    "prompts", [["few_shot"], ["zero_shot", "few_shot"]], ids=["one prompt arm", "two"]
)
def test_constrained_stands_on_the_best_prompt_even_where_there_is_only_one(tmp_path, prompts):
    arms = ["majority", *prompts, "constrained"]
    study = run(studies.write(tmp_path, arms=arms, present=None))
    stood = {r.fold: r.recipe for r in study.results.runs if r.spec.arm == "constrained"}
    best = {}
    for one in study.results.runs:
        if one.spec.tool == "prompt":
            best.setdefault(one.fold, []).append((one.dev or 0.0, one.recipe))
    assert stood
    for fold, recipe in stood.items():
        top = max(dev for dev, _ in best[fold])
        assert recipe == next(found for dev, found in best[fold] if dev == top)
