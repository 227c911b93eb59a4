"""Open tokenizer and weights with transformers; refuse models with missing or extra tensors.

transformers fills a tensor that is not in the files with random numbers, and the answers would then
be scored as if they were the model's. Knows no prompt of a task and no answer.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers

from tuneworthy.models.local import prefix_attention as _attention
from tuneworthy.models.local.chat_template import (
    Refused,
    conversation,
    one_template,
    rendered,
    token_ids,
)
from tuneworthy.models.local.config import read_config
from tuneworthy.models.local.thinking import NEVER, Setting, Thinking, set_switch
from tuneworthy.models.local.weights import sha256, shapes
from tuneworthy.records.errors import ModelError, NumericError, TuneworthyError
from tuneworthy.records.escape import visible
from tuneworthy.records.record import digest

_SHOWN_TENSORS = 5

_PROBE_TOKENS = 16  # tokens of the probe when a model is opened

_SPARE_PARAMETERS = 50_000_000  # parameters that a model may have beyond those in its files
# Characters of a chat template; the longest public ones have 20,000.
_TEMPLATE_CHARACTERS = 1_000_000

_CLASS_ENDING = re.compile(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$")

_LOGGERS = ("transformers", "huggingface_hub", "tokenizers", "peft", "accelerate")

_PLAIN_ANSWER = "Yes, it is."

_QUESTION, _INSTRUCTION = "Is the parcel 4711 on its way?", "Answer in one word, please."


def opened(
    folder: Path, files: Sequence[Path], precision: str, device: str = "cpu"
) -> tuple[Any, Any]:
    """Return (tokenizer, module) of a checked folder, with every tensor read from its files.

    On a GPU the weights are read straight into its memory. Raises ModelError if transformers can't
    open them, the config is that of another model, or tensors are missing, left over or of another
    shape.
    """
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    transformers.utils.logging.disable_progress_bar()
    with _hushed(), _as_model_error(folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        _check_room(folder, files, options)
        module, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, precision),
            use_safetensors=True,
            attn_implementation=_attention.install(),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # _check_tensors refuses them by name
            **({} if device == "cpu" else {"device_map": {"": device}}),
            **options,
        )
    _check_class(folder, type(module).__name__)
    _check_tensors(folder, report)
    return tokenizer, module


def opened_encoder(folder: Path, files: Sequence[Path]) -> tuple[Any, Any]:
    """Return (tokenizer, module) of a checked folder's text encoder, in single precision.

    Heads of its pretraining are left out. Raises ModelError if transformers can't open it or
    tensors are missing or of another shape, NumericError for weights that are not finite.
    """
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    transformers.utils.logging.disable_progress_bar()
    fix = "choose an encoder (BERT, ModernBERT, DeBERTa …) that transformers knows"
    with _hushed(), _as_model_error(folder, "a text encoder", fix):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        _check_room(folder, files, options, transformers.AutoModel)
        module, report = transformers.AutoModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True, **options,
        )  # fmt: skip
    lost = [name for name in report["missing_keys"] if not name.startswith("pooler.")]
    _check_tensors(folder, {**report, "missing_keys": lost, "unexpected_keys": ()})
    _check_tokenizer(module, tokenizer, folder)
    if hasattr(module, "pooler"):
        module.pooler = None  # the vector is the mean of all tokens
    return tokenizer, module


def check_values(module: Any, tokenizer: Any, folder: Path) -> None:
    """Raise ModelError for a wrong tokenizer, NumericError for unusable weights or logits."""
    rows = _check_tokenizer(module, tokenizer, folder)
    ids = torch.linspace(0, rows - 1, _PROBE_TOKENS, device=module.device).long()
    with torch.inference_mode():
        logits = module(input_ids=ids[None], use_cache=False).logits.float()
    if not bool(torch.isfinite(logits).all()) or not bool(logits.std(-1).any()):
        raise NumericError(
            "the model says nothing: its logits are not finite, or the same for every token",
            where=str(folder),
            fix="copy config.json of this very model into the folder",
        )


def _check_tokenizer(module: Any, tokenizer: Any, folder: Path) -> int:
    """Return the number of tokens that a model knows; check it and that all weights are finite."""
    rows = module.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            "the tokenizer belongs to another model",
            where=str(folder),
            got=f"{len(tokenizer)} tokens, the model knows {rows}",
            fix="copy the tokenizer files of this model into the folder",
        )
    for name, weight in module.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise NumericError("the weights hold values that are not finite", where=name)
    return int(rows)


def tokenizer_hash(folder: Path) -> str:
    """Return a digest of the tokenizer's files in a model folder."""
    names = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
    return digest([sha256(folder / name) for name in names if (folder / name).exists()])


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute a local model's answers."""
    return {name: version(name) for name in ("torch", "transformers", "tokenizers", "llguidance")}


def ends_of(module: Any, tokenizer: Any) -> list[int]:
    """Return the end-of-turn ids, the tokenizer's first. Raises ModelError if there is none."""
    configured = getattr(module.generation_config, "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    ends = [tokenizer.eos_token_id, *more]
    unique = list(dict.fromkeys(int(end) for end in ends if end is not None))
    if not unique:
        raise ModelError(
            "neither the tokenizer nor the generation config names an end-of-turn token",
            fix="choose an instruction-tuned model",
        )
    return unique


def end_notes(tokenizer: Any, ends: Sequence[int]) -> tuple[str, ...]:
    """Return () or one note that the chat template ends answers with a token not in `ends`.

    That happens where a base model has the template of its instruction-tuned version.
    """
    if not tokenizer.chat_template:
        return ()
    try:
        text = conversation(tokenizer, [("user", _QUESTION)], _PLAIN_ANSWER)
    except Refused:
        return ()
    after = text.rpartition(_PLAIN_ANSWER)[2]
    ids = token_ids(tokenizer, after)
    if not after.strip() or set(ids) & set(ends):
        return ()
    own = ", ".join(tokenizer.decode([end]) for end in ends)
    return (
        f"its chat template ends an answer with {after.strip()}, its files with {own}: it may be a "
        "base model, whose answers go on to the token limit (the instruction-tuned one ends them)",
    )


def set_thinking(tokenizer: Any, setting: Setting) -> Thinking:
    """Set the chat template's thinking switch in the tokenizer; return how the model then thinks.

    A tokenizer without a template is left unchanged; rendering a prompt refuses it later. Raises
    ModelError for a template that drops its input, or can't be set as requested.
    """
    if not tokenizer.chat_template:
        return NEVER
    template = one_template(tokenizer)
    if len(template) > _TEMPLATE_CHARACTERS:
        raise ModelError("the chat template is far too long", got=f"{len(template)} characters")
    tokenizer.chat_template = template

    def question(template: str) -> str | None:
        try:
            return rendered(template, tokenizer.special_tokens_map, [("user", _QUESTION)], True)
        except Refused:
            return None

    words = [token.content for token in tokenizer.added_tokens_decoder.values()]
    tokenizer.chat_template, thinking = set_switch(template, words, setting, question)
    for turns in ([("user", _QUESTION)], [("system", _INSTRUCTION), ("user", _QUESTION)]):
        try:
            conversation(tokenizer, turns)
        except Refused as why:
            raise ModelError(
                "the chat template can't put a plain question to the model",
                where=str(getattr(tokenizer, "name_or_path", "")),
                got=str(why),
                fix="copy the chat template of this very model into the folder",
            ) from why
    return thinking


def escape_logs() -> None:
    """Escape control characters in the lines that these libraries log to the terminal.

    Their lines quote names and texts of a model's files, which are untrusted.
    """
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if not isinstance(handler.formatter, _Escaped):
                handler.setFormatter(_Escaped(handler.formatter))


class _Escaped(logging.Formatter):
    """Formatter that escapes control characters in the output of another formatter."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text with control characters shown as escapes."""
        return "\n".join(map(visible, self._inner.format(record).split("\n")))


@contextmanager
def _hushed() -> Iterator[None]:
    """Silence transformers' messages about a model inside the block; our checks report faults."""
    escape_logs()
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.utils.logging.set_verbosity(before)


@contextmanager
def _as_model_error(
    folder: Path,
    kind: str = "a text generator",
    fix: str = "choose a decoder model (…ForCausalLM) that transformers knows",
) -> Iterator[None]:
    """Raise any exception inside the block as a ModelError, except those of our own."""
    try:
        yield
    except TuneworthyError:
        raise
    except BaseException as error:
        # untrusted files may raise any exception, and the Rust parsers panic
        if not isinstance(error, Exception) and "Panic" not in type(error).__name__:
            raise  # a request to stop the program
        raise ModelError(
            f"transformers can't open this model as {kind}",
            where=str(folder),
            got=f"{error}" or type(error).__name__,
            fix=fix,
        ) from error


def _check_room(
    folder: Path,
    files: Sequence[Path],
    options: dict[str, Any],
    kind: Any = transformers.AutoModelForCausalLM,
) -> None:
    """Raise ModelError if the config describes a far larger model than the files hold.

    Builds it on the meta device to count its parameters: the missing ones would be allocated and
    filled with random numbers.
    """
    config = transformers.AutoConfig.from_pretrained(folder, **options)
    with torch.device("meta"):
        blank = kind.from_config(config, trust_remote_code=False)
    built = sum(weight.numel() for weight in blank.parameters())
    stored = sum(torch.Size(shape).numel() for shape in shapes(files).values())
    packed = 16 if read_config(folder).get("quantization_config") else 2
    if built > packed * stored + _SPARE_PARAMETERS:
        raise ModelError(
            "the config is not that of the weights",
            where=str(folder / "config.json"),
            got=f"it builds a model of {built} numbers, the files hold {stored}",
            fix="copy config.json of this very model into the folder",
        )


def _check_class(folder: Path, name: str) -> None:
    """Raise ModelError if the config says that the weights are of another class."""
    said = read_config(folder).get("architectures")
    if not said:
        return
    names = [str(name_) for name_ in said] if isinstance(said, list) else [str(said)]
    stems = {_CLASS_ENDING.sub("", name_) for name_ in names if _CLASS_ENDING.search(name_)}
    if _CLASS_ENDING.sub("", name) not in stems:
        raise ModelError(
            "the weights are of another class than the config's model_type",
            where=str(folder / "config.json"),
            got=f"architectures: {', '.join(names)}; model_type opens {name}",
            fix="copy config.json of this very model into the folder, or choose a text generator",
        )


def _check_tensors(folder: Path, report: dict[str, Any]) -> None:
    """Raise ModelError, with names, if tensors and model are not the same set.

    transformers leaves out tied weights, and keys that the class declares ignorable.
    """
    wrong = [
        f"{what} {', '.join(names[:_SHOWN_TENSORS])}"
        + (f" and {len(names) - _SHOWN_TENSORS} more" if len(names) > _SHOWN_TENSORS else "")
        for what in ("missing", "unexpected", "mismatched")
        if (names := sorted(map(_tensor_text, report.get(f"{what}_keys") or ())))
    ]
    if wrong:
        raise ModelError(
            "the weight files are not those of this model: what is missing would be random numbers",
            where=str(folder),
            got="; ".join(wrong),
            fix="download the whole model again, or copy config.json of this very model",
        )


def _tensor_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    name, shape, built = key
    return f"{name} {list(shape)} for {list(built)}"
