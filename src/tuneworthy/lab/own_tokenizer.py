"""The tokenizer of a training folder, read with `tokenizers` alone: no torch, no foreign code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.record import well_formed
from tuneworthy.data.run_folder import KEPT, RunFolder

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
            "mask_token")  # fmt: skip
_MOST_BYTES = 256_000_000  # bytes of a tokenizer.json


@dataclass(frozen=True)
class _AddedToken:
    content: str
    special: bool


@dataclass
class FolderTokenizer:
    """A tokenizer with the part of transformers' interface that rendering a row needs."""

    file: str
    core: Any
    chat_template: str | None
    special_tokens_map: dict[str, str]
    added_tokens_decoder: dict[int, _AddedToken]
    cut_at: int | None = None
    name_or_path: str = ""

    @property
    def eos_token(self) -> str | None:
        """Return the token that ends a text, None if the tokenizer has none."""
        return self.special_tokens_map.get("eos_token")

    @property
    def pad_token(self) -> str | None:
        """Return the padding token, None if the tokenizer has none."""
        return self.special_tokens_map.get("pad_token")

    def __call__(
        self, text: str, add_special_tokens: bool = False, split_special_tokens: bool = False
    ) -> dict[str, list[int]]:
        """Return the ids of a text as {"input_ids": ids}, like transformers."""
        self.core.encode_special_tokens = split_special_tokens
        ids = self.core.encode(text, add_special_tokens=add_special_tokens).ids
        return {"input_ids": list(ids)}

    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids, with special tokens."""
        return str(self.core.decode(list(ids), skip_special_tokens=False))

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, None if it is not in the vocabulary."""
        found: int | None = self.core.token_to_id(token)
        return found


def read_tokenizer(folder: RunFolder) -> FolderTokenizer | str:
    """Return the folder's tokenizer, or why there is none. Raises DataError if it is damaged."""
    file = folder.newest("tokenizer.json")
    if file is None:
        return "the folder has no tokenizer.json: save the tokenizer beside the model"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return "the package `tokenizers` is not installed: pip install 'tuneworthy[train]'"
    with folder.opened(file, _MOST_BYTES) as opened:
        raw = opened.read(_MOST_BYTES)
    try:
        core = Tokenizer.from_buffer(raw)
    except Exception as error:  # the library raises plain Exception
        raise DataError("the tokenizer of the folder can't be read", where=file, got=str(error),
                        fix="copy tokenizer.json again", kept=KEPT) from error  # fmt: skip
    cut = core.truncation or {}
    core.no_truncation()
    core.no_padding()
    beside = file.rpartition("/")[0]
    config = folder.object(f"{beside}/tokenizer_config.json".lstrip("/"))
    special = {name: token for name in _SPECIAL_TOKENS if (token := _token_text(config.get(name)))}
    added = {number: _AddedToken(token.content, token.special)
             for number, token in core.get_added_tokens_decoder().items()}  # fmt: skip
    limit = cut.get("max_length")
    return FolderTokenizer(
        file, core, _chat_template(folder, beside, config), special, added,
        limit if isinstance(limit, int) else None,
    )  # fmt: skip


def _chat_template(folder: RunFolder, beside: str, config: dict[str, Any]) -> str | None:
    file = f"{beside}/chat_template.jinja".lstrip("/")
    if folder.has(file):
        return folder.text(file)
    template = config.get("chat_template")
    if isinstance(template, list):  # several, each with its name
        named = {str(one.get("name")): one.get("template") for one in template
                 if isinstance(one, dict)}  # fmt: skip
        template = named.get("default")
    return well_formed(template) if isinstance(template, str) and template else None


def _token_text(token: Any) -> str | None:
    """Return a special token's text from a config's text or object; None if it has none."""
    if isinstance(token, dict):
        token = token.get("content")
    return well_formed(token) if isinstance(token, str) and token else None
