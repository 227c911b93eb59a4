"""After a study that built an adapter, the vLLM command names that very adapter and its base."""

import shlex
import shutil
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.cli._frame import run as command
from tuneworthy.flows.study import run


@pytest.mark.full
def test_the_command_of_a_study_serves_the_adapter_it_built(tmp_path, monkeypatch, capsys):
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    import torch
    from models_kit import build

    from tuneworthy.models.hf import load

    torch.set_num_threads(1)

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "study"
    path = studies.write(
        home,
        n=60,
        model="hf:./tiny",
        present=None,
        arms=["majority", {"lora": {"epochs": 2, "rank": 4, "rate": 0.02}}],
        data={"file": "rows.jsonl", "folds": 2},
        output={"type": "label", "max_tokens": 4},
    )
    shutil.copytree(build("llama", tmp_path / "tiny"), home / "tiny")
    study = run(path)
    words = shlex.split(study.serving())
    assert words[:3] == ["vllm", "serve", str((home / "tiny").resolve())]
    assert words[3:5] == ["--generation-config", "vllm"], "no sampling of the model's repository"
    assert "--enable-lora" in words
    name, _, adapter = words[-1].partition("=")
    assert name.startswith("lora")
    assert load(home / "tiny", "hf:./tiny").with_adapter(Path(adapter)).adapter
    assert command(["run", str(path)]) == 0
    assert f"serve:  {study.serving()}" in capsys.readouterr().err

    built = [r for r in study.results.runs if r.artefact]
    assert len(built) == 2, "one a fold"
    worst, best = sorted(built, key=lambda r: r.dev or 0.0)
    if worst.dev != best.dev:
        assert str(best.artefact) in adapter


def test_a_study_that_built_nothing_serves_nothing(tmp_path):
    assert run(studies.write(tmp_path, arms=studies.LIGHT)).serving() == ""
