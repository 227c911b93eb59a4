"""The door to the CPU engine: found, turned off or absent, and what the user is told of it."""

from types import SimpleNamespace

import pytest

from tuneworthy import models
from tuneworthy.models import general_path
from tuneworthy.models.local import cpu_engine, device, machine
from tuneworthy.records import code

ON_CPU = SimpleNamespace(device=SimpleNamespace(type="cpu"))
ON_GPU = SimpleNamespace(device=SimpleNamespace(type="cuda"))


class Entry:
    """A stand-in for the entry point, whose engine says which function was called."""

    module = "json"  # some package whose files are there

    def load(self):
        return SimpleNamespace(
            open_reader=lambda module: "reader",
            open_trainer=lambda module, shares: f"trainer {shares}",
            gemm_available=lambda: True,
            compiled_before=lambda: False,
        )


@pytest.fixture(params=[True, False])
def there(request, monkeypatch):
    """Whether an engine is installed."""
    put(monkeypatch, Entry() if request.param else None)
    yield request.param
    forget(monkeypatch)


def put(monkeypatch, entry):
    forget(monkeypatch)
    monkeypatch.delenv(cpu_engine.SWITCH, raising=False)
    monkeypatch.setattr(code, "entry_points", lambda group: [entry] if entry else [])


def forget(monkeypatch):
    monkeypatch.undo()
    cpu_engine._engine.cache_clear()
    code.source_digest.cache_clear()


def opened(device, decoder):
    return SimpleNamespace(spec="hf:m", net=SimpleNamespace(device=device, decoder=decoder))


def test_an_installed_engine_opens_models_on_a_cpu(there):
    assert cpu_engine.enabled() is there
    assert cpu_engine.open_reader(ON_CPU) == ("reader" if there else None)
    assert cpu_engine.open_trainer(ON_CPU, False) == ("trainer False" if there else None)
    assert cpu_engine.gemm_available() is cpu_engine.will_compile() is there
    assert cpu_engine.open_reader(ON_GPU) is cpu_engine.open_trainer(ON_GPU, True) is None


def test_an_engine_that_is_turned_off_is_as_none(there, monkeypatch):
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert not cpu_engine.enabled()
    assert cpu_engine.open_reader(None) is cpu_engine.open_trainer(None, True) is None
    assert not cpu_engine.gemm_available()
    assert not cpu_engine.will_compile()


def test_the_key_of_answers_on_a_cpu_tells_the_paths_apart(there, monkeypatch):
    found = device.device_fingerprint("cpu", "float32")
    assert found.get("cpu_engine") == (None if there else "off")
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert device.device_fingerprint("cpu", "float32")["cpu_engine"] == "off"


def test_the_source_of_an_installed_engine_is_part_of_the_keys_of_answers(monkeypatch):
    found = []
    for entry in (Entry(), None):
        put(monkeypatch, entry)
        found.append((code.code_version()["source"], code.source_digest(("models/**/*.py",))))
    forget(monkeypatch)
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]


def test_a_model_that_does_not_use_the_installed_engine_is_named(there, monkeypatch):
    said = general_path(opened("cpu", None))
    assert ("knows no such layers" in said) is there
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert ("turned off" in general_path(opened("cpu", None))) is there


def test_nothing_is_said_of_the_fast_path_of_a_gpu_and_of_other_engines(there):
    for model in (opened("cpu", object()), opened("cuda", None), SimpleNamespace(spec="scripted")):
        assert general_path(model) == ""


@pytest.mark.parametrize("spec", ["smollm2-135m", "hf:./folder"])
def test_that_loops_are_compiled_is_said_of_local_models(there, spec):
    assert ("compiling" in models.first_use(spec)) is there


@pytest.mark.parametrize("spec", ["openai:gpt@http://localhost:1", "scripted:name"])
def test_models_that_compile_nothing_say_nothing(there, spec):
    assert models.first_use(spec) == ""


def test_the_doctor_says_whether_the_engine_is_on_and_how_to_get_it(there, monkeypatch):
    assert machine._engine(True).startswith("not used")
    absent = "not installed; in a clone: pip install ./packages/tuneworthy-cpu"
    assert machine._engine(False) == ("on, with its own matrix products" if there else absent)
    monkeypatch.setenv(cpu_engine.SWITCH, "0")
    assert machine._engine(False) == ("off (TUNEWORTHY_CPU_ENGINE=0)" if there else absent)
