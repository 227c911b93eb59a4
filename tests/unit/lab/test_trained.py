"""The adapter that cards serve: trained once, stored whole, and used again."""

import pytest
from tests.tiny import tiny_llama

from tuneworthy.lab.cases import case_of
from tuneworthy.records.failure import LabRows

pytest.importorskip("torch")
pytestmark = pytest.mark.full


@pytest.fixture
def model(tmp_path, monkeypatch):
    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    return load(tiny_llama(tmp_path / "model"), "hf:./model", "float32")


def rows_of_few():
    case = case_of("changed-when-shipped")
    rows = case.rows(case.config("twin"), 0)
    return LabRows(rows.train[:4], rows.new[:2])


def test_an_adapter_is_trained_once_for_a_model_its_rows_and_a_seed(model, tmp_path, monkeypatch):
    from tuneworthy.lab.encode import trained_model

    rows, shared = rows_of_few(), tmp_path / "shared"
    first = trained_model(model, rows, 0, shared)
    assert first.fingerprint["adapter"]
    other = trained_model(model, rows, 1, shared)
    assert other.fingerprint["adapter"] != first.fingerprint["adapter"]
    assert len(list(shared.iterdir())) == 2, "no part is left"
    monkeypatch.setattr("tuneworthy.models.train.watched.train_watched", None)
    assert trained_model(model, rows, 0, shared).fingerprint == first.fingerprint


def test_a_broken_adapter_is_trained_again(model, tmp_path):
    from tuneworthy.lab.encode import trained_model

    rows, shared = rows_of_few(), tmp_path / "shared"
    first = trained_model(model, rows, 0, shared)
    (folder,) = shared.iterdir()
    (folder / "adapter_model.safetensors").write_bytes(b"cut")
    assert trained_model(model, rows, 0, shared).fingerprint == first.fingerprint
