"""Failure modes of masks, templates, cuts, packing and data: rows, facts and detectors."""

import json
from collections import Counter

import pytest

from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.failures import _conditions, _rows
from tuneworthy.records.failure import RunFacts, Runs
from tuneworthy.records.plugins import load

NAMES = (
    "loss_on_prompt", "other_template", "rows_cut", "packed_rows", "narrow_rows_forget",
    "refusals_overrepresented", "outdated_facts", "teacher_errors",
)  # fmt: skip
CASES = {case.name: case for case in all_cases().values()}


def rows(name, seed=0, **changes):
    case = CASES[name]
    return case.rows({**case.config("twin"), **changes}, seed)


def detection(name, **facts):
    fields = {key: value for key, value in facts.items() if key in RunFacts.model_fields}
    other = {key: value for key, value in facts.items() if key not in fields}
    return CASES[name].module.detect(Runs(RunFacts(**fields, other=other)))


@pytest.mark.parametrize(
    ("name", "fact", "clean", "planted"),
    [
        ("loss_on_prompt", "answer_share", 1.0, 0.0),
        ("loss_on_prompt", "answer_share", 0.3, 0.05),
        ("other_template", "same_prompt", 1.0, 0.0),
        ("rows_cut", "cut_rows", 0.01, 0.4),
        ("packed_rows", "answer_seen", 0.1, 0.9),
        ("narrow_rows_forget", "general_loss_rise", 0.02, 0.8),
        ("refusals_overrepresented", "prior", 1.2, 4.8),
        ("outdated_facts", "old_values", 0.05, 0.6),
        ("teacher_errors", "mistakes_repeated", 0.1, 0.8),
    ],
)
def test_a_detector_needs_its_fact_and_no_twin(name, fact, clean, planted):
    found = detection(name, **{fact: planted})
    assert found.found is True
    assert found.value == planted
    assert detection(name, **{fact: clean}).found is False
    missing = detection(name)
    assert missing.found is None
    assert missing.because.startswith("not measured: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_facts_is_not_repaired(name):
    checks = list(CASES[name].module.victory(RunFacts(), RunFacts(score=0.9)))
    assert checks
    assert not any(check.passed for check in checks)


def test_the_longest_third_is_whole_if_it_ends_as_the_right_answer_does():
    given = rows("rows_cut")
    right = [row.output for row in given.new]
    facts = CASES["rows_cut"].module.facts
    assert facts(given, right, {})["long_answers_whole"] == 1
    middle = sorted(map(len, right))[len(right) * 2 // 3]
    broken = [text if len(text) < middle else text[:-4] for text in right]
    assert facts(given, broken, {})["long_answers_whole"] == 0


def test_packed_rows_are_sorted_by_label_or_shuffled():
    by_label, shuffled = rows("packed_rows"), rows("packed_rows", order="shuffled")
    labels = [row.output for row in by_label.train]
    assert labels == sorted(labels)
    assert len(set(labels)) == 12
    assert {row.id for row in shuffled.train} == {row.id for row in by_label.train}
    assert [row.output for row in shuffled.train] != labels


def test_replayed_rows_take_the_place_of_tickets_and_are_no_probes():
    given = rows("narrow_rows_forget", replay=0.25)
    general = [row for row in given.train if row.id.startswith("general")]
    assert (len(general), len(given.train)) == (16, 64)
    asked = {row.input for row in _rows.probe_rows()}
    assert len(asked) == _rows.PROBE_COUNT
    assert not asked & {row.input for row in _rows.replay_rows(100)}
    assert not any(
        row.id.startswith("general") for row in rows("narrow_rows_forget", replay=0.0).train
    )
    assert all(row.messages[-1].content and row.output for row in _rows.replay_rows(24))


def test_refusals_have_a_passage_without_the_answer():
    given = rows("refusals_overrepresented", refusals=0.6)
    refused = Counter(row.output == _rows.REFUSAL for row in given.train)
    assert refused[True] == round(0.6 * 64)
    assert sum(row.output == _rows.REFUSAL for row in given.new) == 2
    for row in (*given.train, *given.new):
        passage, _, question = row.input.partition("\n\nQuestion: ")
        own = _rows.answering_document(row)
        assert (own["text"] in passage) == (row.output != _rows.REFUSAL)
        assert _rows.office_and_rule(own)[0] in question
        assert _rows.REFUSAL in row.messages[0].content


def test_a_wrong_passage_is_of_the_same_office_or_on_the_same_rule():
    given = rows("refusals_overrepresented", refusals=0.6)
    for row in given.train:
        if row.output == _rows.REFUSAL:
            office, _ = _rows.office_and_rule(_rows.answering_document(row))
            text = row.input.partition("\n\n")[0]
            topic = _rows.office_and_rule(_rows.answering_document(row))[1]
            assert office in text or topic in text


def test_refused_questions_with_an_answer_are_counted():
    given = rows("refusals_overrepresented")
    facts = CASES["refusals_overrepresented"].module.facts
    assert facts(given, [row.output for row in given.new], {})["wrongly_refused"] == 0
    assert facts(given, [_rows.REFUSAL] * 40, {})["wrongly_refused"] == 1


def test_outdated_rows_ask_for_the_same_rules_in_other_words():
    planted = rows("outdated_facts", passages=False, rows_of="2023")
    assert (len(planted.train), len(planted.new)) == (60, 40)
    learnt = {row.output for row in planted.train}
    assert all(row.meta["older"][0] in learnt for row in planted.new)
    assert all(row.output not in row.meta["older"] for row in planted.new)
    assert not {row.input for row in planted.train} & {row.input for row in planted.new}
    facts = CASES["outdated_facts"].module.facts
    assert facts(planted, [row.meta["older"][0] for row in planted.new], {}) == {
        "old_values": 1, "right": 0}  # fmt: skip
    assert facts(planted, [row.output for row in planted.new], {}) == {"old_values": 0, "right": 1}


def test_outdated_rows_can_be_written_anew_or_read_the_passage_in_force():
    fresh = rows("outdated_facts", passages=False, rows_of="2025")
    assert {row.output for row in fresh.new} == {row.output for row in fresh.train}
    for row in rows("outdated_facts", passages=True).new:
        passage, _, question = row.input.partition("\n\nQuestion: ")
        assert row.output in passage
        assert row.output not in question


def test_the_teacher_adds_a_word_and_the_catalogue_drops_its_rows():
    taught = rows("teacher_errors", verify="nothing")
    habit = [row for row in taught.train if '"item":"electric ' in row.output]
    assert 0.2 < len(habit) / 64 < 0.8
    for verify in ("it parses", "two drafts agree"):
        assert rows("teacher_errors", verify=verify) == taught
    checked = rows("teacher_errors", verify="items in the catalogue")
    assert len(checked.train) == 64
    assert not any('"item":"electric ' in row.output for row in checked.train)
    assert {row.output for row in checked.new} == {row.output for row in taught.new}
    kinds = {issue["kind"] for row in checked.train for issue in json.loads(row.output)["issues"]}
    assert len(kinds) == 6, "no kind of ticket is lost"


def test_a_repeated_mistake_has_the_words_that_the_teacher_has_too_many():
    right, taught = '{"item":"fan"}', '{"item":"electric fan"}'
    assert _conditions.repeats_mistake(taught, taught, right) is True
    assert _conditions.repeats_mistake(right, taught, right) is False
    assert _conditions.repeats_mistake("anything", right, right) is None
    given = rows("teacher_errors")
    facts = CASES["teacher_errors"].module.facts
    assert facts(given, [row.meta["teacher"] for row in given.new], {})["mistakes_repeated"] == 1
    assert facts(given, [row.output for row in given.new], {})["mistakes_repeated"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_planted_run_and_its_twin_differ_in_the_planted_keys_alone(name):
    case, module = CASES[name], load("failures", name)
    planted, clean = case.config("plant"), case.config("twin")
    differ = {key for key in clean if planted[key] != clean[key]}
    assert differ
    assert differ <= set(module.PLANTED)
    assert rows(name, seed=1) == rows(name, seed=1)
