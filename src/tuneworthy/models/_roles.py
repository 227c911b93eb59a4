"""The models of a task by role, each opened when first read; why one can't be opened here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

from tuneworthy.core.case import Message
from tuneworthy.core.model import Model
from tuneworthy.models import is_local

TRAIN = ("torch", "transformers", "peft")


class Models(Mapping[str, Model]):
    """The task's models by role, each opened when first read; one spec is opened once."""

    def __init__(self, wanted: Mapping[str, str], start: Callable[[str], Model]) -> None:
        self._wanted, self._start = dict(wanted), start
        self._open: dict[str, Model] = {}

    def __getitem__(self, role: str) -> Model:
        spec = self._wanted[role]
        if spec not in self._open:
            self._open[spec] = self._start(spec)
        return self._open[spec]

    @property
    def specs(self) -> list[str]:
        """Return the specs of all models, opened or not."""
        return list(self._wanted.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


def tokens(model: Model) -> Callable[[str], int]:
    """Return a counter of a text's own tokens: a turn's tokens less those of an empty turn."""
    empty = model.count_tokens([Message(role="user", content="")])
    return lambda text: model.count_tokens([Message(role="user", content=text)]) - empty


def unusable(spec: str) -> str:
    """Return why a model can't be opened here, or ""; nothing is loaded to find out."""
    if not is_local(spec) or spec.startswith("scripted:"):
        return ""
    if missing := [name for name in TRAIN if find_spec(name) is None]:
        return f"needs {', '.join(missing)}: pip install 'tuneworthy[train]'"
    return ""
