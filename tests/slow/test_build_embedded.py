"""The embedded model, tuned, in every form: parity, sizes and time, as they are promised."""

import json
import time
from pathlib import Path

import pytest

from tuneworthy.models.local.wheel import locate

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(locate() is None, reason="the embedded model is not on this machine"),
]


def test_every_form_of_the_embedded_model_in_90_seconds_and_2_5_gigabytes(tmp_path):
    from tuneworthy.flows import study
    from tuneworthy.handover.building import BuildOptions, build
    from tuneworthy.records.run import RunOptions
    from tuneworthy.suite._write import write

    pytest.importorskip("skops")
    task = write("support_tickets", tmp_path)
    lines = (tmp_path / "train.jsonl").read_text().splitlines()[:120]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    settings = task_of(task) | {"arms": ["majority", {"lora": {"epochs": 2}}], "seeds": 1}
    task.write_text(json.dumps(settings))  # JSON is YAML
    done = study.run(task, RunOptions(brief=True))
    name = next(r.spec.name for r in done.results.runs if r.spec.tool == "tune")
    first = build(task, options=BuildOptions(arm=name, forms=("schema",)))  # trains
    begun = time.monotonic()
    report = build(task, options=BuildOptions(arm=name))
    seconds = time.monotonic() - begun
    assert first.artefact.id == report.artefact.id
    assert not report.refused
    asked = {one.form: one for one in report.parity}
    assert {"peft", "merged", "gguf f16", "gguf q8_0"} <= set(asked)
    for one in asked.values():
        assert not one.failed
        if one.distance is not None:
            assert one.distance.exported < one.distance.base
    assert sum(p.stat().st_size for p in Path(report.folder).rglob("*") if p.is_file()) <= 2.5e9
    assert seconds <= 90, f"{seconds:.0f} s for every form"


def task_of(path):
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(path.read_text())
