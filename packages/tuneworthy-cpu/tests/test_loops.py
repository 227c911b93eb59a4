"""The notice that loops are compiled appears once, where they are compiled."""

import subprocess
import sys

import pytest

import tuneworthy_cpu
from tuneworthy import models
from tuneworthy_cpu import loop_cache


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(loop_cache, "COMPILED_LOOPS", tmp_path / "loops")
    return tmp_path / "loops"


def test_loops_are_said_to_be_compiled_until_they_are_kept(empty):
    assert "compiling" in models.first_use("smollm2-135m")
    empty.mkdir()
    assert models.first_use("smollm2-135m") == ""


def test_a_folder_of_the_users_own_says_nothing(empty, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    assert tuneworthy_cpu.compiled_before()


def test_asking_imports_no_compiler():
    code = "import sys; from tuneworthy.models import first_use; first_use('x'); "
    code += "print('tuneworthy_cpu' in sys.modules, 'numba' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
