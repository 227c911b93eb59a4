"""Column roles: recognised by names and values; a column that the user named wins."""

import pytest

from tuneworthy.records.errors import TaskError
from tuneworthy.rows.column_roles import answers_of, propose_roles, row_of
from tuneworthy.rows.log_roles import find_answer_log
from tuneworthy.rows.table_columns import (
    Choice,
    column_like,
    is_id,
    is_id_name,
    is_key_name,
    system_name,
)


def table(n=60, **columns):
    """Return rows whose columns are made by functions of the row's number."""
    return [{name: make(k) for name, make in columns.items()} for k in range(n)]


def text(k):
    return f"message number {k} of a customer who waits for a parcel"


TEAMS = ("billing", "delivery", "account")


def right(k):
    return TEAMS[k % 3]


def said(k):
    return TEAMS[k % 3] if k % 5 else TEAMS[(k + 1) % 3]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("Customer message", "Routed team", "gpt-4o answer"), ("present",)),
        (("question", "answer", "prediction"), ("present",)),
        (("body", "category", "second_reader"), ("present",)),  # by its values alone
        (("text", "label", "current_bot"), ("present",)),
    ],
)
def test_columns_are_known_by_name_and_by_value(names, taken):
    asked, gold, system = names
    rows = table(**{"Ticket No": lambda k: 500 + k, asked: text, gold: right, system: said,
                    "handled_at": lambda k: f"2026-01-{k % 28 + 1:02d}"})  # fmt: skip
    roles = propose_roles(rows, Choice())
    assert (roles.input, roles.output) == (asked, gold)
    assert tuple(roles.systems) == taken
    assert list(roles.systems.values()) == [system]


def test_several_systems_become_arms_and_the_one_in_use_is_present():
    rows = table(text=text, label=right, gpt4=said, claude=said, prod_answer=said)
    roles = propose_roles(rows, Choice())
    assert roles.systems == {"gpt4": "gpt4", "claude": "claude", "present": "prod_answer"}


def test_a_copy_of_the_right_answers_and_a_number_are_no_system():
    rows = table(text=text, label=right, label_copy=right, score=lambda k: k / 60,
                 model_confidence=lambda k: k / 60)  # fmt: skip
    assert propose_roles(rows, Choice()).systems == {}


def test_what_people_name_wins_and_a_name_that_is_not_there_is_refused():
    rows = table(a=text, b=right, c=said, d=said)
    assert propose_roles(rows[:1], Choice()) == "output"
    roles = propose_roles(rows, Choice("a", "c", None, {"old": "d"}))
    assert (roles.input, roles.output, roles.systems) == ("a", "c", {"old": "d"})
    with pytest.raises(TaskError, match="no column has this name") as caught:
        propose_roles(rows, Choice(output="team"))
    assert "a, b, c, d" in caught.value.fix


def test_a_list_of_right_answers_is_alternatives_unless_it_is_declared_json():
    rows = table(question=text, answers=lambda k: [f"place {k}", f"hall {k}", f"place {k}"])
    roles = propose_roles(rows, Choice())
    assert roles.alternatives
    found = row_of(rows[3], roles)
    assert (found["output"], found["accepted"]) == ("place 3", ["hall 3"])
    roles = propose_roles(rows, Choice(lists="json"))
    assert row_of(rows[3], roles)["output"] == ["place 3", "hall 3", "place 3"]
    squad = table(question=text, answers=lambda k: {"text": [f"p{k}"], "answer_start": [0]})
    assert row_of(squad[0], propose_roles(squad, Choice()))["output"] == "p0"


def test_lists_of_objects_and_empty_lists_are_answers_themselves():
    things = table(text=text, output=lambda k: [{"name": f"n{k}"}])
    assert not propose_roles(things, Choice()).alternatives
    found = table(text=text, output=lambda k: [f"n{k}"] * (k % 3))
    assert not propose_roles(found, Choice()).alternatives


def test_other_columns_are_kept_for_people_and_empty_cells_are_empty_answers():
    rows = table(text=text, label=right, gpt4=said, floor=lambda k: 2)
    rows[0]["gpt4"] = ""
    roles = propose_roles(rows, Choice())
    assert row_of(rows[0], roles)["meta"] == {"floor": 2}
    assert answers_of(rows[0], roles, cells=False) == {"present": {"answer": None}}
    assert answers_of(rows[1], roles, cells=False) == {"present": {"answer": said(1)}}
    del rows[0]["gpt4"]
    assert answers_of(rows[0], roles, cells=False) == {}
    assert answers_of(rows[0], roles, cells=True) == {"present": {"answer": None}}


def test_names_of_systems_can_stand_in_a_task_file():
    assert system_name("openai/gpt-4o (May)") == "openai-gpt-4o-May"
    assert system_name("···") == "system"


def amount(k):
    return f"{k * 7 + 3}.5"


def read_amount(k):
    return None if k % 20 == 0 else f"{k}.5" if k % 9 == 0 else amount(k)


@pytest.mark.parametrize("system", ["OCR Ergebnis", "KI-Antwort", "gpt4 answer", "Modellantwort"])
def test_a_column_named_after_a_system_is_never_the_right_answer(system):
    rows = table(**{"Beleg-Nr": lambda k: f"B{k}", "Text": text, "Betrag (EUR)": amount,
                    system: read_amount})  # fmt: skip
    roles = propose_roles(rows, Choice())
    assert (roles.output, roles.systems) == ("Betrag (EUR)", {"present": system})
    assert roles.undecided == ()


@pytest.mark.parametrize(
    ("columns", "either"),
    [
        ({"Ergebnis": read_amount, "Betrag (EUR)": amount}, ("Betrag (EUR)", "Ergebnis")),
        ({"team final": right, "team first": said}, ("team final", "team first")),
        ({"expected team": right, "team first": said}, ()),  # the name says it
        ({"label": lambda k: right(k) if k % 9 else "", "second": said}, ()),
        ({"category": right, "second_reader": said}, ()),
        ({"category": right, "second_reader": lambda k: TEAMS[(k + 1) % 3]}, ()),
    ],
)
def test_two_columns_that_mostly_agree_are_unsettled_unless_a_name_says_it(columns, either):
    rows = table(text=text, **columns)
    assert propose_roles(rows, Choice()).undecided == either
    first, second = columns
    assert propose_roles(rows, Choice(output=second, present=first)).undecided == ()


@pytest.mark.parametrize("name", [
    "id", "TicketId", "ticketid", "ticket_id", "Vorgangs-Nr.", "N° ticket", "Nº de pedido", "№",
    "Ticket #", "UUID", "Numéro de commande", "order no.",
])  # fmt: skip
def test_one_rule_says_what_is_called_an_id(name):
    assert is_id_name(name)
    assert is_key_name(name)
    assert is_id(name, ["T-1", "T-2"])
    assert not is_id(name, ["T-1", "T-1"])  # it numbers nothing
    assert not is_id(name, ["two words", "T-2"])


@pytest.mark.parametrize("name", ["text", "paid", "notes", "grid", "normal", "number of items"])
def test_what_only_looks_like_an_id_by_its_letters_is_none(name):
    assert not is_id_name(name)
    assert not is_key_name(name)


def test_a_key_may_match_rows_and_is_no_id_that_a_right_answer_can_not_be():
    for name in ("invoice_number", "order key", "idx"):
        assert is_key_name(name)
        assert not is_id_name(name)


def test_a_name_means_the_one_column_that_differs_in_case_alone():
    assert column_like("text", ["Text", "Team"]) == "Text"
    assert column_like(" text  body", ["Text Body"]) == "Text Body"
    assert column_like("Text", ["Text", "text"]) == "Text"
    assert column_like("TEXT", ["Text", "text"]) == "TEXT"  # either could be meant
    assert column_like("other", ["Text"]) == "other"
    assert column_like(None, ["Text"]) is None
    rows = [{"Text": f"hello {k}", "Team": "ab"[k % 2], "Bot": "a"} for k in range(9)]
    roles = propose_roles(rows, Choice("text", "TEAM", "bot"))
    assert (roles.input, roles.output, dict(roles.systems)) == ("Text", "Team", {"present": "Bot"})


def test_a_case_column_of_numbers_is_an_id_and_a_case_column_of_texts_is_none():
    assert is_id("case", [1001, 1002, 1003])
    assert not is_id("case", ["the tenant left", "the landlord sued"])
    assert not is_id_name("case text")


def test_a_log_without_id_and_input_says_that_nothing_tells_its_rows(tmp_path):
    log = tmp_path / "beta.jsonl"
    log.write_text("".join(f'{{"zz": {n}, "final_text": "A{n}", "usd": 0.1}}\n' for n in range(4)))
    assert "neither an id nor an input" in find_answer_log(f"{log}:final_text", Choice()).summary()
    log.write_text(log.read_text().replace("zz", "case"))
    said = find_answer_log(f"{log}:final_text", Choice()).summary()
    assert "id `case`" in said
    assert "neither" not in said
