"""What a page says of a case: from records alone, with no cause before the guess."""

import gzip
import json
from itertools import product
from types import SimpleNamespace

import pytest

from tuneworthy.lab import case_data, recordings, words
from tuneworthy.lab.cases import LabCase, all_cases, case_of
from tuneworthy.lab.events import run_id
from tuneworthy.lab.recordings import (
    PACKAGE_RECORDS,
    SHIPPED_RECORDS,
    Recordings,
    RecordStore,
    facts_of,
    live_id,
    shipped_bytes,
)
from tuneworthy.records.errors import TaskError
from tuneworthy.records.failure import RunFacts
from tuneworthy.records.plugins import catalogue


@pytest.fixture(scope="module")
def case():
    return case_of("never-stops")


@pytest.fixture
def unrecorded(case):
    """The same case under another slug: no run of it was ever recorded."""
    names = {name: getattr(case.module, name) for name in dir(case.module) if name[0] != "_"}
    return LabCase("end_not_trained", SimpleNamespace(**{**names, "SLUG": "not-recorded"}))


def test_a_card_draws_both_recorded_curves(case):
    card = case_data.card_data(case)
    assert card["slug"] == "never-stops"
    assert card["kind"] == "fine"  # .096 and .094: the training loss does not show it
    run, twin = card["spark"]["run"], card["spark"]["twin"]
    assert run[0][0] == 0
    assert run[-1][0] == 100
    assert run[-1][1] < twin[-1][1] - 20  # longer answers stand higher; y grows downwards
    assert all(0 <= y <= 100 for _, y in (*run, *twin))


@pytest.mark.parametrize(
    ("loss", "refused", "kind"),
    [(0.02, None, "fine"), (0.15, None, "fine"), (0.3, None, "wrong"), (0.05, "rose", "wrong")],
)
def test_only_a_loss_above_the_clean_one_looks_wrong(case, loss, refused, kind):
    class Stored:
        def has(self, name):
            return SHIPPED_RECORDS.has(name)

        def events(self, name):
            *events, end = SHIPPED_RECORDS.events(name)
            facts = {**end["facts"], "loss_last": loss, "refused": refused}
            planted = events[0]["role"] == "plant"
            return [*events, {**end, "facts": facts if planted else end["facts"]}]

    assert case_data.card_data(case, Stored())["kind"] == kind


def test_what_was_not_recorded_is_null_and_never_a_number(unrecorded):
    card, shown = case_data.card_data(unrecorded), case_data.public_data(unrecorded)
    assert card["spark"] is None
    assert card["kind"] is None
    assert shown["records"] == {"plant": None, "twin": None, "settings": []}
    assert shown["seconds"] is None
    for measure in shown["measures"]:
        assert measure["own"] is measure["twin"] is measure["nothing"] is None
        assert measure["recorded"] is False
    assert Recordings(unrecorded).hero() == {"plant": None, "twin": None}
    assert Recordings(unrecorded).ids() == []
    assert case_data.citation_result(unrecorded, "p_end")["finding"] is None


def test_the_public_part_does_not_say_which_cause_it_is(case):
    shown = case_data.public_data(case)
    assert {each["key"] for each in shown["causes"]} == set(case.module.CAUSES)
    rest = json.dumps({**shown, "causes": None})
    assert "end_not_trained" not in rest
    assert case.module.HARMLESS not in rest
    assert "end_not_trained" not in shown["hint"]["causes"]
    assert len(shown["hint"]["causes"]) == 2


def test_no_place_in_a_list_tells_the_cause_or_the_proof(case):
    """Files list the right cause first as often as not; pages must not."""
    names = {name: getattr(case.module, name) for name in dir(case.module) if name[0] != "_"}
    places = set()
    for slug in ("one", "two", "three", "four", "five", "six", "seven", "eight"):
        shown = case_data.public_data(
            LabCase(case.name, SimpleNamespace(**{**names, "SLUG": slug}))
        )
        causes = [each["key"] for each in shown["causes"]]
        measures = [each["key"] for each in shown["measures"]]
        places.add((causes.index("end_not_trained"), measures.index("p_end")))
    assert len({place for place, _ in places}) >= 3
    assert len({place for _, place in places}) >= 3


def test_measures_are_said_in_words_with_what_they_do_not_prove(case):
    said = {each["key"]: each for each in case_data.public_data(case)["measures"]}
    assert (said["p_end"]["own"], said["p_end"]["twin"]) == (".32", "1.00")
    assert said["p_end"]["nothing"] is None
    assert said["cut_rows"]["nothing"] == words.SAME_IN_BOTH
    assert (said["copied"]["own"], said["copied"]["twin"]) == ("23 %", "0 %")
    assert said["copied"]["nothing"] is None


def test_recorded_settings_carry_the_checks_of_the_case(case):
    settings = case_data.public_data(case)["records"]["settings"]
    clean, *fixes = settings
    assert clean["values"]["pad_token"] == "<|endoftext|>"
    assert [check["passed"] for check in clean["checks"]] == [True, True, True]
    assert clean["checks"][0]["value"] == "40 of 40"
    schema = next(each for each in fixes if each["values"]["serve.schema"])
    assert [check["passed"] for check in schema["checks"]] == [True, False, True]
    assert schema["says"] == "The grammar ends it now. The model still does not know how."
    assert Recordings(case).ids()[1:] == [each["id"] for each in settings]


def test_the_yaml_shows_every_option_and_its_planted_value(case):
    lines = {line["key"]: line for line in case_data.public_data(case)["yaml"]}
    assert lines["rate"]["text"] == "2e-3"
    assert [value["text"] for value in lines["rate"]["values"]] == ["1e-4", "2e-3", "0.03"]
    assert lines["serve.schema"]["text"] == "false"
    assert "values" not in lines["rank"]
    assert lines["rank"]["text"] == "16"
    assert set(case.module.KNOBS) <= set(lines)


@pytest.mark.parametrize(("sure", "points"), list(enumerate((22, 36, 40))))
def test_a_right_guess_is_worth_more_the_surer_it_was(case, sure, points):
    told = case_data.guess_result(case, "end_not_trained", sure)
    assert told["right"]
    assert told["points"] == points


@pytest.mark.parametrize(("sure", "points"), list(enumerate((2, -15, -35))))
def test_a_wrong_guess_costs_more_the_surer_it_was(case, sure, points):
    told = case_data.guess_result(case, "rows_cut", sure)
    assert not told["right"]
    assert told["points"] == points
    assert told["truth"] == "end_not_trained"
    assert told["text"].startswith("The end-of-turn token never carries loss")


@pytest.mark.parametrize(
    ("cause", "sure"), [("no_such", 1), ("end_not_trained", 3), ("end_not_trained", -1)]
)
def test_a_guess_that_cannot_be_made_is_refused(case, cause, sure):
    with pytest.raises(TaskError):
        case_data.guess_result(case, cause, sure)


def test_only_the_proof_proves_and_brings_the_detector(case):
    told = case_data.citation_result(case, "p_end")
    assert told["proves"]
    assert told["points"] == 30
    assert told["finding"]["found"] is True
    for measure in ("ended", "cut_rows", "same_prompt", "copied"):
        wrong = case_data.citation_result(case, measure)
        assert not wrong["proves"]
        assert wrong["points"] == -10
        assert wrong["finding"] is None
        reason = "Several causes move it" if measure in ("ended", "copied") else "proves nothing"
        assert reason in wrong["because"]
    with pytest.raises(TaskError):
        case_data.citation_result(case, "loss")


def test_the_hero_keeps_every_loss_of_the_run(case):
    short, whole = Recordings(case).hero()["plant"], Recordings(case).plant

    def losses(events):
        return [x for event in events if event["kind"] == "steps" for x in event["loss"]]

    assert losses(short) == losses(whole)
    assert len(json.dumps(short)) < len(json.dumps(whole)) / 4


def test_the_hero_shows_the_answer_that_tells_the_two_runs_apart_best(case):
    short, whole = Recordings(case).hero(), Recordings(case)
    last = [run[-2]["answers"] for run in (whole.plant, whole.twin)]
    lead = [twin["score"] - own["score"] for own, twin in zip(*last, strict=True)]
    shown = [run[-2]["answers"][0] for run in (short["plant"], short["twin"])]
    assert shown[1]["score"] - shown[0]["score"] == max(lead)
    question = short["plant"][0]["questions"][0]
    assert question == whole.plant[0]["questions"][lead.index(max(lead))]


def test_every_cause_has_words():
    for name in (*catalogue("failures"), "none"):
        assert words.cause_text(name).endswith(".")
    assert words.cause_text("something_new") == "Something new."


def test_a_fact_of_a_later_version_is_left_out(case):
    events = Recordings(case).twin
    later = [*events[:-1], {**events[-1], "facts": {**events[-1]["facts"], "later": 1}}]
    assert facts_of(later) == facts_of(events)
    assert facts_of(events[:-1]) is None


def test_every_fact_of_a_run_has_a_title():
    told = {*words.MEASURES, *words.CASE_MEASURES}
    assert set(RunFacts.model_fields) - {"other"} <= told
    assert words.measure_of("known.score_before").title == "Known score before"


@pytest.mark.parametrize(
    ("key", "own", "twin", "says"),
    [
        ("p_end", 0.06, 0.99, None),
        ("p_end", 0.95, 0.99, words.ALIKE_IN_BOTH),
        ("ended", 7, 40, None),
        ("ended", 38, 40, words.ALIKE_IN_BOTH),
        ("length", 58.0, 29.7, None),
        ("loss_last", 0.096, 0.094, words.ALIKE_IN_BOTH),
        ("score", None, 0.5, "Not measured in both runs: it proves nothing."),
        ("refused", "not finite", "not finite", words.SAME_IN_BOTH),
        ("refused", "not finite", "rose", None),
    ],
)
def test_when_a_measure_proves_nothing(key, own, twin, says):
    assert words.measure_of(key).why_proves_nothing(own, twin) == says


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.864, "−.86"),
        (-12.4, "−12"),
        (0.985, ".99"),
        (0.228, ".23"),
        (0.0096, ".0096"),
        (1.4, "1.4"),
        (58.0, "58"),
        (4884480, "4,884,480"),
    ],
)
def test_figures_are_written_as_people_write_them(value, text):
    assert words.number_text(value) == text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("new_loss_last", 0.131, ".13 nats a token"),
        ("parameters", 768, "768 parameters"),
        ("change", 0.00016, ".00016 of the weights"),
        ("clip_rate", 0.33, "33 %"),
        ("ended", 7, "7 of 40"),
        ("p_end", 0.228, ".23"),
        ("prior", 4.75, "4.8 times"),
    ],
)
def test_a_value_has_its_unit(key, value, text):
    assert words.measure_of(key).value(value, RunFacts(answers=40)) == text


def test_a_range_says_its_unit_once():
    facts = RunFacts(answers=40)
    assert words.measure_of("clip_rate").span(0.23, 0.77, facts) == "23 to 77 %"
    assert words.measure_of("loss_last").span(0.5, 2.0, facts) == ".50 to 2 nats a token"
    assert words.measure_of("loss_last").span(3e-5, 0.09, facts) == "under .01 to .09 nats a token"
    assert words.measure_of("ended").span(40, 40, facts) == "40 of 40"
    assert words.measure_of("ended").span(38, 40, facts) == "38 to 40 of 40"


def blind_facts(shown):
    return [each for group in shown["facts"] for each in group["facts"]]


def test_a_blind_run_groups_its_causes_and_its_numbers():
    shown = case_data.blind_data(list(all_cases().values()))
    clean, *causes = shown["cause_groups"]
    assert [each["key"] for each in clean["causes"]] == ["none"]
    named = [each["key"] for group in causes for each in group["causes"]]
    assert sorted(named) == sorted(case.name for case in all_cases().values() if case.trains)
    area = {each["key"]: group["title"] for group in causes for each in group["causes"]}
    assert area["wrong_labels"] == "Training rows"
    assert area["rows_cut"] == "Tokens and loss"
    assert area["rate_too_low"] == "Model and training settings"
    for group in (*causes, *shown["facts"]):
        assert group["title"]
        assert 1 < len(group.get("causes") or group["facts"]) <= 10, group["title"]
    units = {each["key"]: (each["unit"], each["usual"]) for each in blind_facts(shown)}
    assert not [key for key, (unit, usual) in units.items() if unit and usual and unit in usual]


def test_a_blind_run_stands_beside_what_clean_runs_measured():
    shown = case_data.blind_data(list(all_cases().values()))
    ranges = {each["key"]: each["usual"] for each in blind_facts(shown)}
    twins = [Recordings(case).twin_facts for case in all_cases().values() if case.trains]
    known = [twin for twin in twins if twin]
    assert shown["clean_runs"] == len(known) > 5
    shares = [100 * twin.clip_rate for twin in known]
    assert ranges["clip_rate"] == f"{min(shares):.0f} to {max(shares):.0f} %"
    assert ranges["end_trained"] == "100 %"
    ends = {each["key"]: (each["low"], each["high"]) for each in blind_facts(shown)}
    assert ends["clip_rate"] == pytest.approx((min(shares) / 100, max(shares) / 100))


def test_a_blind_run_shows_facts_of_cases_that_share_them_and_withholds_the_rest():
    cases = list(all_cases().values())
    shown = {each["key"] for each in blind_facts(case_data.blind_data(cases))}
    recorded = {case.name: Recordings(case).own_facts for case in cases if case.trains}
    for key in words.CASE_MEASURES:
        holders = [name for name, facts in recorded.items() if facts and key in facts.other]
        assert (key in shown) == (len(holders) > 1 or key in RunFacts.model_fields), key
    assert {"general_loss_before", "general_loss_rise"} <= shown


def test_the_highest_loss_of_an_older_record_is_that_of_its_steps():
    for case in all_cases().values():
        facts = Recordings(case).own_facts
        if facts and case.trains and not facts.refused:
            assert facts.loss_peak >= facts.loss_first - 1e-4  # records round their steps


def test_a_value_outside_the_clean_runs_is_named_and_no_clean_run_lies_outside():
    for case in all_cases().values():
        twin = Recordings(case).twin_facts
        if twin and case.trains:
            assert not any(
                recordings.outside_range_text(key, twin) for key in RunFacts.model_fields
            )
    said = recordings.outside_range_text("end_trained", RunFacts(end_trained=0.0))
    assert said == f"below what {len(recordings.clean_runs())} clean runs had: 100 %"
    assert "above" in (recordings.outside_range_text("cut_rows", RunFacts(cut_rows=0.97)) or "")
    assert (
        recordings.outside_range_text("cut_rows", RunFacts(cut_rows=0.001)) is None
    )  # written as the range
    assert recordings.outside_range_text("other.recall", RunFacts(other={"recall": 9.0})) is None
    assert recordings.outside_range_text("cut_rows", RunFacts()) is None


def test_the_measurements_of_a_case_say_what_lies_outside(case):
    told = {each["key"]: each["outside"] for each in case_data.public_data(case)["measures"]}
    assert told["p_end"].startswith("below what")
    assert told["same_prompt"] is None


def test_a_page_names_every_condition_with_its_number_before_a_fix():
    for case in all_cases().values():
        recorded = Recordings(case)
        checks = case.module.victory(recorded.twin_facts, recorded.twin_facts)
        shown = case_data.public_data(case)["conditions"]
        assert [each["what"] for each in shown] == [check.what for check in checks], case.slug
        assert not all(each["passed"] for each in shown), "the values are the planted run's"


def test_a_setting_run_here_is_not_listed_beside_records_of_another_machine(tmp_path):
    case = case_of("never-stops")
    store = RecordStore(PACKAGE_RECORDS, tmp_path)
    events = SHIPPED_RECORDS.events(run_id(case.slug, case.config("twin"), 0))
    before = case_data.public_data(case)["records"]
    for values in product(*case.module.KNOBS.values()):
        turned = dict(zip(case.module.KNOBS, values, strict=True))
        store.write(live_id(case.slug, {**case.config("plant"), **turned}), events)
    assert case_data.public_data(case, store)["records"] == before


def test_every_line_of_a_configuration_is_explained():
    for case in all_cases().values():
        shown = case_data.public_data(case)
        assert {line["key"] for line in shown["yaml"]} <= set(shown["about"]), case.slug
        assert not any(each in " ".join(shown["about"].values()) for each in all_cases())


def test_most_measurements_of_a_recorded_case_differ_from_the_twin():
    """A list in which the proof alone differs is read off, not thought about."""
    for case in all_cases().values():
        measures = case_data.public_data(case)["measures"]
        if all(each["recorded"] for each in measures):
            assert sum(each["own"] != each["twin"] for each in measures) >= 2, case.slug
            proofs = [each for each in measures if each["key"] in case_data.proving_measures(case)]
            assert all(each["nothing"] is None for each in proofs), case.slug


def test_a_value_that_was_not_measured_says_so():
    assert words.measure_of("score").value(None, RunFacts()) == "not measured"


def test_shipped_records_are_packed_the_same_way_every_time():
    for path in sorted(PACKAGE_RECORDS.glob("[0-9a-f]" * 16 + ".json.gz")):
        name = path.name.removesuffix(".json.gz")
        events = SHIPPED_RECORDS.events(name)
        assert events[0]["id"] == name
        assert events[-1]["kind"] == "end"
        text = json.dumps(events, ensure_ascii=False, separators=(",", ":"))
        assert gzip.compress(text.encode(), 9, mtime=0) == path.read_bytes()
    assert shipped_bytes("0" * 16) is None
