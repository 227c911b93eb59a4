"""Every failure mode: what its file defines, its knobs, its detector on facts and on records."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from failure_scenes import SCENES

from tuneworthy.lab import words
from tuneworthy.lab.case_data import guess_result
from tuneworthy.lab.cases import all_cases, scored_case
from tuneworthy.lab.events import run_id
from tuneworthy.lab.pages import Site, case_page
from tuneworthy.lab.recordings import SHIPPED_RECORDS, Recordings
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.failure import Check, Detection, RunFacts, Runs
from tuneworthy.records.plugins import catalogue, load

FAILURES = sorted(catalogue("failures"))
TEXTS = ("SLUG", "TITLE", "TASK", "STORY", "WIN", "HARMLESS")
LOOKS = {"p_end", "length", "score", "valid", "ended"}
NEEDS = {"log", "adapter", "data", "tokenizer"}
RECORDS = Path(__file__).parents[2] / "src" / "tuneworthy" / "lab" / "records"
CASES = {case.name: case for case in all_cases().values()}
TRAINED = [name for name in FAILURES if CASES[name].trains]


def test_slugs_titles_and_numbers_are_unique():
    modules = [load("failures", name) for name in FAILURES]
    for key in ("SLUG", "TITLE", "NUMBER"):
        values = [getattr(module, key) for module in modules]
        assert len(set(values)) == len(FAILURES), key


@pytest.mark.parametrize("name", FAILURES)
def test_a_file_defines_what_it_must(name):
    module = load("failures", name)
    assert all(isinstance(getattr(module, key), str) and getattr(module, key) for key in TEXTS)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", module.SLUG)
    assert module.HARD in (1, 2, 3)
    assert module.TASK in catalogue("suite")
    assert set(module.NEEDS) <= NEEDS
    assert len(module.CAUSES) == len(set(module.CAUSES)) == 5
    assert name in module.CAUSES
    assert set(module.CAUSES) <= set(FAILURES)
    assert len(module.MEASURES) == len(set(module.MEASURES)) == 5
    assert module.PROOF in module.MEASURES
    named = {*words.MEASURES, *words.CASE_MEASURES}
    assert {key.removeprefix("other.") for key in module.MEASURES} <= named
    lines = Path(module.__file__).read_text("utf-8").splitlines()
    assert len(lines) < 125


@pytest.mark.parametrize("name", sorted({*FAILURES} - {"judge_order"}))  # it scores verdicts
def test_right_answers_to_new_rows_have_the_full_score(name):
    case = CASES[name]
    rows = case.rows(case.config("twin"), 0).new[:4]  # as many as a look answers
    answers = [Answer(case=row.id, text=row.output) for row in rows]
    scores = scorer(case.task()).all([scored_case(row) for row in rows], answers)
    assert [getattr(score, "value", score) for score in scores] == [1.0] * 4


@pytest.mark.parametrize("name", TRAINED)
def test_two_charts_show_what_every_look_measures(name):
    charts = load("failures", name).CHARTS
    assert len(set(charts)) == 2
    assert set(charts) <= LOOKS


@pytest.mark.parametrize("name", FAILURES)
def test_neither_title_nor_slug_tells_the_cause(name):
    module = load("failures", name)
    cause = set(name.split("_")) - {"not", "too"}
    assert not cause & set(re.findall(r"[a-z]+", f"{module.TITLE} {module.SLUG}".lower()))


@pytest.mark.parametrize("name", TRAINED)
def test_knobs_lead_from_the_planted_run_to_the_clean_one(name):
    module, case = load("failures", name), CASES[name]
    plant, twin = case.config("plant"), case.config("twin")
    assert 4 <= len(module.KNOBS) <= 6
    changed = {key for key in plant if plant[key] != twin[key]}
    assert changed == set(module.PLANTED)
    assert changed <= set(module.KNOBS)
    for key, values in module.KNOBS.items():
        assert len(set(values)) == len(values) > 1, key
        assert {plant[key], twin[key]} <= set(values), key
    assert {**plant, **{key: module.CLEAN[key] for key in changed}} == twin


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_planted_lies_in_one_group_of_settings(name):
    planted = load("failures", name).PLANTED
    groups = {title for key in planted for title, keys in words.KEY_GROUPS.items() if key in keys}
    assert len(groups) == 1, "a blind run lists the cause below it"
    assert set(planted) <= set(words.KEY_TEXTS)


@pytest.mark.parametrize("name", FAILURES)
def test_four_to_six_tempting_fixes_turn_knobs_and_are_no_clean_run(name):
    module, case = load("failures", name), CASES[name]
    plant, fixes = case.config("plant"), module.FIXES
    tried = [{**plant, **fix.turns} for fix in fixes]
    assert 4 <= len(fixes) <= 6
    assert all(tried.count(config) == 1 for config in tried)
    assert plant not in tried
    assert case.config("twin") not in tried
    assert len({fix.says for fix in fixes}) == len(fixes)
    for fix in fixes:
        assert 20 <= len(fix.says) <= 160
        assert fix.says.endswith(".")
        for key, value in fix.turns.items():
            assert value in module.KNOBS[key], "a visitor can choose it"


@pytest.mark.parametrize("name", FAILURES)
def test_every_fix_is_recorded_and_the_page_tells_nothing_of_it_before_the_press(name):
    case, site = CASES[name], Site(live=False)
    found = list(Recordings(case).settings())
    assert len(found) == 1 + len(case.module.FIXES)
    assert all(check["passed"] for check in found[0]["checks"]), "the clean run's setting mends"
    page = re.sub(r"<script.*?</script>", "", case_page(case, 1, site), flags=re.S)
    assert not [each for each in found if each["id"] in page or (each["says"] or "?!") in page]
    told = set(re.findall(r"<option ([^>]*)>", page))
    assert {re.sub(r'value="[^"]*"( selected)?', "", attributes) for attributes in told} == {""}


@pytest.mark.parametrize("name", FAILURES)
def test_a_detector_and_the_conditions_stand_empty_facts(name):
    module = load("failures", name)
    for twin in (None, RunFacts()):
        found = module.detect(Runs(RunFacts(), twin))
        assert isinstance(found, Detection)
        assert found.found is None
        assert found.because.startswith("not measured: ")
    checks = list(module.victory(RunFacts(), RunFacts()))
    assert 2 <= len(checks) <= 4
    assert all(isinstance(each, Check) and each.what and each.value for each in checks)
    assert not all(each.passed for each in checks), "a run without figures is no repaired run"


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_detector_on_facts_without_a_twin(name):
    detect, scenes = load("failures", name).detect, SCENES[name]
    for kind, wanted in (("found", True), ("clean", False), ("missing", None)):
        assert scenes[kind]
        for facts in scenes[kind]:
            found = detect(Runs(facts))
            assert found.found is wanted, (kind, facts, found)
            assert found.because, (kind, facts)


def test_beside_a_twin_few_parameters_need_a_gap_to_its_loss():
    detect = load("failures", "rank_too_low").detect
    own = RunFacts(parameters=768, answer_tokens=181, loss_last=1.4)
    assert detect(Runs(own)).found is False
    assert detect(Runs(own, RunFacts(loss_last=0.02))).found is True
    assert detect(Runs(own, RunFacts(loss_last=1.2))).found is False


def records():
    for path in sorted(RECORDS.glob("*.json.gz")):
        events = json.loads(gzip.decompress(path.read_bytes()))
        if "case" in events[0]:  # the playground has records of its own
            yield events[0], next(event for event in events if event["kind"] == "end")


def recorded():
    by_run = {}
    for begin, end in records():
        by_run.setdefault((begin["case"], begin["seed"]), {})[begin["role"]] = end["facts"]
    known = {case.slug: name for name, case in CASES.items()}
    for (slug, seed), roles in sorted(by_run.items()):
        if slug in known and {"plant", "twin"} <= set(roles):
            yield pytest.param(known[slug], roles, id=f"{slug} {seed}")


@pytest.mark.parametrize(("name", "roles"), list(recorded()))
def test_a_detector_finds_the_recorded_plant_and_is_silent_on_its_twin(name, roles):
    module = load("failures", name)
    plant, twin = (RunFacts(**roles[role]) for role in ("plant", "twin"))
    assert module.detect(Runs(plant, twin)).found is True
    assert module.detect(Runs(twin, twin)).found is False
    assert module.detect(Runs(twin)).found is not True
    assert all(check.passed for check in module.victory(twin, twin))
    assert not all(check.passed for check in module.victory(plant, twin))


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_detector_is_silent_on_every_recorded_twin(name):
    detect = load("failures", name).detect
    fired = [
        begin["case"]
        for begin, end in records()
        if begin["role"] == "twin" and detect(Runs(RunFacts(**end["facts"]))).found
    ]
    assert not fired


@pytest.mark.parametrize("name", FAILURES)
def test_the_condition_told_has_a_clause_for_each_check(name):
    module = load("failures", name)
    twin = RunFacts(score=0.9, change=1.0, ended=40, p_end=0.99, valid=1.0)
    checks = list(module.victory(twin, twin))
    assert len(re.findall(r"[,;] ", module.WIN)) + 1 >= len(checks), module.WIN


def test_every_cause_is_a_wrong_answer_elsewhere_and_none_in_most_cases():
    """A cause that stands in one case alone is its answer; one that stands in most never is."""
    wrong = Counter(name for case in CASES.values() for name in case.module.CAUSES)
    wrong.subtract(list(CASES))
    assert set(wrong) == set(FAILURES)
    assert min(wrong.values()) >= 2
    assert max(wrong.values()) <= len(FAILURES) / 2.5


@pytest.mark.parametrize("name", FAILURES)
def test_no_wrong_answer_of_a_case_is_true_of_its_run_and_each_says_what_speaks_against_it(name):
    case = CASES[name]
    recorded = Recordings(case)
    for other in set(case.module.CAUSES) - {name}:
        found = load("failures", other).detect(Runs(recorded.own_facts, recorded.twin_facts))
        assert not found.found, other
        against = guess_result(case, other, 1)["against"]
        assert against.endswith((".", "”.")), against
        assert "not measured" not in against
    assert guess_result(case, name, 1)["against"] is None


@pytest.mark.parametrize("name", TRAINED)
def test_a_fix_of_the_serving_alone_has_the_planted_runs_training(name):
    """Another machine gives other losses: planted run and fixes are recorded on one."""
    case = CASES[name]
    plant = case.config("plant")
    own = SHIPPED_RECORDS.facts(run_id(case.slug, plant, 0))
    for fix in case.module.FIXES:
        if all(key.startswith("serve.") for key in fix.turns):
            told = SHIPPED_RECORDS.facts(run_id(case.slug, {**plant, **fix.turns}, 0))
            assert (told.loss_last, told.change) == (own.loss_last, own.change), fix.turns


@pytest.mark.parametrize("name", FAILURES)
def test_the_first_check_is_that_of_the_cause(name):
    recorded = Recordings(CASES[name])
    first = next(iter(CASES[name].module.victory(recorded.own_facts, recorded.twin_facts)))
    assert not first.passed
