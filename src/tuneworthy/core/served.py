"""The weights that an inference server is started for."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.core.record import Record

_PATHS = (".", "/", "~")


class ServerModel(Record):
    """`weights` is a hub name or a path, `revision` a commit of the hub ("" for none given).

    `name` is what requests call the model.
    """

    weights: str
    name: str
    revision: str = ""

    @property
    def is_path(self) -> bool:
        """Return whether the weights are a file or folder of this machine."""
        return self.weights.startswith("/")


def server_model(text: str, folder: Path) -> ServerModel:
    """Return the model of `ORG/NAME[@REVISION]` or a path that starts at `folder`."""
    if text.startswith(_PATHS):
        path = (folder / Path(text).expanduser()).resolve()
        return ServerModel(weights=str(path), name=path.name)
    name, _, revision = text.partition("@")
    return ServerModel(weights=name, name=name, revision=revision)
