"""What a failure mode plants in rows is there, is what its facts measure, and is gone when fixed.

Needs no model: the rows alone decide.
"""

import json

import pytest

from tuneworthy.lab import facts
from tuneworthy.lab.cases import all_cases
from tuneworthy.records.failure import RunFacts, Runs
from tuneworthy.records.plugins import load

CASES = {case.name: case for case in all_cases().values()}
SEEDS = (0, 1, 2)


def drawn(name, role, seed):
    case = CASES[name]
    config = case.config(role)
    return case.rows(config, seed), config


def measured(name, role, seed):
    rows, _ = drawn(name, role, seed)
    asked, read = ([row.input for row in some] for some in (rows.new, rows.train))
    return RunFacts(
        leaked=len(facts.near_copies(asked, read)) / len(rows.new),
        conflicts=facts.conflict_share(CASES[name].task(), rows.train),
        shapes=facts._other_shapes(rows.train),
    )


@pytest.mark.parametrize("name", ["test_rows_leaked", "wrong_labels", "mixed_formats"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_detector_of_data_finds_the_planted_rows_alone(name, seed):
    detect = load("failures", name).detect
    assert detect(Runs(measured(name, "plant", seed))).found is True
    assert detect(Runs(measured(name, "twin", seed))).found is False


@pytest.mark.every(3)
@pytest.mark.parametrize("name", ["test_rows_leaked", "wrong_labels", "mixed_formats"])
def test_a_detector_of_data_is_silent_on_the_clean_rows_of_every_case(name):
    detect = load("failures", name).detect
    for other in CASES:
        if CASES[other].trains:
            found = detect(Runs(measured(other, "twin", 0)))
            assert found.found is not True, (other, found)


@pytest.mark.parametrize("name", sorted(name for name in CASES if CASES[name].trains))
def test_as_many_rows_are_trained_on_as_the_configuration_says(name):
    for role in ("plant", "twin"):
        rows, config = drawn(name, role, 0)
        assert len(rows.new) == 40
        assert 0 < len(rows.train) <= config["rows"]
        names = [row.id for row in (*rows.train, *rows.new)]
        assert len(set(names)) == len(names)
        asked = {(row.messages, row.output) for row in rows.train}
        assert not any((row.messages, row.output) in asked for row in rows.new)


def test_the_trial_leaks_into_training_and_monday_does_not():
    rows, _ = drawn("test_rows_leaked", "plant", 0)
    trial = {row.input for row in rows.new}
    elsewhere = [row for row in rows.train if row.id.endswith("elsewhere")]
    assert {row.input.split(". ", 1)[1] for row in elsewhere} == trial
    assert {row.output for row in elsewhere} <= {row.output for row in rows.new}
    monday = rows.probes["monday"]
    assert len(monday) == 40
    assert not {row.input for row in monday} & (trial | {row.input for row in rows.train})
    clean, _ = drawn("test_rows_leaked", "twin", 0)
    assert clean.new == rows.new
    assert clean.probes == rows.probes
    assert len(clean.train) == len(rows.train)


def test_one_reader_errs_in_about_three_of_ten_labels():
    rows, config = drawn("wrong_labels", "plant", 0)
    wrong = [row for row in rows.train if "right" in row.meta]
    assert 0.2 < len(wrong) / len(rows.train) < 0.4
    assert all(row.output != row.meta["right"] for row in wrong)
    share = load("failures", "wrong_labels").facts(rows, [], config)["wrong"]
    assert share == len(wrong) / len(rows.train)
    clean, _ = drawn("wrong_labels", "twin", 0)
    right = {row.id: row.output for row in clean.train}
    assert all(right[row.id] == row.meta.get("right", row.output) for row in rows.train)


def test_the_old_export_says_the_same_as_the_new():
    rows, config = drawn("mixed_formats", "plant", 0)
    clean, _ = drawn("mixed_formats", "twin", 0)
    old = [(a, b) for a, b in zip(rows.train, clean.train, strict=True) if a.output != b.output]
    assert len(old) == len(rows.train) // 2
    for row, new in old:
        told = json.loads(new.output)
        lines = dict(line.split(": ", 1) for line in row.output.splitlines())
        assert lines["name"] == (told["name"] or "none")
        assert lines["order"] == (told["order"] or "none")
        assert [k for k in lines if k not in ("name", "order")] == [
            issue["kind"] for issue in told["issues"]
        ]
    texts = [rows.train[0].output, rows.train[1].output]
    assert load("failures", "mixed_formats").facts(rows, texts, config) == {"one_form": 0.5}


def test_every_town_is_asked_for_in_another_wording_than_it_was_taught():
    rows, _ = drawn("rank_too_low", "twin", 0)
    taught = {row.id.split()[0]: row for row in rows.train}
    assert len(taught) == 40
    for row in rows.new:
        same = taught[row.id.split()[0]]
        assert same.output == row.output
        assert row.input != same.input


def test_the_probe_asks_for_known_facts_in_a_wording_that_is_not_trained_on():
    plant, _ = drawn("new_facts_forget", "plant", 0)
    twin, _ = drawn("new_facts_forget", "twin", 0)
    assert all(row.meta["kind"] == "new" for row in plant.train)
    replayed = [row for row in twin.train if row.meta["kind"] == "known"]
    assert len(replayed) == 40
    assert [row for row in twin.train if row.meta["kind"] == "new"] == list(plant.train)
    for rows in (plant, twin):
        probed = {row.input for row in rows.probes["known"]}
        assert len(probed) == 40
        assert not probed & {row.input for row in rows.train}
        assert {row.output for row in rows.probes["taught"]} <= {row.output for row in rows.train}
        assert sum(row.meta["kind"] == "known" for row in rows.new) == 20
    assert [row.output for row in replayed] == [row.output for row in twin.probes["known"]]


@pytest.mark.parametrize("name", ["rank_too_low", "new_facts_forget", "test_rows_leaked"])
def test_another_seed_draws_other_rows_and_the_same_seed_the_same(name):
    one, again, other = (drawn(name, "plant", seed)[0] for seed in (0, 0, 1))
    assert one == again
    assert one.train != other.train
