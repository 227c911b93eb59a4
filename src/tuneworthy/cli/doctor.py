"""Say what this machine can do: cores, memory, arithmetic, what is installed."""

from __future__ import annotations

from tuneworthy.cli._options import Json, print_line, show_json
from tuneworthy.records.counting import count_noun


def command(json: Json = False) -> None:
    """Say what this machine can do: cores, memory, arithmetic, models, what is installed."""
    from tuneworthy.models.local.machine import inspect_machine

    machine = inspect_machine()
    if json:
        show_json(machine.model_dump_json(indent=2))
        return
    seen = {name: value for name, value in machine.plain().items() if name != "advice"}
    where = machine.gpu or count_noun(machine.cores, "core")
    free = _value_text("memory", machine.gpu_free_memory or machine.free_memory)
    can = f"Models can be run and trained here, on {where} with {free} of memory free."
    print_line(can if machine.torch else f"No model can be run or trained here: {machine.because}.")
    print_line("Speed is in GFLOP/s of a matrix product.")
    width = max(len(name) for name in seen)
    for name, value in seen.items():
        print_line(f"  {name.replace('_', ' '):<{width}}  {_value_text(name, value)}")
    if machine.advice:
        print_line(f"Install: {machine.advice}")


def _value_text(name: str, value: object) -> str:
    if name.endswith(("memory", "disk")) and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_number_text(part)}" for key, part in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def _number_text(value: object) -> str:
    """Return the text of a value, of a float with three significant digits."""
    return f"{value:,.0f}" if isinstance(value, float) and value >= 100 else (
        f"{value:.3g}" if isinstance(value, float) else str(value)
    )  # fmt: skip
