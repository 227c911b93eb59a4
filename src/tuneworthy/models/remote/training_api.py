"""Client of a training API with Tinker's protocol: send steps, get log-probabilities and adapters.

The only file that imports `tinker`. A request without an answer (429, 5xx, a lost connection) is
repeated by that package under its sequence number, so the API trains it once.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError

from tuneworthy.core.errors import NotInstalled, ProviderError, SecurityError, error_chain
from tuneworthy.ledger import signals
from tuneworthy.models.remote.endpoint import Endpoint, endpoint_of, keyless, refuse_resolved
from tuneworthy.models.remote.redact import Redactor

HOME = "https://tinker.thinkingmachines.dev/services/tinker-prod"
KEY, ADDRESS = "TINKER_API_KEY", "TINKER_BASE_URL"
_NO_KEY = "tml-none"  # the package insists on a key with this beginning
_PATIENCE_SECONDS = 1800.0  # to wait for one answer: an API queues requests
_POLL_SECONDS = 0.5  # between two polls for an answer
_GRACE_SECONDS = 30.0  # to wait for a paid answer after a stop was requested
_KEPT_SECONDS = 7 * 86_400  # how long the API keeps a saved state
_HIDDEN_VARIABLES = (
    "TINKER_CREDENTIAL_CMD",
    "CLOUDFLARE_ACCESS_CLIENT_ID",
    "CLOUDFLARE_ACCESS_CLIENT_SECRET",
)
_FILES = ("adapter_config.json", "adapter_model.safetensors")
_CHUNK = 1 << 20
Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """A training row: token ids, and the weight of the loss of each id after the first."""

    ids: Sequence[int]
    weights: Sequence[float]


@dataclass(frozen=True)
class Adam:
    """Learning rate and gradient clipping norm of one optimizer step (AdamW)."""

    rate: float
    clip: float


def training_endpoint(url: str) -> Endpoint:
    """Return a training API's endpoint; TINKER_API_KEY is for TINKER_BASE_URL or Tinker only.

    Raises SecurityError or TaskError, as for a model's endpoint.
    """
    return endpoint_of(url, os.environ.get(ADDRESS) or HOME, (KEY, HOME))


class TrainingApi:
    """One training run at an API, as a context manager; `begin` or `resume` starts the run.

    `say` shows progress. Raises ProviderError, or NotInstalled without the extra `tinker`.
    """

    def __init__(self, where: Endpoint, say: Callable[[str], None] = lambda text: None) -> None:
        self.where, self.say = where, say
        self._redact = Redactor(where.key)
        refuse_resolved(where)
        with _environment():
            self._tinker = _import_tinker()
            key = where.key or _NO_KEY
            self._service = self._call(
                lambda: self._tinker.ServiceClient(base_url=where.url, api_key=key)
            )
            self._rest = self._call(
                lambda: self._tinker.RestClient(base_url=where.url, api_key=key)
            )
        self._client: Any = None

    def __enter__(self) -> TrainingApi:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        with suppress(Exception):  # nothing can be saved any more
            status = "success" if kind is None else "interrupted"
            self._service.close(status).result(10)

    def begin(self, base: str, rank: int, seed: int) -> None:
        """Start a run with a new adapter on all linear layers of a base model."""
        with _environment():
            self._client = self._call_and_wait(
                lambda: self._service.create_lora_training_client(
                    base_model=base, rank=rank, seed=seed, train_unembed=False
                )
            )

    def resume(self, state: str) -> None:
        """Start a run from a saved state of adapter and optimizer, at the address `state`."""
        with _environment():
            self._client = self._call_and_wait(
                lambda: self._service.create_training_client_from_state_with_optimizer(state)
            )

    def step(self, rows: Sequence[Row], adam: Adam) -> list[list[float]]:
        """Train one step on rows; return by row the log-probability of ids after the first."""
        types = self._tinker.types
        params = types.AdamParams(
            learning_rate=adam.rate, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
            grad_clip_norm=adam.clip,
        )  # fmt: skip
        data = [self._datum(row) for row in rows]
        answer = self._call(lambda: self._client.forward_backward(data, "cross_entropy"))
        moved = self._call(lambda: self._client.optim_step(params))
        found = self._result_of(answer)
        self._result_of(moved)
        return self._logprobs(found, rows)

    def logprobs(self, rows: Sequence[Row]) -> list[list[float]]:
        """Return for each row the log-probability of ids after the first; train nothing."""
        data = [self._datum(row) for row in rows]
        found = self._call_and_wait(lambda: self._client.forward(data, "cross_entropy"))
        return self._logprobs(found, rows)

    def save(self, name: str) -> str:
        """Save adapter and optimizer at the API; return the address that `resume` takes."""
        saved = self._call_and_wait(
            lambda: self._client.save_state(name, ttl_seconds=_KEPT_SECONDS, overwrite=True)
        )
        return str(saved.path)

    def publish(self, name: str) -> str:
        """Save the adapter as files at the API; return the address that `download` takes."""
        saved = self._call_and_wait(
            lambda: self._client.save_weights_external(name, ttl_seconds=_KEPT_SECONDS)
        )
        return str(saved.path)

    def download(self, address: str, folder: Path, most: int) -> Path:
        """Write an adapter's two files, at most `most` bytes each, to `folder`; return it."""
        answer = self._call_and_wait(lambda: self._rest.get_external_weights_urls(address))
        urls = {Path(name).name: url for name, url in answer.urls.items()}
        if missing := [name for name in _FILES if name not in urls]:
            raise self._error(
                f"the training API gave no {missing[0]}",
                ", ".join(sorted(urls)) or "no file",
                "see which format the API exports; a LoRA adapter in PEFT's is needed",
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            self._fetch(str(urls[name]), folder / name, most)
        return folder

    def _fetch(self, url: str, path: Path, most: int) -> None:
        """Download a signed address to a file, without sending our key."""
        where = keyless(url)
        refuse_resolved(where)
        if url.startswith("http:") and not where.loopback:
            raise SecurityError("an adapter would travel unencrypted", got=where.origin)
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(url, timeout=60) as source, path.open("wb") as file:
                size = 0
                while part := source.read(_CHUNK):
                    signals.check()
                    size += len(part)
                    if size > most:
                        raise self._error(
                            "the adapter is larger than its rank allows",
                            f"more than {most:,} bytes of {path.name}",
                            "see which layers the API trains",
                        )
                    file.write(part)
        except (HTTPError, URLError, OSError, ValueError) as error:
            raise self._error(
                "an adapter could not be downloaded",
                f"{path.name}: {type(error).__name__}: {error}",
                "run again: it is downloaded once more, and nothing is trained again",
            ) from None

    def _datum(self, row: Row) -> Any:
        types = self._tinker.types
        return types.Datum(
            model_input=types.ModelInput.from_ints(list(row.ids[:-1])),
            loss_fn_inputs={
                "target_tokens": list(row.ids[1:]),
                "weights": [float(weight) for weight in row.weights],
            },
        )

    def _logprobs(self, found: Any, rows: Sequence[Row]) -> list[list[float]]:
        got = [[float(v) for v in out["logprobs"].data] for out in found.loss_fn_outputs]
        if [len(values) for values in got] != [len(row.ids) - 1 for row in rows]:
            raise self._error(
                "the training API read other rows than it was sent",
                f"{[len(values) for values in got][:8]} log-probabilities for rows of"
                f" {[len(row.ids) - 1 for row in rows][:8]} tokens",
                "see the API's version",
            )
        return got

    def _call_and_wait(self, call: Callable[[], Any]) -> Any:
        return self._result_of(self._call(call))

    def _call(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except Exception as error:  # the package raises many kinds
            raise self._failure(error) from None

    def _result_of(self, future: Any) -> Any:
        """Return the result of a request; after a requested stop, wait 30 s for it: it is paid."""
        waited = stopping = 0.0
        while waited < _PATIENCE_SECONDS:
            try:
                return future.result(_POLL_SECONDS)
            except FutureTimeout as late:
                if _is_done(future):  # the request itself ran out of time
                    raise self._failure(late) from None
                waited += _POLL_SECONDS
                stopping += _POLL_SECONDS if signals.requested_exit_code() is not None else 0.0
                if stopping > _GRACE_SECONDS:
                    signals.check()
            except Exception as error:  # the package raises many kinds
                raise self._failure(error) from None
        raise self._error(
            "the training API did not answer",
            f"nothing for {_PATIENCE_SECONDS:,.0f} s",
            "run again later: training continues from its last saved state",
        )

    def _failure(self, error: Exception) -> ProviderError:
        """Return the ProviderError of a failed request, by its status."""
        first = next((e for e in error_chain(error) if getattr(e, "status_code", None)), error)
        status = getattr(first, "status_code", None)
        text = f"{type(first).__name__}: {' '.join(str(first).split())}"
        if status in (401, 403) or "api_key" in str(error):
            fix = f"set {KEY}"
            if self.where.key is None:
                fix += f", and {ADDRESS} to this address: the key is sent nowhere else"
            return self._error("the training API does not accept the key", text, fix)
        if status == 402:
            return self._error("the training API wants to be paid", text, "see your account there")
        if status == 404:
            return self._error(
                "the training API does not know this", text,
                "see whether it trains this base model; a saved state that is gone can't be"
                " continued: `run --fresh` trains anew, and pays again",
            )  # fmt: skip
        return self._error(
            "the training API failed", text, "run again: training continues from its saved state"
        )

    def _error(self, what: str, got: str, fix: str) -> ProviderError:
        return ProviderError(
            what,
            where=self.where.origin,
            got=self._redact.text(got)[:300],
            fix=fix,
            kept="the steps up to the last saved state, and all answers",
        )


def adapter_scale(folder: Path) -> float:
    """Return the factor of B A (alpha / rank) in a downloaded adapter's configuration.

    Raises ProviderError for a configuration that can't be read.
    """
    try:
        config = json.loads((folder / _FILES[0]).read_text("utf-8"))
        rank, alpha = float(config["r"]), float(config["lora_alpha"])
        plain = not config.get("use_dora") and not config.get("rank_pattern")
        if not (plain and rank > 0 and alpha > 0):
            raise ValueError(f"r {rank}, lora_alpha {alpha}, plain: {plain}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProviderError(
            "the adapter's configuration can't be read",
            where=str(folder / _FILES[0]),
            got=f"{type(error).__name__}: {error}",
            fix="see which format the API exports; a plain LoRA adapter in PEFT's is needed",
        ) from None
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, because its target was not checked."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _import_tinker() -> Any:
    try:
        import tinker
    except ImportError as missing:
        raise NotInstalled(
            "a training API needs the extra `tinker`",
            got=str(missing),
            fix="pip install 'tuneworthy[tinker]'",
        ) from missing
    logging.getLogger("tinker").setLevel(logging.CRITICAL)  # its errors are raised as well
    return tinker


@contextmanager
def _environment() -> Iterator[None]:
    """Hide other services' credentials from the package in the block; turn its telemetry off."""
    before = {name: os.environ.pop(name) for name in _HIDDEN_VARIABLES if name in os.environ}
    telemetry = os.environ.get("TINKER_TELEMETRY")
    os.environ["TINKER_TELEMETRY"] = telemetry or "0"
    try:
        yield
    finally:
        os.environ.update(before)
        if telemetry is None:
            os.environ.pop("TINKER_TELEMETRY", None)


def _is_done(future: Any) -> bool:
    inner = getattr(future, "future", None)
    return bool(inner().done()) if inner else False


def training_price(prices: Mapping[str, Any], base: str, where: Endpoint) -> float | None:
    """Return USD per million trained tokens of a base model: 0 on this machine, None if unknown."""
    price = prices.get(base)
    rate = price.get("train") if isinstance(price, Mapping) else None
    return (0.0 if where.loopback else None) if rate is None else float(rate)
