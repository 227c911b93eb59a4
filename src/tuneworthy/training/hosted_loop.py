"""Train an adapter at a training API: send token ids, masks and rates; download the adapter.

Each step's cost is reserved before it is sent. The API's state is saved every few steps, at the end
of an epoch and when a stop is requested, so that a run resumes there. After each epoch the adapter
is downloaded into the weights of this process, where it is scored. Knows no task and no metric.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tuneworthy.core.errors import NotProven, NumericError, ProviderError
from tuneworthy.core.record import canonical, digest
from tuneworthy.ledger import signals
from tuneworthy.ledger.blobs import sync
from tuneworthy.ledger.purse import SpendingCap
from tuneworthy.models.remote.endpoint import Endpoint
from tuneworthy.models.remote.training_api import Adam, Row, TrainingApi, adapter_scale
from tuneworthy.training.batches import order
from tuneworthy.training.checkpoint import TrainingCallbacks
from tuneworthy.training.loop import TrainingSchedule, rate_at
from tuneworthy.training.loss import Net
from tuneworthy.training.render import EncodedExample

SAVED_EVERY = 8  # steps between two saved states: the most that are paid twice after a SIGKILL
_PROOF_ROWS = 4  # rows whose log-probabilities prove base and adapter, the shortest ones
_BASE_NATS = 0.1  # largest difference of two engines on the same base, nats a token (assumed)
_LEAST_NATS = 1e-3  # difference in nats a token that is always accepted
_JOURNAL, _ADAPTERS_FOLDER = "hosted.json", "hosted"
_MORE_BYTES = 1 << 20  # most bytes of an adapter's download besides its tensors


@dataclass(frozen=True)
class Hosted:
    """The training API, the adapter's settings there, its price and its spending cap.

    `base` is the model's name at the API, `scale` the factor of B A here, `price` USD per million
    tokens (None: unknown, refused under a cap on money).
    """

    where: Endpoint
    base: str
    rank: int
    scale: float
    price: float | None
    purse: SpendingCap | None
    folder: Path


@dataclass
class _StoredRun:
    """The state of a run at the API, as stored in the file `hosted.json`.

    `about` is the digest of all that the run depends on; `state` the address of the newest saved
    state at the API, after the steps in `steps`; `epochs` the addresses of the epochs' adapters;
    `noise` the difference of the API's base from the base here, in nats a token.
    """

    about: str
    state: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    by_row: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    epochs: dict[str, str] = field(default_factory=dict)
    noise: float | None = None

    @classmethod
    def read(cls, path: Path, about: str) -> _StoredRun:
        """Return the state stored in `path` if it is of the run `about`, else a new one."""
        try:
            known = cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return cls(about)
        return known if known.about == about else cls(about)

    def write(self, path: Path) -> None:
        """Replace the file `path` with this state, synced to disk."""
        new = path.with_suffix(".new")
        new.write_text(canonical(vars(self)), "utf-8")
        sync(new)
        os.replace(new, path)
        sync(path.parent)


class HostedLoop:
    """A training loop that replaces `loop.train` for one run (see `lora.fit_lora`)."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted, self.name = hosted, hosted.where.url

    def __call__(
        self,
        net: Net,
        rows: Sequence[EncodedExample],
        pace: TrainingSchedule,
        seed: int,
        after_epoch: Callable[[int], bool | None],
        watch: TrainingCallbacks | None = None,
    ) -> dict[str, Any]:
        """Train at the API; see `loop.train` for what is returned.

        `norm` and `clipped` of a step are None: the API does not report them. Raises ProviderError
        where the API fails, NotProven where its base or its adapter is not the expected one.
        """
        run = _HostedRun(self.hosted, net, rows, (pace, seed), watch or TrainingCallbacks())
        try:
            for epoch in range(pace.epochs):
                run.train(epoch)
                run.install(epoch + 1)
                if after_epoch(epoch + 1) is False:
                    break
        except BaseException as error:
            run.close(error)
            raise
        run.close(None)
        known = run.known
        first = order(len(rows), seed, 0)[: pace.batch]
        return {
            "steps": known.steps, "by_row": known.by_row, "first": first, "seconds": known.seconds
        }  # fmt: skip


class _HostedRun:
    """One run of the loop; the API is opened when it is first needed."""

    def __init__(
        self,
        hosted: Hosted,
        net: Net,
        rows: Sequence[EncodedExample],
        how: tuple[TrainingSchedule, int],
        watch: TrainingCallbacks,
    ) -> None:
        self.hosted, self.net, self.rows, self.watch = hosted, net, rows, watch
        self.pace, self.seed = how
        told = [(row.ids, row.mask, row.prompt_weight) for row in rows]
        place = (hosted.where.url, hosted.base, hosted.rank)
        self.about = digest([place, told, self.pace.plain(), self.seed])
        self.path = hosted.folder / _JOURNAL
        self.known = _StoredRun.read(self.path, self.about)
        self.steps_per_epoch = math.ceil(len(rows) / self.pace.batch)
        self.saved = len(self.known.steps)  # number of steps in the newest saved state
        shortest = sorted(range(len(rows)), key=lambda n: (len(rows[n].ids), n))
        self.proof_rows = [rows[n] for n in shortest[:_PROOF_ROWS]]
        self.base = self._local_logprobs()  # before an adapter is installed

    @cached_property
    def api(self) -> TrainingApi:
        """Return the API, with this run begun or continued there."""
        api = TrainingApi(self.hosted.where, self.watch.say)
        if self.known.state:
            self.watch.say(f"continuing at {self.hosted.where.origin} after step {self.saved}")
            api.resume(self.known.state)
        else:
            api.begin(self.hosted.base, self.hosted.rank, self.seed)
        return api

    def close(self, error: BaseException | None) -> None:
        """End the session at the API, if one was begun."""
        if "api" in vars(self):
            self.api.__exit__(None if error is None else type(error), error, None)

    def train(self, epoch: int) -> None:
        """Train the remaining steps of an epoch."""
        known, size = self.known, self.pace.batch
        turn = order(len(self.rows), self.seed, epoch)
        if epoch == len(known.by_row):
            known.by_row.append([0.0] * len(self.rows))
        for at, start in enumerate(range(0, len(self.rows), size)):
            if epoch * self.steps_per_epoch + at < len(known.steps):
                continue
            self._save_and_stop_if_requested()
            if known.noise is None:
                self._prove_base()
            self._train_step(epoch, turn[start : start + size])
            if len(known.steps) % SAVED_EVERY == 0:
                self._save_state()

    def install(self, epoch: int) -> None:
        """Download an epoch's adapter into the weights here, and check it against the API."""
        folder = self.hosted.folder / _ADAPTERS_FOLDER / str(epoch)
        if folder.is_dir():
            self._load_adapter(folder)
            return
        if len(self.known.steps) != epoch * self.steps_per_epoch:
            raise self._not_proven(
                f"the adapter of epoch {epoch} is gone, and the run went on since",
                str(folder),
                "`run --fresh` trains anew, and pays again",
            )
        self._save_state()
        if (address := self.known.epochs.get(str(epoch))) is None:
            address = self.known.epochs[str(epoch)] = self.api.publish(f"{self.about[:12]}-{epoch}")
            self.known.write(self.path)
        new = folder.with_name("new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            self._load_adapter(self.api.download(address, new, self._most_download_bytes()))
            self._prove_adapter()
        except ProviderError:
            # the next run has it published again from the saved state, which trains nothing
            del self.known.epochs[str(epoch)]
            self.known.write(self.path)
            raise
        os.replace(new, folder)

    def _save_and_stop_if_requested(self) -> None:
        """Save the state at the API and raise if the user requested a stop."""
        if signals.requested_exit_code() is not None:
            self._save_state()
            signals.check()

    def _save_state(self) -> None:
        """Save the state at the API, unless the newest saved state has all steps."""
        if len(self.known.steps) > self.saved:
            self.known.state = self.api.save(f"{self.about[:12]}-{len(self.known.steps)}")
            self.known.write(self.path)
            self.saved = len(self.known.steps)

    def _train_step(self, epoch: int, chosen: Sequence[int]) -> None:
        known, pace, batch = self.known, self.pace, [self.rows[index] for index in chosen]
        number, total = len(known.steps) + 1, self.steps_per_epoch * pace.epochs
        tokens, rate = sum(row.total_weight for row in batch), rate_at(number - 1, total, pace)
        sent = [_api_row(row, tokens) for row in batch]
        api, begun = self.api, time.perf_counter()
        found = self._call_and_pay(sent, lambda: api.step(sent, Adam(rate, pace.clip)))
        known.seconds += time.perf_counter() - begun
        losses = [_row_loss(row, values) for row, values in zip(batch, found, strict=True)]
        loss = sum(losses) / tokens
        where = f"epoch {epoch + 1}, step {number} of {total}"
        if not math.isfinite(loss):
            raise NumericError(
                "the loss is not finite", where=where, got=f"loss {loss}", fix="lower the rate"
            )
        for index, value in zip(chosen, losses, strict=True):
            known.by_row[epoch][index] = value / self.rows[index].total_weight
        known.steps.append(
            {"epoch": epoch + 1, "loss": loss, "rate": rate, "norm": None, "clipped": None,
             "tokens": tokens, "read": sum(len(row.ids) for row in batch)}
        )  # fmt: skip
        self.watch.say(f"{where}: loss {loss:.3f}")

    def _call_and_pay(self, sent: Sequence[Row], call: Callable[[], Any]) -> Any:
        """Return the result of `call`; the cost of `sent` is reserved before and settled after."""
        purse = self.hosted.purse
        if purse is None:
            return call()
        tokens, price = sum(len(row.ids) for row in sent), self.hosted.price
        usd = None if price is None else Decimal(str(price)) * tokens / 1_000_000
        ticket = purse.reserve(usd, tokens)
        try:
            found = call()
        except BaseException:
            purse.settle(ticket, None, None)  # the step may have been trained: charge all
            raise
        purse.settle(ticket, usd, tokens)
        return found

    def _prove_base(self) -> None:
        """Raise NotProven unless the API's untrained adapter gives the base's log-probabilities."""
        noise = _mean_difference(self._remote_logprobs(), self.base)
        if not noise <= _BASE_NATS:
            raise self._not_proven(
                "the training API trains another base model than the one that is measured here",
                f"{noise:.3g} nats a token apart on {len(self.proof_rows)} rows",
                f"name the model that {self.hosted.base} is at the API (option `trainer_model`)",
            )
        self.known.noise = noise

    def _prove_adapter(self) -> None:
        """Raise NotProven unless the adapter has the same log-probabilities here and at the API."""
        here, there = self._local_logprobs(), self._remote_logprobs()
        effect, apart = _mean_difference(here, self.base), _mean_difference(here, there)
        most = max(2 * (self.known.noise or 0.0), _LEAST_NATS, effect / 10)
        if not (apart <= most and apart < effect):
            raise self._not_proven(
                "the adapter that came back is not the one that was trained",
                f"{apart:.3g} nats a token apart, at most {most:.3g}; it changes {effect:.3g}",
                "run again: the adapter is saved and downloaded once more; nothing is trained",
            )

    def _not_proven(self, what: str, got: str, fix: str) -> NotProven:
        return NotProven(what, where=self.hosted.where.origin, got=got, fix=fix)

    def _remote_logprobs(self) -> list[list[float]]:
        """Return for each proof row the log-probabilities of its trained ids at the API."""
        sent = [_api_row(row, row.total_weight) for row in self.proof_rows]
        api = self.api
        found = self._call_and_pay(sent, lambda: api.logprobs(sent))
        return [values[row.first - 1 :] for row, values in zip(self.proof_rows, found, strict=True)]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _local_logprobs(self) -> list[list[float]]:
        """Return for each proof row the log-probabilities of its trained ids in this process."""
        out = []
        for row in self.proof_rows:
            ids = torch.tensor([row.ids], device=self.net.module.device)
            scores = self.net.module(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
            values = scores.gather(1, ids[0, 1:, None])[:, 0]
            out.append([float(value) for value in values[row.first - 1 :]])
        return out

    def _adapter_weights(self) -> dict[str, Any]:
        """Return the adapter's weights in this process by their names in a PEFT file."""
        named = self.net.module.named_parameters()
        return {
            f"base_model.model.{name.replace('.default.', '.')}": weight
            for name, weight in named
            if weight.requires_grad
        }

    def _most_download_bytes(self) -> int:
        return _MORE_BYTES + sum(4 * int(w.numel()) for w in self._adapter_weights().values())

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _load_adapter(self, folder: Path) -> None:
        """Copy a downloaded adapter into the weights here, rescaled to the alpha here."""
        own, factor = self._adapter_weights(), adapter_scale(folder) / self.hosted.scale
        try:
            new = load_file(folder / "adapter_model.safetensors")
        except (OSError, SafetensorError) as error:
            raise self._not_proven(
                "the adapter that came back can't be read", str(error), "run again"
            ) from None
        shapes = [{name: tuple(w.shape) for name, w in part.items()} for part in (own, new)]
        odd = sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()})
        if odd:
            raise self._not_proven(
                "the adapter that came back has other layers than the one that is measured here",
                f"{len(odd)} of {len(own)} differ, first {odd[0]}",
                "see which layers and rank the API trains",
            )
        for name, weight in own.items():
            weight.copy_(new[name].to(weight.dtype) * (factor if ".lora_B." in name else 1.0))


def _api_row(row: EncodedExample, total: float) -> Row:
    """Return the API's form of a row; ids have weights so that a step's loss is a weighted mean.

    `total` is the sum of the weights of the step's rows.
    """
    weights = [1.0 if trained else row.prompt_weight for trained in row.mask[1:]]
    return Row(row.ids, [weight / total for weight in weights])


def _row_loss(row: EncodedExample, logprobs: Sequence[float]) -> float:
    """Return the weighted sum of a row's token losses (nats)."""
    weights = [1.0 if trained else row.prompt_weight for trained in row.mask[1:]]
    return -sum(w * value for w, value in zip(weights, logprobs, strict=True) if w)


def _mean_difference(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """Return the mean absolute difference of two sets of log-probabilities, in nats a token."""
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)
