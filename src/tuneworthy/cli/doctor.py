"""Say what this machine can do: cores, memory, arithmetic, what is installed."""

from __future__ import annotations

from tuneworthy.cli._options import Json


def command(json: Json = False) -> None:
    """Say what this machine can do: cores, memory, arithmetic, models, what is installed."""
    import json as js

    from tuneworthy.models._doctor import examine

    seen = examine()
    if json:
        print(js.dumps(seen, indent=2))
        return
    width = max(len(name) for name in seen)
    for name, value in seen.items():
        print(f"  {name:<{width}}  {value}")
