"""Checks of an adapter behind a server: each fault is found and named."""

import json

import pytest
from fake_models import BASE, FakeModels, logprobs

from tuneworthy.models.remote.adapter_proofs import (
    ProofRow,
    ServedNames,
    prove,
    read_proofs,
    write_proofs,
)
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, NotProven

NAMES = ServedNames("org/name", "tuned-abc")


def proof_rows(tuned="weights", count=8):
    """Return the proof rows of a fake adapter, whose weights are a text."""
    rows = []
    for n in range(count):
        text = f"row {n} of this test"
        ids = [*range(n, n + 5), 7, 8, 9]
        rows.append(
            ProofRow(
                prompt=(Message(role="user", content=text),),
                read=len(text.split()),
                ids=tuple(ids),
                first=5,
                base=tuple(logprobs(BASE, ids, 5)),
                tuned=tuple(logprobs(tuned, ids, 5)),
            )
        )
    return rows


class Asked:
    """A stand-in for `ServerScores`, on fake models."""

    def __init__(self, models):
        self.models = models

    def scores(self, name, rows):
        self.models.busy = len(rows)
        return [self.models.scores(name, *row) for row in rows]

    def likeliest(self, name, ids, cached):
        return self.models.next(name, ids, cached)

    def answered(self, name, prompt):
        read = self.models.read([message.plain() for message in prompt])
        return self.models.served(name), read


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_model.safetensors").write_text("weights")
    return tmp_path / "adapter"


def proved(fault, folder, names=NAMES, models=None, rows=None):
    models = models or FakeModels("org/name", fault)
    asked = Asked(models)
    done = prove(asked, names, rows or proof_rows(), lambda: models.load(names.adapter, folder))
    return asked, done


def test_a_good_server_is_proved(folder):
    asked, done = proved("", folder)
    assert done.floor == 0
    done.check(asked)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("ignored", "the adapter is not applied"),
        ("wrong", "another adapter answers than the one that was trained"),
        ("another base", "the base behind the server is not the model that was trained"),
        ("base changes", "the base behind the server changed when the adapter was loaded"),
        ("stale", "the server answers from a stale prefix"),
        ("named", "the server says that another model answered"),
        ("rendered", "renders prompts in another way"),
    ],
)
def test_each_fault_is_found(fault, found, folder):
    with pytest.raises(NotProven, match=found) as error:
        proved(fault, folder)
    assert error.value.got
    assert error.value.exit_code == 1


def test_an_adapter_that_answers_for_another_is_found(folder, tmp_path):
    models = FakeModels("org/name", "mixed")
    other = tmp_path / "other"
    other.mkdir()
    (other / "adapter_model.safetensors").write_text("weights")
    models.load("tuned-first", other)  # its weights are near to those of the one that comes next
    names = ServedNames("org/name", "tuned-abc", ["tuned-first"])
    with pytest.raises(NotProven, match="with another adapter than the one it is asked for"):
        proved("", folder, names, models)


def test_an_adapter_that_changes_nothing_cannot_be_proved(folder):
    rows = [row.model_copy(update={"tuned": row.base}) for row in proof_rows()]
    with pytest.raises(NotProven, match="changes too little"):
        proved("", folder, rows=rows)


def test_noise_of_the_batch_is_measured_and_allowed(folder):
    asked, done = proved("noisy", folder)
    assert done.floor == pytest.approx(0.004)
    done.check(asked)


@pytest.mark.parametrize(("fault", "what"), [("ignored", "adapter"), ("another base", "base")])
def test_a_fault_that_comes_later_is_found(fault, what, folder):
    asked, done = proved("", folder)
    asked.models.fault = fault
    with pytest.raises(NotProven, match=f"the {what} changed while it was asked") as error:
        done.check(asked)
    assert "nats a token" in error.value.got


def test_references_lie_beside_the_adapter(folder):
    write_proofs(folder, rows := proof_rows())
    assert read_proofs(folder) == rows
    assert rows[0].place >= rows[0].first
    (folder.parent / "proofs.json").write_text(json.dumps({"rows": [{}]}))
    with pytest.raises(ModelError, match="nothing is here to prove an adapter by"):
        read_proofs(folder)
