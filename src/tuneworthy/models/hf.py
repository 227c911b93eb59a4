"""Models that run in this process: transformers weights (safetensors), base and LoRA adapters.

Knows no task and no metric.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneworthy.models._reply_cache import Cached
from tuneworthy.models.local.device import ANYWHERE, Placement, device_fingerprint
from tuneworthy.models.local.machine import calm_torch, resolve_placement
from tuneworthy.models.local.thinking import (
    NEVER,
    Setting,
    Thinking,
    ThoughtLimits,
    answer_of,
    text_before_stop,
    watch_for,
)
from tuneworthy.models.local.weights import check_folder, weights_hash
from tuneworthy.records.errors import ModelError, NotInstalled, NumericError
from tuneworthy.records.model import Grammar, Limits, Prompt, Reply
from tuneworthy.records.record import digest

try:
    calm_torch()
    import torch  # noqa: F401  fails first without the extra

    from tuneworthy.models.local import forward as _forward
    from tuneworthy.models.local import generate as _generate
    from tuneworthy.models.local import score as _score
    from tuneworthy.models.local import token_grammar as _grammar
    from tuneworthy.models.local.adapter_hooks import Adapter, read_adapter
    from tuneworthy.models.local.chat_template import Refused, answer_ids, prompt_ids, text_ids
    from tuneworthy.models.local.follower import Follower, Samples
    from tuneworthy.models.local.memory import check_memory, tokens_of
    from tuneworthy.models.local.opening import (
        check_values,
        end_notes,
        ends_of,
        opened,
        package_versions,
        set_thinking,
        tokenizer_hash,
    )
    from tuneworthy.models.local.tuned_weights import has_weights, read_tuned
except ImportError as missing:
    raise NotInstalled(
        "running a model on this machine needs the extra `train`",
        got=str(missing),
        fix="pip install 'tuneworthy[train]' (on Linux without a GPU, install the CPU build of "
        "torch first)",
    ) from missing

ENGINE = "hf-15"  # increased when the engine's own answers may change
CACHED_GRAMMARS = 64  # compiled grammars that are kept: each client of a server may send its own


class HF(Cached):
    """A causal language model of transformers behind the Model and Scorer protocols.

    `module` and `tokenizer` are for training and never changed here. `shard` is the number of
    answers that are requested, and stored, at once: enough for full parallel batches.
    """

    shard = 192

    def __init__(
        self,
        spec: str,
        module: Any,
        tokenizer: Any,
        fingerprint: dict[str, str],
        thinking: Thinking = NEVER,
    ) -> None:
        self.spec, self.module, self.tokenizer = spec, module, tokenizer
        self.fingerprint, self.thinking = fingerprint, thinking
        config = module.config.get_text_config(decoder=True)
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        self.net = _forward.open_net(module)
        self.ends = ends_of(module, tokenizer)
        self.notes = end_notes(tokenizer, self.ends)
        self.tokens = tokens_of(module)
        self.adapter: Adapter | None = None
        self._words: Any = None
        self._guides: dict[str, Any] = {}

    def with_adapter(self, folder: Path, *, idle: bool = False) -> HF:
        """Return this model with the LoRA adapter in `folder`, or with the weights trained there.

        An adapter shares the base's weights; those of full tuning take as much memory again.
        Raises ModelError if the folder belongs to another base, does not match, or (unless `idle`)
        changes nothing.
        """
        if has_weights(folder):
            return self._with_weights(folder, idle)
        adapter = read_adapter(folder, self.module, self.fingerprint["weights"], idle=idle)
        other = copy.copy(self)
        other.adapter, other.net = adapter, _forward.adapted_net(self.net, adapter)
        other.fingerprint = {**self.fingerprint, "adapter": adapter.hash}
        return other

    def _with_weights(self, folder: Path, idle: bool) -> HF:
        other, base = copy.copy(self), self.fingerprint["weights"]
        other.module, own = read_tuned(folder, self.module, base, idle=idle)
        other.net = replace(_forward.open_net(other.module), fit=replace(self.net.fit))
        other.fingerprint = {**self.fingerprint, "weights": own, "tuned_from": base}
        return other

    @property
    def full(self) -> int:
        """Return the number of rows of a full batch; a larger batch is no faster (CPU: 32)."""
        return self.net.fit.rows or (
            32 if self.net.device == "cpu" else _generate.DecodingOptions.rows
        )

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the number of tokens of the rendered prompt, generation header included."""
        try:
            return len(prompt_ids(self.tokenizer, prompt))
        except Refused as refusal:
            raise ModelError(str(refusal)) from refusal

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return the reply to each prompt; one that can't be rendered gets a Reply with `error`.

        `max_tokens` counts the end-of-turn token, as servers do, and not the thought of a model
        that thinks, which has `thought_tokens` (0: both share `max_tokens`). A grammar constrains
        the text after the thought. Whether the model thinks was set on opening. Raises ModelError
        or TaskError.
        """
        return self._cached_replies(prompts, limits, self.reply_followed)

    def reply_followed(
        self, prompts: Sequence[Prompt], limits: Limits, followers: Sequence[Follower] | None = None
    ) -> list[Reply]:
        """Return a new reply to each prompt, none cached; its follower is told each token."""
        return self._answer([self._prompt_ids(prompt) for prompt in prompts], limits, followers)

    def _answer(
        self, rendered: Sequence[list[int] | str], limits: Limits, samples: Samples = None
    ) -> list[Reply]:
        """Return a Reply to each rendered prompt: token ids, or a text saying why it has none."""
        usable = [k for k, ids in enumerate(rendered) if not isinstance(ids, str)]
        ids: list[Any] = [rendered[k] for k in usable]
        if ids and self.scores_labels(limits):
            done = self._choose_labels(ids, limits)
        elif ids:
            drawn = self._decode(ids, limits, samples and [samples[k] for k in usable])
            done = [self._as_reply(*pair, limits) for pair in zip(ids, drawn, strict=True)]
        replies = iter(done if ids else ())
        return [_error_reply(ids) if isinstance(ids, str) else next(replies) for ids in rendered]

    def reply_scored(
        self, prompts: Sequence[Prompt], limits: Limits, labels: Sequence[str]
    ) -> tuple[list[Reply], list[list[float] | None]]:
        """Return each prompt's reply and the log-probabilities of the labels, from one prefill.

        Log-probabilities are None for a prompt that can't be rendered, and for all prompts if the
        labels would take more than a quarter of the prefill.
        """
        if self.thinks:  # the answer follows a thought that is not generated yet
            return self.reply(prompts, limits), [None] * len(prompts)
        rendered = [self._prompt_ids(prompt) for prompt in prompts]
        ids = [row for row in rendered if not isinstance(row, str)]
        look = _score.continuation_scorer(self.net, self._continuation_ids(labels))
        cheap = ids and 4 * look[1] <= _generate.mean_unshared_length(ids) and self.net.fits(
            max(map(len, ids)) + max(limits.max_tokens, look[1])
        )  # fmt: skip
        if not cheap:
            return self.reply(prompts, limits), [None] * len(prompts)
        drawn = iter(self._decode(ids, limits, None, look))
        replies: list[Reply] = []
        sums: list[list[float] | None] = []
        for row in rendered:
            answer = None if isinstance(row, str) else next(drawn)
            sums.append(answer and answer.sums)
            replies.append(
                _error_reply(row) if isinstance(row, str) else self._as_reply(row, answer, limits)
            )
        self._cache_replies(prompts, limits, replies, labels, sums)
        return replies, sums

    def draws(self, prompts: Sequence[Prompt], limits: Limits, m: int) -> list[list[Reply]]:
        """Return m lists, one per sample number, each with a reply to every prompt, in order."""
        if self.scores_labels(limits):
            each = (limits.model_copy(update={"sample": n}) for n in range(m))
            return [self.reply(prompts, sample_limits) for sample_limits in each]
        rendered = [self._prompt_ids(prompt) for prompt in prompts]
        rows = [ids for ids in rendered for _ in range(m)]
        replies = self._answer(rows, limits, list(range(m)) * len(prompts))
        return [replies[n::m] for n in range(m)]

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the summed log-probability of each continuation, end-of-turn token included.

        If the prompt opens a thought, an empty one is closed first.
        """
        return self._cached_scores(prompts, continuations, self._logprobs)

    def _logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        ids = [self._prompt_ids(prompt, answer_ids) for prompt in prompts]
        if bad := next((text for text in ids if isinstance(text, str)), None):
            raise ModelError("a prompt can't be scored", got=bad)
        return self._scores(ids, continuations)

    def _scores(self, ids: Sequence[Any], given: Sequence[Sequence[str]]) -> list[list[float]]:
        if not ids:
            return []
        every = list(dict.fromkeys(text for texts in given for text in texts))
        ids_of = dict(zip(every, self._continuation_ids(every), strict=True))
        coded = [[ids_of[text] for text in texts] for texts in given]
        with self._adapter_applied():
            scores: list[list[float]] = _score.logprobs(self.net, ids, coded)
        if any(math.isnan(value) for row in scores for value in row):
            raise NumericError("the model's log-probabilities are not finite", where=self.spec)
        return scores

    def _continuation_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [[*text_ids(self.tokenizer, text), self.ends[0]] for text in texts]

    def _prompt_ids(self, prompt: Prompt, coded: Any = prompt_ids) -> list[int] | str:
        """Return the prompt's ids, or (as a text) why it can't be read."""
        try:
            ids: list[int] = coded(self.tokenizer, prompt)
        except Refused as refusal:
            return str(refusal)
        if self.context is not None and len(ids) >= self.context:
            return f"the prompt has {len(ids)} tokens, the model's context {self.context}"
        return ids

    @property
    def thinks(self) -> bool:
        """Return whether a thought is expected before every answer."""
        return self.thinking.thinks

    def scores_labels(self, limits: Limits) -> bool:
        """Return whether the answer is the likeliest label, scored instead of decoded."""
        return limits.grammar is not None and limits.grammar.scored and not self.thinks

    def _as_reply(self, ids: Sequence[int], answer: Any, limits: Limits) -> Reply:
        text, begun = answer_of(answer.thought, answer.ids, self._text)
        return Reply(
            text=text_before_stop(text, limits.stop),
            tokens_in=len(ids),
            tokens_cached=answer.cached,
            tokens_out=answer.made,
            tokens_thought=begun if self.thinking.tags else None,
            seconds=answer.seconds,
            finish=answer.finish,
        )

    def _decode(
        self, ids: Sequence[Any], limits: Limits, samples: Samples, look: Any = None
    ) -> list[Any]:
        watch = watch_for(self.thinking, limits, self._raw_text)
        if watch and watch.begun and self.thinking.state == "free":
            start = self.tokenizer(watch.begun.start, add_special_tokens=False)["input_ids"]
            # a grammar needs the thought to be open from the start
            ids = [[*row, *start] for row in ids]
        drawn = self._decode_once(ids, limits, watch, (samples, look))
        late = [k for k, answer in enumerate(drawn) if answer.unended]
        if late and watch and watch.most < limits.thought_tokens:
            # it thinks unexpectedly: generate again, with room for a thought
            late_samples = None if samples is None else [samples[k] for k in late]
            watch = watch_for(self.thinking, limits, self._raw_text, expected=True)
            again = self._decode_once([ids[k] for k in late], limits, watch, (late_samples, None))
            for k, answer in zip(late, again, strict=True):
                answer.seconds, answer.sums = answer.seconds + drawn[k].seconds, drawn[k].sums
                drawn[k] = answer
        return drawn

    def _decode_once(
        self, ids: Sequence[Any], limits: Limits, watch: ThoughtLimits | None, how: tuple[Any, Any]
    ) -> list[Any]:
        samples, look = how
        guide = self._compiled_grammar(limits.grammar) if limits.grammar else None
        room = watch.room if watch else max(limits.max_tokens, 1)
        rooms = [min(room, self.context - len(i)) if self.context else room for i in ids]
        draw = _generate.DecodingOptions.of(
            limits,
            room=max(rooms),
            ends=frozenset(self.ends),
            guide=guide,
            text=self._text,
            tokens=self.tokens,
            look=look,
            watch=watch,
        )
        with self._adapter_applied():
            drawn: list[Any] = _generate.generate(self.net, ids, rooms, draw, samples)
        return drawn

    def _choose_labels(self, ids: Sequence[Any], limits: Limits) -> list[Reply]:
        """Return each prompt's likeliest label as a reply (or sample one, at a temperature)."""
        assert limits.grammar is not None
        labels = [str(label) for label in limits.grammar.value]
        begun = time.perf_counter()
        table = self._scores(ids, [labels] * len(ids))
        each = (time.perf_counter() - begun) / len(ids)
        replies = []
        for prompt, row in zip(ids, table, strict=True):
            best = _generate.draw_one(row, prompt, limits)
            made = len(text_ids(self.tokenizer, labels[best])) + 1
            replies.append(
                Reply(text=labels[best], tokens_in=len(prompt), tokens_out=made, seconds=each)
            )
        return replies

    def _compiled_grammar(self, grammar: Grammar) -> Any:
        key = grammar.model_dump_json()  # a digest would ignore the order of keys, which matters
        if self._words is None:
            words = _grammar.vocabulary(self.tokenizer, self.net.vocab, self.ends)
            self._words = words, _grammar.Closer(words)
        if key not in self._guides:
            while len(self._guides) >= CACHED_GRAMMARS:
                del self._guides[next(iter(self._guides))]
            self._guides[key] = _grammar.CompiledGrammar(self._words[0], grammar, self._words[1])
        return self._guides[key]

    def holds(self, text: str, grammar: Grammar) -> bool:
        """Return whether a decoded text is a complete answer under the grammar."""
        guide = self._compiled_grammar(grammar)
        matcher, tokens = guide.begin(), guide.words.tokenize_str(text)
        # consuming illegal tokens would print a warning
        legal = matcher.validate_tokens(tokens) == len(tokens)
        return bool(legal and matcher.consume_tokens(tokens) and matcher.is_accepting())

    def _text(self, ids: Sequence[int], whole: bool = False) -> str:
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=not whole, clean_up_tokenization_spaces=False
        )
        return text

    def _raw_text(self, ids: Sequence[int]) -> str:
        return self._text(ids, whole=True)

    def _adapter_applied(self) -> AbstractContextManager[None]:
        return self.adapter.applied(self.module) if self.adapter else nullcontext()


def load(
    folder: Path,
    spec: str,
    precision: str | None = None,
    *,
    place: Placement = ANYWHERE,
    thinking: Setting | None = None,
) -> HF:
    """Return the model in `folder`; without `precision`, in the one measured to be fastest here.

    `place` sets device and precision; the argument `precision` overrides that of `place`. Weights
    are read straight into the memory of the device. `thinking`: see Task. Raises TaskError (no such
    device), ModelError, SecurityError or NumericError; nothing of the model runs before the checks.
    """
    files = check_folder(folder)
    device, precision = resolve_placement(place, precision)
    check_memory(files, precision, device)
    tokenizer, module = opened(folder, files, precision, device)
    module = module.eval().requires_grad_(False).to(device)
    check_values(module, tokenizer, folder)
    state = set_thinking(tokenizer, thinking or place.thinking)
    marks = {
        "engine": ENGINE,
        "weights": weights_hash(files),
        **device_fingerprint(device, precision),
        "tokenizer": tokenizer_hash(folder),
        "template": digest(str(tokenizer.chat_template)),
        "thinking": state.state,
        **package_versions(),
    }
    try:
        model = HF(spec, module, tokenizer, marks, state)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelError(
            "the model can't be run as its config.json says",
            where=str(folder / "config.json"),
            got=f"{type(error).__name__}: {error}",
            fix="compare it with the config of the original, or download the model again",
        ) from error
    model.net.fit.rows = place.batch
    return model


def _error_reply(why: str) -> Reply:
    return Reply(text="", finish="error", error=why)
