"""I102: a precision that the device of a task does not compute in."""

import pytest

from tuneworthy.models.local.device import Placement
from tuneworthy.records.errors import TaskError


@pytest.mark.parametrize("where", ["cuda", "mps"])
def test_i102_a_precision_that_the_device_lacks_is_refused_before_weights_are_read(
    where, monkeypatch
):
    torch = pytest.importorskip("torch")
    from tuneworthy.models.local import machine

    def lacks(*given, **named):
        return False

    monkeypatch.setattr(torch.cuda, "is_available", lambda: where == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: where == "mps")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lacks)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lacks, raising=False)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda name: None)
    with pytest.raises(TaskError, match="does not compute in the precision") as caught:
        machine.resolve_placement(Placement(device=where, precision="bfloat16"))
    assert (caught.value.exit_code, caught.value.where) == (2, "task.yaml: precision")
    assert machine.resolve_placement(Placement(device="cpu", precision="bfloat16"))[0] == "cpu"
    machine.chosen.cache_clear()
    assert machine.resolve_placement(Placement(device=where)) == (where, "float32")
    machine.chosen.cache_clear()
