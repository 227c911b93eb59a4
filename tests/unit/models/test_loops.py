"""The notice that loops are compiled appears once, where they are compiled."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tuneworthy import models
from tuneworthy.cpu_engine import loop_cache as _loops


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(_loops, "COMPILED_LOOPS", tmp_path / "loops")
    return tmp_path / "loops"


def test_the_first_use_of_a_local_model_is_said_until_loops_are_kept(empty):
    assert "compiling" in models.first_use("smollm2-135m")
    assert "compiling" in models.first_use("hf:./folder")
    empty.mkdir()
    assert models.first_use("smollm2-135m") == ""


@pytest.mark.parametrize("spec", ["openai:gpt@http://localhost:1", "scripted:name"])
def test_models_that_compile_nothing_say_nothing(empty, spec):
    assert models.first_use(spec) == ""


def test_a_folder_of_the_users_own_says_nothing(empty, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    assert models.first_use("smollm2-135m") == ""


def test_asking_imports_no_compiler():
    code = "import sys; from tuneworthy.models import first_use; first_use('x'); "
    code += "print('numba' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
