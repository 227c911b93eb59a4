"""Facts that rows alone decide: contradicted labels, and the shapes of answers."""

from tuneworthy.lab import facts
from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.records.case import Message
from tuneworthy.records.failure import LabRow

LABELS = case_of("then-came-monday").task()
TEXTS = ("the seller keeps it secret", "the buyer pays in thirty days")


def row(number, text, label):
    turns = (Message(role="user", content=f"{text} {number}"),)
    return LabRow(f"row {number}", turns, label)


def clauses(wrong=()):
    labels = ("confidentiality", "payment")
    return [row(k, TEXTS[k % 2], labels[(k + (k in wrong)) % 2]) for k in range(24)]


def test_a_label_that_similar_rows_contradict_is_counted():
    assert facts.conflict_share(LABELS, clauses()) == 0
    assert facts.conflict_share(LABELS, clauses(wrong={3, 8})) == 2 / 24


def test_conflicts_are_not_measured_without_closed_labels_or_rows():
    texts = next(case.task() for case in all_cases().values() if case.module.TASK == "policy_faq")
    assert facts.conflict_share(texts, clauses()) is None
    assert facts.conflict_share(LABELS, []) is None


def test_labels_of_one_or_several_words_have_one_shape():
    assert {facts.shape_of(label) for label in LABELS.output.labels} == {"a"}


def test_two_formats_of_a_record_have_two_shapes():
    shapes = {facts.shape_of('{"name":"Tessa","order":null}'), facts.shape_of("name: Tessa")}
    assert len(shapes) == 2
    assert facts.shape_of("11 days") == facts.shape_of("129 euros")


def test_rows_of_another_instruction_are_no_second_format():
    def under(instruction, number, answer):
        turn = Message(role="system", content=instruction)
        plain = row(number, "text", answer)
        return LabRow(plain.id, (turn, *plain.messages), answer)

    records = [under("as JSON", k, '{"name":"Tessa"}') for k in range(6)]
    talk = [under("be kind", k, "Good morning.") for k in range(6, 8)]
    assert facts._other_shapes([*records, *talk]) == 0
    assert facts._other_shapes([*records, *(under("as JSON", k, "Tessa") for k in (8, 9))]) == 0.25
