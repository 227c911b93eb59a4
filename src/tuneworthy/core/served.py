"""The model that an inference server of ours is started with."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.core.record import GrownRecord

_PATH_STARTS = (".", "/", "~")


class ServerModel(GrownRecord):
    """The model of an inference server: its weights, hub revision, name and adapter rank.

    `weights` is a hub name or a path, `revision` a commit of the hub ("" for none given). `name` is
    what requests call the model. `rank` is the highest rank of the adapters that the server will
    get, 0 for a server without adapters.
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
        """Return the `hf:` spec of the same weights, which this process trains an adapter on."""
        return f"hf:{self.weights}" + (f"@{self.revision}" if self.revision else "")


def parse_server_model(text: str, folder: Path, rank: int = 0) -> ServerModel:
    """Return the server model that `ORG/NAME[@REVISION]`, or a path relative to `folder`, names."""
    if text.startswith(_PATH_STARTS):
        path = (folder / Path(text).expanduser()).resolve()
        return ServerModel(weights=str(path), name=path.name, rank=rank)
    name, _, revision = text.partition("@")
    return ServerModel(weights=name, name=name, revision=revision, rank=rank)
