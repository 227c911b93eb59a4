"""Facts of rows: forms of answers, copies of test rows, priors, ends, texts."""

import json
import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.facts import near_copies
from tuneworthy.lab.own_adapter import read_tokenizer
from tuneworthy.lab.own_rows import encode_rows, packing_facts, text_facts, token_facts
from tuneworthy.lab.own_trainer import OwnTrainer
from tuneworthy.rows.run_folder import open_run_folder
from tuneworthy.rows.training_rows import read_training_rows

PLAIN = OwnTrainer("Hugging Face Trainer", "", True, "by id", adds_end=False)
TRL = OwnTrainer("TRL", "1.16.0", False, "by position", adds_end=True)
WORDS = ("late", "order", "phone", "refund", "lost", "broken", "screen", "address", "invoice")


def rows_of(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_training_rows(path, "--data")


def answered(path, answers):
    return rows_of(
        path, [{"prompt": f"question {k}", "completion": text} for k, text in enumerate(answers)]
    )


def sentence(rng, length=20):
    return " ".join(f"{rng.choice(WORDS)}{rng.randrange(50)}" for _ in range(length))


def test_two_forms_of_answers_are_told_apart(tmp_path):
    json_rows = [json.dumps({"kind": "refund", "n": k}) for k in range(30)]
    text_rows = [f"kind: refund\nn: {k}" for k in range(10)]
    found = text_facts(answered(tmp_path / "r.jsonl", json_rows + text_rows), None)
    assert found.facts["shapes"] == 0.25
    assert found.rows["shapes"][0] == "r.jsonl:31"


def test_labels_of_several_words_have_one_form(tmp_path):
    labels = ["card_arrival", "lost_or_stolen_card", "top-up failed", "refund"] * 10
    assert text_facts(answered(tmp_path / "r.jsonl", labels), None).facts["shapes"] == 0.0


def test_free_text_has_no_form(tmp_path):
    rng = random.Random(1)
    texts = [", ".join(sentence(rng, n % 7 + 2) for n in range(k % 9 + 2)) for k in range(60)]
    found = text_facts(answered(tmp_path / "r.jsonl", texts), None)
    assert "shapes" not in found.facts
    assert "free text" in found.missing["shapes"]


def test_near_copies_are_those_of_the_full_comparison():
    """The index finds what comparing every pair finds: word pairs, Jaccard at least .8."""
    rng = random.Random(0)
    old = [sentence(rng) for _ in range(200)]
    new = [sentence(rng) for _ in range(40)]
    for k in range(30):  # copies with none to five words changed
        words = old[k * 3].split()
        for _ in range(k % 6):
            words[rng.randrange(len(words))] = "changed"
        new.append(" ".join(words))

    def pairs(text):
        words = text.split()
        return set(pairwise(words))

    def near(one, two):
        return len(pairs(one) & pairs(two)) / len(pairs(one) | pairs(two)) >= 0.8

    full = {a for a, text in enumerate(new) if any(near(text, other) for other in old)}
    assert set(near_copies(new, old)) == full
    assert 5 < len(full) < 30


def test_copies_of_one_word_are_found_by_their_text():
    assert near_copies(["Refund", "other"], ["refund ", "x"]) == {0: 0}


def test_test_rows_in_training_are_named(tmp_path):
    rng = random.Random(2)
    texts = [sentence(rng) for _ in range(20)]
    train = rows_of(tmp_path / "a.jsonl", [{"prompt": t, "completion": "x"} for t in texts])
    test = rows_of(tmp_path / "b.jsonl", [{"prompt": t, "completion": "x"}
                                          for t in [*texts[:3], sentence(rng)]])  # fmt: skip
    found = text_facts(train, test)
    assert found.facts["leaked"] == 0.75
    assert found.rows["leaked"][0] == "b.jsonl:1 = a.jsonl:1"


def test_a_common_answer_is_compared_with_its_share_in_the_test_rows(tmp_path):
    train = answered(tmp_path / "a.jsonl", ["refused"] * 12 + ["a", "b", "c", "d"] * 2)
    test = answered(tmp_path / "b.jsonl", ["refused"] * 1 + [f"x{k}" for k in range(19)])
    assert text_facts(train, test).facts["prior"] == pytest.approx(0.6 / (4 / 20))  # three more
    test = answered(tmp_path / "c.jsonl", [f"x{k}" for k in range(20)])
    assert text_facts(train, test).facts["prior"] == pytest.approx(0.6 / (3 / 20))


def labelled(path, wrong=()):
    rng = random.Random(3)
    rows = []
    for k in range(120):
        label = ("refund", "delivery", "account")[k % 3]
        text = " ".join(rng.choice([f"{label}{n}" for n in range(6)]) for _ in range(8))
        other = "account" if label == "refund" else "refund"
        rows.append({"prompt": text, "completion": other if k in wrong else label})
    return rows_of(path, rows)


def test_labels_that_similar_rows_contradict_are_named(tmp_path):
    assert text_facts(labelled(tmp_path / "a.jsonl"), None).facts["conflicts"] == 0.0
    found = text_facts(labelled(tmp_path / "b.jsonl", wrong={7, 50, 99}), None)
    assert found.rows["conflicts"] == ["b.jsonl:8", "b.jsonl:51", "b.jsonl:100"]
    assert found.facts["conflicts"] == pytest.approx(3 / 120)


def test_answers_that_are_no_labels_have_no_conflicts(tmp_path):
    for answers in ([f"text {k}" for k in range(40)], ['{"a": 1}', '{"a": 2}'] * 20, ["x"] * 40):
        found = text_facts(answered(tmp_path / "r.jsonl", answers), None)
        assert found.missing["conflicts"].startswith("the answers are not labels")


def test_rows_read_each_other_only_if_they_are_packed():
    off, on = (OwnTrainer("TRL", "", False, "", True, {"packing": flag}) for flag in (False, True))
    assert packing_facts(off).facts == {"answer_seen": 0.0}
    assert "order" in packing_facts(on).missing["answer_seen"]
    assert "packing" in packing_facts(PLAIN).missing["answer_seen"]


def tokens(tmp_path, rows, trainer, **made):
    folder = kit.tokenizer(tmp_path / "out", **made)
    tokenizer = read_tokenizer(open_run_folder(folder))
    train = rows_of(tmp_path / "r.jsonl", rows)
    encoded, why = encode_rows(train, tokenizer)
    return token_facts(encoded, len(train.rows), tokenizer, trainer), why


def test_a_text_without_an_end_is_not_trained_to_end_by_a_plain_trainer(tmp_path):
    rows = [{"text": "ask me<|im_end|>\n"}, {"text": "ask me"}] * 4
    found, _ = tokens(tmp_path, rows, PLAIN)
    assert found.facts["end_trained"] == 0.5
    assert any("as they stand" in text for text in found.assumed)
    found, _ = tokens(tmp_path, rows, TRL)
    assert found.facts["end_trained"] == 1.0


def test_texts_have_no_share_of_answers(tmp_path):
    found, _ = tokens(tmp_path, [{"text": "ask me"}], TRL)
    assert "no answer is marked" in found.missing["answer_share"]
    assert "answer_tokens" not in found.facts


def test_completions_alone_are_trained_by_trl(tmp_path):
    rows = [{"prompt": "a long question about a phone", "completion": "yes"}] * 4
    found, _ = tokens(tmp_path, rows, TRL)
    assert found.facts["answer_share"] == 1.0
    assert found.facts["answer_tokens"] == 4 * (len("yes") + 1)


def test_rows_that_a_template_refuses_are_named(tmp_path):
    template = "{% for m in messages %}{{ raise_exception('no such turn') }}{% endfor %}"
    folder = kit.tokenizer(tmp_path / "out", template=template)
    train = read_training_rows(kit.rows(tmp_path / "r.jsonl", 3), "--data")
    encoded, why = encode_rows(train, read_tokenizer(open_run_folder(folder)))
    assert encoded == []
    assert "no such turn" in why


def test_a_special_token_in_a_row_is_text_and_no_end(tmp_path):
    chat = [{"role": "user", "content": "say <|im_end|>"},
            {"role": "assistant", "content": "<|im_end|>"}]  # fmt: skip
    found, _ = tokens(tmp_path, [{"messages": chat}], PLAIN, pad="<|im_end|>")
    assert found.facts["end_trained"] == 0.0


def test_a_template_in_the_config_and_named_ones_are_read(tmp_path):
    folder = kit.tokenizer(tmp_path / "out", template=None)
    assert read_tokenizer(open_run_folder(folder)).chat_template is None
    config = json.loads((folder / "tokenizer_config.json").read_text())
    for written in (kit.TEMPLATE, [{"name": "default", "template": kit.TEMPLATE}]):
        config["chat_template"] = written
        config["pad_token"] = {"content": "<|pad|>", "special": True}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        read = read_tokenizer(open_run_folder(folder))
        assert (read.chat_template, read.pad_token) == (kit.TEMPLATE, "<|pad|>")


def test_a_cut_row_loses_its_answer_first(tmp_path):
    rows = [{"prompt": "ask me " * 9, "completion": "ask me"}] * 4
    options = {"completion_only_loss": False}
    shares = []
    for name, most in (("whole", None), ("cut", 4)):
        (tmp_path / name).mkdir()
        told = options | ({"max_length": most} if most else {})
        trainer = OwnTrainer("TRL", "1.16.0", False, "by position", True, told)
        found, _ = tokens(tmp_path / name, rows, trainer)
        shares.append(found.facts["answer_share"])
    assert shares[0] > 0
    assert shares[1] == 0
