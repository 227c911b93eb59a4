"""Fixtures: a tiny engine of random weights, and one that the CPU engine does not take."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "models"))  # models_kit


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    import torch
    from models_kit import build

    torch.set_num_threads(2)
    return build("llama", tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def engine(tiny):
    from tuneworthy.models.hf import load

    return load(tiny, "hf:tiny", "float32")
