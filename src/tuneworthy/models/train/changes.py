"""Measure how training changed weights, next-token distributions and layer outputs.

Base and tuned model read the very same tokens in the same batches, so every figure is paired and
training that changed nothing gives exactly 0. A tuned model has an adapter on the base's modules,
or modules and weights of its own (full tuning). Knows no task, no metric and no arm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tuneworthy.models.local import generate as _generate
from tuneworthy.models.local.adapter_hooks import adapter_applied
from tuneworthy.models.local.chat_template import answer_ids, prompt_ids, text_ids
from tuneworthy.models.local.device import exact
from tuneworthy.models.train.loss import Net, answer_logits, open_plain
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.records.case import Message
from tuneworthy.records.errors import NumericError
from tuneworthy.records.tokens import parts
from tuneworthy.store import signals

PART_TOKENS = 1024  # padded tokens read at once: their logits dominate the memory
_COMPARED_ROWS = 16  # rows on which representations are compared
Text = Sequence[Message] | str
_MatrixFigures = tuple[float, float, int, float | None]
"""Squared norm of the change and of the weight, largest possible rank, effective rank or None."""


def sample_passages(
    model: Any, beginnings: Sequence[Text], most: int, seed: int
) -> list[dict[str, Any]]:
    """Return a row for each beginning, continued by the base at temperature 1.

    `model` is a local engine without an adapter. A beginning is a conversation, or plain text that
    is continued without a chat template. At most `most` tokens are sampled for each. A row is
    {"ids", "first"}: all token ids, and the index of the first sampled one.
    """
    heads = [_beginning_ids(model, text) for text in beginnings]
    draw = _generate.DecodingOptions(
        room=most,
        ends=frozenset(model.ends),
        temperature=1.0,
        seed=seed,
        text=lambda ids: "",
        tokens=model.tokens,
    )
    drawn = _generate.generate(model.net, heads, [most] * len(heads), draw)
    return [
        _row(head, [*one.ids, *([model.ends[0]] if one.finish == "stop" else [])])
        for head, one in zip(heads, drawn, strict=True)
    ]


def answered_row(model: Any, prompt: Sequence[Message], text: str, ended: bool) -> dict[str, Any]:
    """Return a prompt and its answer as {"ids", "first"}; `ended` adds the end token."""
    end = [model.ends[0]] if ended else []
    return _row(answer_ids(model.tokenizer, prompt), [*text_ids(model.tokenizer, text), *end])


def compare_models(base: Any, tuned: Any, rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Return for each row [tokens, loss of the base, loss of the tuned model, KL divergence].

    Losses and KL(tuned from base) are sums over the row's tokens from `first` on, in nats; the KL
    is exact at each position. Rows without such a token, or longer than the model's context, get
    [0, 0, 0, 0]. Raises NumericError if a figure is not finite.
    """
    rendered = [_to_example(row) for row in rows]
    fits = [i for i, row in enumerate(rendered) if row.trained and _fits_context(base, row)]
    net = open_plain(base.module)
    other = net if tuned.module is base.module else open_plain(tuned.module)
    figures_by_row = [[0, 0.0, 0.0, 0.0] for _ in rows]
    for group in parts([rendered[i] for i in fits], PART_TOKENS):
        signals.check()
        batch = [fits[i] for i in group]
        for i, figures in zip(
            batch, _compare_batch((net, other), tuned, [rendered[i] for i in batch]), strict=True
        ):
            figures_by_row[i] = figures
    _check_finite([value for row in figures_by_row for value in row], base)
    return figures_by_row


def weight_changes(base: Any, tuned: Any) -> dict[str, dict[str, Any]]:
    """Return {layer number or weight name, "all"}: figures of the weight change (ratio, ranks).

    `ratio` is ‖ΔW‖ / ‖W‖ (Frobenius, over a layer's weights together); `effective_rank` is
    exp(entropy of the normalised singular values of ΔW), the mean over the layer's matrices (Roy
    and Vetterli 2007), None if none changed; at most `rank`. Weights outside of the layers have
    their names. The key "all" is the whole model.
    """
    layers: dict[str, list[_MatrixFigures]] = {}
    for name, figures in (
        _adapter_figures(tuned) if tuned.adapter else _full_tuning_figures(base, tuned)
    ):
        match = re.search(r"\.(\d+)\.", name)
        layers.setdefault(match.group(1) if match else name, []).append(figures)
    by_layer = {layer: _layer_summary(rows) for layer, rows in layers.items()}
    return {"all": _layer_summary([row for rows in layers.values() for row in rows]), **by_layer}


def _adapter_figures(tuned: Any) -> Iterator[tuple[str, _MatrixFigures]]:
    """Yield (layer name, figures) for each layer that the adapter changes.

    Of a low-rank change only r × r matrices are decomposed: with B = Qb Rb and A' = Qa Ra the
    singular values of B A are those of Rb Ra'. DoRA's change is of full rank.
    """
    modules = dict(tuned.module.named_modules())
    for name, (first, second, scale) in tuned.adapter.changes.items():
        weight = exact(modules[name].weight.detach())
        if (gain := tuned.adapter.gains.get(name)) is None:
            values, rank = _low_rank_singular_values(first, second) * abs(scale), len(first)
        else:
            whole = weight + scale * (exact(second) @ exact(first))
            change = exact(gain)[:, None] * whole - weight
            values, rank = _singular_values(change), min(change.shape)
        yield name, _matrix_figures(values, weight, rank)


def _full_tuning_figures(base: Any, tuned: Any) -> Iterator[tuple[str, _MatrixFigures]]:
    """Yield (weight name, figures) for each weight of a model whose weights were all trained."""
    before = dict(base.module.named_parameters())
    for name, after in tuned.module.named_parameters():
        weight = exact(before[name].detach())
        change = exact(after.detach()) - weight
        if change.ndim == 2:
            yield name, _matrix_figures(_singular_values(change), weight, min(change.shape))
        else:  # a norm's weights have a size, and no rank
            yield name, (float((change**2).sum()), float((weight**2).sum()), 1, None)


def _matrix_figures(values: Any, weight: Any, rank: int) -> _MatrixFigures:
    size = float(torch.linalg.vector_norm(weight)) ** 2
    return float((values**2).sum()), size, rank, effective_rank(values.tolist())


def effective_rank(values: Sequence[float]) -> float | None:
    """Return exp(entropy) of singular values as shares of their sum, None if all are 0."""
    total = sum(values)
    if total <= 0:
        return None
    shares = [value / total for value in values if value > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def representation_shifts(base: Any, tuned: Any, rows: Sequence[dict[str, Any]]) -> list[float]:
    """Return each layer's mean relative change of its output: ‖after − before‖ / ‖before‖.

    The mean is over the tokens from `first` on of at most 16 rows; an empty list if there are none.
    Raises NumericError if a change is not finite.
    """
    rendered = [row for row in map(_to_example, rows) if row.trained and _fits_context(base, row)][
        :_COMPARED_ROWS
    ]
    bodies = [model.module.get_decoder() for model in (base, tuned)]
    sums, count = list[float](), 0
    for row in rendered:
        signals.check()
        ids = torch.tensor([row.ids], device=base.module.device)
        before = _layer_outputs(bodies[0], ids, row.first)
        with adapter_applied(tuned):
            after = _layer_outputs(bodies[1], ids, row.first)
        moved = [
            (torch.linalg.vector_norm(b - a, dim=-1) / torch.linalg.vector_norm(a, dim=-1)).sum()
            for a, b in zip(before, after, strict=True)
        ]
        sums = [s + float(m) for s, m in zip(sums or [0.0] * len(moved), moved, strict=True)]
        count += len(row.ids) - row.first
    _check_finite([value / count for value in sums], base)
    return [value / count for value in sums]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _layer_outputs(body: Any, ids: Any, first: int) -> list[Any]:
    states = body(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
    return [state[0, first:].float() for state in states[1:]]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _compare_batch(
    nets: tuple[Net, Net], tuned: Any, rows: Sequence[EncodedExample]
) -> list[list[float]]:
    own = torch.log_softmax(answer_logits(nets[0], rows, None).float(), -1)
    with adapter_applied(tuned):
        new = torch.log_softmax(answer_logits(nets[1], rows, None).float(), -1)
    targets = torch.tensor([t for row in rows for t in row.ids[row.first :]], device=own.device)
    before, after = (-exact(table.gather(-1, targets[:, None])[:, 0]) for table in (own, new))
    apart = exact((new.exp() * (new - own)).sum(-1))
    sizes = [row.trained for row in rows]
    split = (values.split(sizes) for values in (before, after, apart))
    return [
        [n, *(round(float(part.sum()), 6) for part in three)]
        for n, three in zip(sizes, zip(*split, strict=True), strict=True)
    ]


def _check_finite(values: Sequence[float], model: Any) -> None:
    if not all(map(math.isfinite, values)):
        raise NumericError(
            "the tuned model gives figures that are not finite",
            where=model.spec,
            fix="train it at a lower rate",
        )


def _low_rank_singular_values(first: Any, second: Any) -> Any:
    """Return the singular values of B A (A `first`, B `second`) from r × r matrices."""
    b = torch.linalg.qr(second.detach().cpu().double(), mode="r").R
    a = torch.linalg.qr(first.detach().cpu().double().t(), mode="r").R
    return torch.linalg.svdvals(b @ a.t())


def _singular_values(change: Any) -> Any:
    """Return the singular values of a matrix, from the eigenvalues of its smaller Gram matrix.

    Their error is about 1e-8 of the largest one: far below what an entropy shows.
    """
    gram = change @ change.t() if len(change) <= change.shape[1] else change.t() @ change
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()


def _layer_summary(rows: Sequence[_MatrixFigures]) -> dict[str, Any]:
    change, weight = sum(row[0] for row in rows), sum(row[1] for row in rows)
    ranks = [row[3] for row in rows if row[3] is not None]
    return {
        "ratio": math.sqrt(change / weight) if weight else 0.0,
        "rank": max(row[2] for row in rows),
        "effective_rank": sum(ranks) / len(ranks) if ranks else None,
    }


def _beginning_ids(model: Any, text: Text) -> list[int]:
    if not isinstance(text, str):
        return prompt_ids(model.tokenizer, text)
    ids: list[int] = model.tokenizer(text)["input_ids"]  # includes the model's first token (BOS)
    while ids and ids[-1] in model.ends:
        ids = ids[:-1]
    return ids


def _row(head: Sequence[int], written: Sequence[int]) -> dict[str, Any]:
    return {"ids": [*head, *written], "first": len(head)}


def _to_example(row: dict[str, Any]) -> EncodedExample:
    ids, first = tuple(row["ids"]), row["first"]
    return EncodedExample(ids, (False,) * first + (True,) * (len(ids) - first))


def _fits_context(model: Any, row: EncodedExample) -> bool:
    return row.first > 0 and (model.context is None or len(row.ids) <= model.context)
