"""When the CPU engine is not used, and that a notice says so."""

from types import SimpleNamespace

import pytest

from tuneworthy import cpu_engine
from tuneworthy.models import general_path
from tuneworthy.models.local import machine


def opened(device, decoder):
    return SimpleNamespace(spec="hf:m", net=SimpleNamespace(device=device, decoder=decoder))


def test_a_model_that_takes_the_general_path_on_a_cpu_is_named(monkeypatch):
    assert "knows no such layers" in general_path(opened("cpu", None))
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert general_path(opened("cpu", None)).startswith("hf:m takes the general path")
    assert "turned off" in general_path(opened("cpu", None))


def test_nothing_is_said_of_the_fast_path_of_a_gpu_and_of_other_engines():
    for model in (opened("cpu", object()), opened("cuda", None), SimpleNamespace(spec="scripted")):
        assert general_path(model) == ""


def test_a_model_on_a_gpu_or_with_the_engine_off_loads_no_compiler(monkeypatch):
    module = SimpleNamespace(device=SimpleNamespace(type="cuda"))  # anything else would be read
    assert cpu_engine.open_reader(module) is cpu_engine.open_trainer(module, True) is None
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert cpu_engine.open_reader(None) is cpu_engine.open_trainer(None, True) is None


@pytest.mark.parametrize(
    ("gpu", "off", "says"), [(True, False, "not used"), (False, True, "off"), (False, False, "on,")]
)
def test_the_doctor_says_whether_the_engine_is_on(gpu, off, says, monkeypatch):
    if off:
        monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert machine._engine(gpu).startswith(says)
