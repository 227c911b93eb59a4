"""The audit: each anomaly is reported with its rows, clean rows have none, figures are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuneworthy.records.audit_report import Audit, Observation
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.report.checks import detectable_line
from tuneworthy.rows.audit import audit
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import load
from tuneworthy.stats.bounds import level
from tuneworthy.stats.power import exact_power

LABELS = ["billing", "delivery", "refund"]
TOPICS = ["parcel", "invoice", "router", "ticket", "garden", "engine", "window", "violin"]


def pair(n: int, **more: object) -> dict[str, object]:
    text = f"{TOPICS[n % 8]} question {n} from customer {n * 31} about {TOPICS[(n // 8) % 8]}"
    return {"input": text, "output": LABELS[n % 3], **more}


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    (folder / name).write_text("\n".join(map(json.dumps, rows)), "utf-8")


def audited(folder: Path, rows: list[dict[str, object]], test: object = None, **more: object):
    count, context = more.pop("count", None), more.pop("context", None)
    write(folder, "a.jsonl", rows)
    data = Data(file="a.jsonl")
    if test is not None:
        write(folder, "b.jsonl", test)
        data = Data(train="a.jsonl", test="b.jsonl")
    got = load(Task(data=data, **more).at(folder))
    return audit(got, split(got), count, context)


def of(seen: Audit, kind: str) -> Observation:
    found = [one for one in seen.observations if one.kind == kind]
    assert len(found) == 1, [one.kind for one in seen.observations]
    return found[0]


def test_clean_rows_raise_nothing(tmp_path):
    seen = audited(tmp_path, [pair(n) for n in range(300)])
    assert [one.kind for one in seen.observations if one.kind != "few_rows"] == []
    assert (seen.rows, seen.used, seen.scored, seen.folds) == (300, 300, 300, 5)
    assert seen.classes == dict.fromkeys(LABELS, 100)
    assert seen.conflict_share == 0
    assert seen.unit == "characters"


def test_what_rows_can_show_is_wider_for_fitted_arms(tmp_path):
    seen = audited(tmp_path, [pair(n) for n in range(250)]).visible
    assert (seen.n, seen.d, seen.factor) == (250, 0.2, 1.95)
    assert exact_power(250, 0.2, seen.prompts, level(0.05)) >= 0.8
    assert exact_power(250, 0.2, seen.prompts - 0.001, level(0.05)) < 0.8
    assert exact_power(250, 0.2, seen.fitted, level(0.05), 1.95) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("arms", "look"), [(2, 1), (5, 1), (13, 1), (2, 2), (3, 8)])
def test_what_rows_show_is_that_of_the_study_that_is_planned(tmp_path, arms, look):
    write(tmp_path, "a.jsonl", [pair(n) for n in range(120)])
    loaded = load(Task(data=Data(file="a.jsonl")).at(tmp_path))
    seen = audit(loaded, split(loaded), arms=arms, look=look).visible
    assert (seen.arms, seen.look) == (arms, look)
    assert exact_power(120, 0.2, seen.prompts, level(0.05, look, arms)) >= 0.8
    said = detectable_line(seen)
    assert (f"among {arms} arms" in said) == (arms > 2)
    assert (f"at look {look}" in said) == (look > 1)


def test_with_a_test_file_nothing_is_widened(tmp_path):
    seen = audited(tmp_path, [pair(n) for n in range(90)], [pair(n) for n in range(200, 260)])
    assert (seen.visible.n, seen.visible.factor) == (60, 1.0)
    assert seen.visible.prompts == seen.visible.fitted


def test_i37_few_rows_say_what_they_show_and_what_is_needed(tmp_path):
    seen = of(audited(tmp_path, [pair(n) for n in range(12)]), "few_rows")
    assert "the margin is 5" in seen.text
    assert "620" in seen.fix or "62" in seen.fix


def test_rows_in_few_groups_say_what_those_groups_can_show(tmp_path):
    rows = [pair(n, group=f"g{n // 30}") for n in range(300)]
    seen = of(audited(tmp_path, rows), "groups")
    assert (seen.level, seen.count) == ("warning", 10)
    assert "in 10 groups, worth 10 of one size" in seen.text
    assert "29 points better on other groups" in seen.text  # 1 - .035 ** (1 / 10) = .285
    uneven = [pair(n, group=f"g{0 if n < 270 else n}") for n in range(300)]
    assert "in 31 groups, worth 1 of one size" in of(audited(tmp_path, uneven), "groups").text
    copied = [pair(n // 10) for n in range(300)]  # of 30 inputs: 1 - (.035 / 2) ** (1 / 30)
    assert "13 points better on other groups" in of(audited(tmp_path, copied), "groups").text
    one = [pair(0 if n < 270 else n) for n in range(300)]
    assert "100 points better on other groups" in of(audited(tmp_path, one), "groups").text
    many = [pair(n, group=f"g{n // 2}") for n in range(300)]
    wide = audited(tmp_path, many, success={"margin": 0.1})
    assert of(wide, "groups").level == "note"


@pytest.mark.parametrize("more", [{}, {"group": True}])
def test_rows_that_are_alike_show_about_as_much_as_one_of_them(tmp_path, more):
    rows = [pair(n // 10, **({"group": f"g{n // 10}"} if more else {})) for n in range(300)]
    alike, alone = audited(tmp_path, rows), audited(tmp_path, rows[::10])
    assert (alike.visible.n, alone.visible.n) == (300, 30)
    assert min(alike.visible.prompts, alone.visible.prompts) > 0.2
    assert alike.visible.fitted >= alone.visible.fitted
    assert "independent rows show the margin" in of(alike, "few_rows").fix
    assert "independent" not in of(alone, "few_rows").fix


def test_i39_contradictions_are_counted_by_scored_row(tmp_path):
    rows = [pair(n) for n in range(100)]
    rows += [dict(rows[n], output=LABELS[(n + 1) % 3]) for n in range(4)]
    seen = audited(tmp_path, rows)
    assert seen.conflict_share == pytest.approx(8 / 104, abs=1e-6)
    assert of(seen, "conflict").count == 8


def test_accepted_answers_and_wordings_are_no_contradiction(tmp_path):
    rows = [pair(n) for n in range(30)]
    rows.append(dict(rows[0], output="delivery", accepted=["billing"]))
    assert audited(tmp_path, rows).conflict_share == 0
    said = [{"input": f"name[{TOPICS[n % 8]} {n}]", "output": f"Number {n} is a cosy place to eat."}
            for n in range(30)]  # fmt: skip
    again = dict(said[0], output="A cosy place to eat is number 0.")
    assert audited(tmp_path, [*said, again]).conflict_share == 0
    against = dict(said[0], output="Closed for good.")
    assert audited(tmp_path, [*said, against]).conflict_share == pytest.approx(2 / 31, abs=1e-6)


def test_json_answers_agree_in_any_key_order(tmp_path):
    rows = [{"input": f"make {TOPICS[n % 8]} {n}", "output": {"a": n, "b": 1}} for n in range(20)]
    assert audited(tmp_path, [*rows, dict(rows[0], output={"b": 1, "a": 0})]).conflict_share == 0
    assert audited(tmp_path, [*rows, dict(rows[0], output={"b": 1, "a": 7})]).conflict_share > 0


def test_i35_one_answer_blocks(tmp_path):
    seen = of(audited(tmp_path, [dict(pair(n), output="yes") for n in range(20)]), "one_answer")
    assert (seen.level, seen.count) == ("blocked", 20)


def test_i34_a_dominant_label_is_warned_of(tmp_path):
    rows = [dict(pair(n), output="no" if n % 20 == 0 else "yes") for n in range(200)]
    seen = of(audited(tmp_path, rows), "dominant_label")
    assert (seen.level, seen.count) == ("warning", 190)


def test_i32_i33_labels_on_one_side_only_are_warned_of(tmp_path):
    train = [pair(n) for n in range(60)] + [dict(pair(99), output="rare")] * 1
    train += [dict(pair(98), output="rare")]
    test = [dict(pair(n), output="new" if n > 217 else LABELS[n % 2]) for n in range(200, 220)]
    seen = audited(tmp_path, train, test)
    assert of(seen, "test_only_label").count == 2
    assert "rare" in of(seen, "train_only_label").ids


def test_i36_i38_singletons_and_copies_go_on_with_a_warning(tmp_path):
    rows = [pair(n) for n in range(60)] + [pair(3), dict(pair(70), output="once")]
    seen = audited(tmp_path, rows)
    assert of(seen, "copies").count == 2
    assert of(seen, "single_label").count == 1
    assert seen.rows == seen.used == 62


def test_copies_in_train_are_learnt_from_once_and_accounted_for(tmp_path):
    rows = [pair(n) for n in range(60)] + [pair(3), pair(3)]
    seen = audited(tmp_path, rows, [pair(n) for n in range(200, 230)])
    assert seen.excluded == {"copy of a training row": 2}
    assert seen.rows == seen.used + 2 == 92


def test_i59_gold_that_violates_the_schema_is_named(tmp_path):
    rows = [{"input": f"make {TOPICS[n % 8]} {n}", "output": {"a": n}} for n in range(20)]
    rows[7] = dict(rows[7], output={"a": "x"})
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    seen = of(audited(tmp_path, rows, output=Output(json_schema=schema)), "schema")
    assert seen.count == 1
    assert "a.jsonl:8" in seen.text


def test_i41_i42_i43_lengths_are_held_against_limit_and_context(tmp_path):
    rows = [{"input": "w " * 10, "output": f"{TOPICS[n % 8]} words to say {n}"} for n in range(3)]
    rows = [dict(row, input=f"{n} " + row["input"]) for n, row in enumerate(rows)]

    def count(text: str) -> int:
        return len(text.split())

    task = {"count": count, "output": Output(type="text", max_tokens=5)}
    fits = audited(tmp_path, rows, context=16, **dict(task))
    assert {"over_context", "long_answer"}.isdisjoint(one.kind for one in fits.observations)
    over = audited(tmp_path, rows, context=15, **dict(task))
    assert of(over, "over_context").count == 3
    tight = Output(type="text", max_tokens=4)
    assert of(audited(tmp_path, rows, count=count, output=tight), "long_answer").count == 3
    assert fits.lengths == {"prompt": (11, 11, 11, 11), "answer": (5, 5, 5, 5)}
    assert fits.unit == "tokens"


def test_i46_characters_that_nobody_sees_are_warned_of(tmp_path):
    rows = [pair(n) for n in range(30)]
    rows[2]["input"] = "safe\u202etext from far away"
    rows[5]["input"] = "zero\u200bwidth somewhere in a line"
    rows[9]["input"] = "an escape \x1b[31m in the middle"
    assert of(audited(tmp_path, rows), "unseen_characters").count == 3


def test_i57_private_data_is_counted_and_a_warning_for_remote_models(tmp_path):
    rows = [pair(n) for n in range(30)]
    rows[1]["input"] = "write to ann.example@mail.example.org about it"
    rows[2]["input"] = "my card is 4111 1111 1111 1111 and was charged"
    rows[3]["input"] = "the card 4111 1111 1111 1112 does not exist"
    local = audited(tmp_path, rows)
    kinds = {one.text: one.level for one in local.observations if one.kind == "private"}
    assert kinds == {"1 row seems to hold a card": "note", "1 row seems to hold an e-mail": "note"}
    remote = audited(tmp_path, rows, model="openai:some-model")
    assert {one.level for one in remote.observations if one.kind == "private"} == {"warning"}


def test_answers_without_an_end_are_warned_of(tmp_path):
    rows = [
        {
            "input": f"tell me about {TOPICS[n % 8]} {n}",
            "output": f"This is all I can say of {n}, sir.",
        }
        for n in range(100)
    ]
    assert not [o for o in audited(tmp_path, rows).observations if o.kind == "cut_answer"]
    rows[4]["output"] = "This is all that one can say of"
    assert of(audited(tmp_path, rows), "cut_answer").count == 1


def test_i55_i56_time_and_groups_across_files_are_warned_of(tmp_path):
    train = [pair(n, time=f"2026-03-{1 + n % 28:02}", group=f"u{n}") for n in range(60)]
    test = [pair(n, time="2026-03-10", group=f"u{n - 200}") for n in range(200, 230)]
    seen = audited(tmp_path, train, test)
    assert of(seen, "time").count == 30
    assert of(seen, "group").count == 30
