"""The weights that an inference server is started for, and the adapters that it may get."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.core.record import GrownRecord

_PATHS = (".", "/", "~")


class ServerModel(GrownRecord):
    """`weights` is a hub name or a path, `revision` a commit of the hub ("" for none given).

    `name` is what requests call the model. `rank` is the highest rank of the adapters that the
    server will get, 0 for a server without adapters.
    """

    LATER = frozenset({"rank"})

    weights: str
    name: str
    revision: str = ""
    rank: int = 0

    @property
    def is_path(self) -> bool:
        """Return whether the weights are a file or folder of this machine."""
        return self.weights.startswith("/")

    @property
    def trained_as(self) -> str:
        """Return the spec of the same weights in this process, which an adapter is trained on."""
        return f"hf:{self.weights}" + (f"@{self.revision}" if self.revision else "")


def server_model(text: str, folder: Path, rank: int = 0) -> ServerModel:
    """Return the model of `ORG/NAME[@REVISION]` or a path that starts at `folder`."""
    if text.startswith(_PATHS):
        path = (folder / Path(text).expanduser()).resolve()
        return ServerModel(weights=str(path), name=path.name, rank=rank)
    name, _, revision = text.partition("@")
    return ServerModel(weights=name, name=name, revision=revision, rank=rank)
