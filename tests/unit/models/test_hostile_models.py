"""D10, D11: a model folder is untrusted: it ends in an error, never in a hang or a BUG."""

import contextlib
import json
import logging
import math
import os
import shutil
import struct

import pytest
from models_kit import TEMPLATE, ask, build
from tests.in_time import ends_within

from tuneworthy.models.local import chat_template as _render
from tuneworthy.models.local.model_files import MOST_JSON_BYTES, check_files, read_json
from tuneworthy.models.local.tensors import header_of
from tuneworthy.models.local.weights import check_folder
from tuneworthy.records.errors import ModelError, SecurityError


def header(tensors, body=b"", raw=None):
    text = raw if raw is not None else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(kind="F32", shape=(2,), at=(0, 8)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(at)}


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(header({"w": entry()}, b"\0" * 8))
    return tmp_path


LIES = {
    "type": {"w": entry("F31")},
    "type no text": {"w": entry(32)},
    "shape": {"w": entry(shape=(3,))},
    "negative": {"w": entry(shape=(-2,))},
    "product of negatives": {"w": entry(shape=(-1, -2))},
    "float": {"w": entry(shape=(2.0,))},
    "yes": {"w": entry(shape=(True, 2))},
    "huge": {"w": entry(shape=(2**70,))},
    "no list": {"w": entry() | {"shape": "2"}},
    "backwards": {"w": entry(at=(8, 0))},
    "three places": {"w": entry(at=(0, 4, 8))},
    "beyond": {"w": entry(shape=(4,), at=(0, 16))},
    "overlap": {"w": entry(), "v": entry(shape=(1,), at=(4, 8))},
    "twice the same": {"w": entry(), "v": entry()},
    "hole": {"w": entry(shape=(1,), at=(4, 8))},
    "no entry": {"w": None},
    "list": [1, 2],
    "number": 3,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_damaged(plain, lie):
    (plain / "model.safetensors").write_bytes(header(LIES[lie], b"\0" * 8))
    with pytest.raises(ModelError, match="cut or damaged"):
        check_folder(plain)


@pytest.mark.parametrize(
    "raw",
    [b"[" * 50_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"w": 1' + b"0" * 5000 + b"}",
     b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
     b'"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'],
    ids=["deep list", "deep object", "no text", "long number", "one name twice"],
)  # fmt: skip
def test_a_header_that_is_no_table_is_damaged(plain, raw):
    (plain / "model.safetensors").write_bytes(header(None, b"\0" * 8, raw))
    with pytest.raises(ModelError, match="cut or damaged"):
        check_folder(plain)


def test_what_is_right_stays_right(plain):
    table = {"__metadata__": {"format": "pt"}, "w": entry(), "v": entry("BF16", (2, 1), (8, 12)),
             "e": entry("F32", (0, 5), (12, 12)), "f": entry("F4", (4,), (12, 14))}  # fmt: skip
    (plain / "model.safetensors").write_bytes(header(table, b"\0" * 14))
    assert {n: t.shape for n, t in header_of(plain / "model.safetensors").items()} == {
        "w": (2,), "v": (2, 1), "e": (0, 5), "f": (4,)}  # fmt: skip
    assert check_folder(plain)


DEEP = '{"a":' * 200_000 + "1" + "}" * 200_000
CONFIGS = {
    "NaN": '{"rms_norm_eps": NaN}',
    "deep": DEEP,
    "a list": "[1]",
    "a number": "7",
    "no text": b"\xff",
    "negative layers": '{"num_hidden_layers": -1}',
    "no layers": '{"num_hidden_layers": 0}',
    "too many layers": '{"num_hidden_layers": 1000000000}',
    "layers in words": '{"num_hidden_layers": "two"}',
    "half a layer": '{"num_hidden_layers": 1.5}',
    "true layers": '{"num_hidden_layers": true}',
    "huge vocabulary": '{"vocab_size": 1' + "0" * 300 + "}",
    "larger vocabulary": '{"vocab_size": 3}',
    "experts": '{"num_experts": 100000000}',
    "inside": '{"text_config": {"hidden_size": -4}}',
    "rather deep": '{"a":' * 300 + "1" + "}" * 300,
}


@pytest.mark.parametrize("how", CONFIGS)
def test_a_config_that_lies_is_refused(plain, how):
    text = CONFIGS[how]
    (plain / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError):
        check_folder(plain)


def test_a_limit_of_infinity_is_allowed(plain):
    (plain / "config.json").write_text('{"time_step_limit": [0.0, Infinity]}')
    assert check_folder(plain)


KERNELS = [
    {"attn_implementation": "org/name"},
    {"_attn_implementation": "kernels-community/flash-attn"},
    {"_attn_implementation_internal": "org/name@v1:f"},
    {"text_config": {"attn_implementation": "org/name"}},
    {"attn_implementation": {"text_config": "org/name"}},
    {"kernel_config": {"RMSNorm": "org/name:f"}},
    {"use_kernels": True},
    {"text_config": {"auto_map": {"AutoModel": "evil.Model"}}},
    {"custom_generate": "org/name"},
]


@pytest.mark.parametrize("keys", KERNELS)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_code_from_elsewhere_is_refused(plain, keys, name):
    path = plain / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | keys))
    with pytest.raises(SecurityError, match="wants to run") as caught:
        check_folder(plain)
    assert caught.value.exit_code == 2


def test_an_attention_of_transformers_own_is_none_of_that(plain):
    keys = {"attn_implementation": "sdpa", "_attn_implementation": None, "use_kernels": False}
    (plain / "config.json").write_text(json.dumps(keys))
    assert check_folder(plain)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
        "chat_template.jinja",
        "other",
    ],
)
@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
def test_what_is_no_plain_file_is_never_read(plain, name, kind):
    import socket

    (plain / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(plain / name)
    elif kind == "device":
        os.symlink("/dev/zero", plain / name)
    else:
        here = os.getcwd()
        os.chdir(plain)  # the path of a socket has few letters
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)
        os.chdir(here)
    with ends_within(5), pytest.raises(SecurityError, match="no plain file"):
        check_folder(plain)


def test_links_to_nothing_and_to_themselves_are_errors(plain):
    os.symlink("nowhere", plain / "generation_config.json")
    with pytest.raises(ModelError, match="link to nothing"):
        check_folder(plain)
    (plain / "generation_config.json").unlink()
    os.symlink("generation_config.json", plain / "generation_config.json")
    with pytest.raises(ModelError, match="can't be read"):
        check_folder(plain)


def sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)


def test_absurd_sizes_cost_no_memory(plain):
    for name, size in (("config.json", MOST_JSON_BYTES + 1), ("tokenizer.json", 2**40),
                       ("model.safetensors", 2**40)):  # fmt: skip
        kept = (plain / name).read_bytes()
        sparse(plain / name, size)
        with ends_within(5), pytest.raises(ModelError):
            check_folder(plain)
        (plain / name).write_bytes(kept)
    sparse(plain / "index.json", 2**40)
    with pytest.raises(ModelError, match="far too large"):
        check_files(plain)
    with pytest.raises(ModelError, match="no JSON"):
        read_json(plain / "index.json")


# ---- chat templates


LOOPS = {
    "nested loops": "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}"
    "{% endfor %}x",
    "doubling": "{% set n = namespace(x='a') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}"
    "{% endfor %}{{ n.x }}",
    "multiplied": "{{ 'a' * 10 ** 10 }}",
    "a power": "{{ 7 ** (7 ** 12) }}",
    "a format": "{{ '%09999999999d' % 1 }}",
    "a wide text": "{{ 'a' | center(10 ** 10) }}",
}


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(_render, "RENDER_SECONDS", 2.0)
    monkeypatch.setattr(_render, "_timeouts", {})
    _render._child.cache_clear()
    yield
    _render._child.cache_clear()


@pytest.mark.every(2)
@pytest.mark.parametrize("how", LOOPS)
def test_a_template_that_loops_or_swells_costs_its_row(hurried, how):
    with ends_within(20), pytest.raises(_render.Refused, match="chat template"):
        _render.rendered(LOOPS[how], {}, [("user", "hello")], True)
    assert _render.rendered("{{ messages[0].content }}", {}, [("user", "next")], True) == "next"


@pytest.mark.long
def test_a_template_that_never_ends_costs_the_model_after_a_few_rows(hurried, monkeypatch):
    monkeypatch.setattr(_render, "MAX_TIMEOUTS", 2)
    with pytest.raises(_render.Refused):
        _render.rendered(LOOPS["nested loops"], {}, [("user", "hello")], True)
    with pytest.raises(ModelError, match="does not end"):
        _render.rendered(LOOPS["nested loops"], {}, [("user", "hello")], True)


def test_a_template_sees_no_file_and_no_python():
    for text in ("{{ ''.__class__.__mro__ }}", "{% include 'x' %}", "{{ namespace(_a=1) }}",
                 "{{ dict.__init__ }}", "{{ cycler.__init__.__globals__ }}"):  # fmt: skip
        try:
            assert not _render.rendered(text, {}, [("user", "x")], True).strip("{} <>")
        except _render.Refused:
            continue


def test_its_message_brings_no_escape_code():
    with pytest.raises(_render.Refused) as caught:
        _render.rendered("{{ raise_exception('a\x1b[31mred\x07') }}", {}, [("user", "x")], True)
    assert "\\x1b[31mred\\x07" in str(caught.value)


@pytest.mark.full
def test_rendering_equals_that_of_transformers(folders):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["llama"])
    templates = [
        TEMPLATE,
        "{{ bos_token }}{%- for m in messages %}\n  {%- if loop.first -%}\n a {% endif %}\n"
        "{{ m.content | trim | tojson }}{% break %}{% endfor %}\n",
        "{% set n = namespace(i=0, self=1) %}{% for m in messages[::-1] %}{% set n.i = n.i + 1 %}"
        "{{ n.i }}{% generation %}{{ m['content'].upper() }}{% endgeneration %}{% endfor %}",
        "{% macro say(m) %}{{ m.role }}: {{ m.content | indent(2) }}{% endmacro %}"
        "{% for m in messages %}{{ say(m) }}\n{% endfor %}{{ {'a': 'é<'} | tojson(indent=2) }}"
        "{{ tools is none }}{{ documents is none }}{{ dict(a=1) }}{{ strftime_now is defined }}",
    ]
    for template in templates:
        for header_too in (True, False):
            turns = [("system", " b\n"), ("user", "ü 'x' {{ 1 }}")]
            plain = [{"role": role, "content": said} for role, said in turns]
            true = tokenizer.apply_chat_template(
                plain, chat_template=template, tokenize=False, add_generation_prompt=header_too
            )
            ours = _render.rendered(template, tokenizer.special_tokens_map, turns, header_too)
            assert ours == true


# ---- what transformers itself says and raises


@pytest.mark.full
def test_no_escape_code_of_a_model_reaches_the_terminal(folders, tmp_path, capfd):
    from safetensors.torch import load_file, save_file

    from tuneworthy.models.hf import load

    folder = shutil.copytree(folders["llama"], tmp_path / "m")
    found = load_file(folder / "model.safetensors")
    found["\x1b]0;evil\x07\x1b[2J.weight"] = found["lm_head.weight"].clone()
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    keys = {"\x1b[31m": 1, "rope_parameters": {"rope_type": "\x1b[31mred"}}
    for more in ({}, keys):
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
        with pytest.raises(ModelError) as caught:
            load(folder, "hf:m", "float32")
        assert "\x1b" not in str(caught.value)
    seen = capfd.readouterr()
    assert "\x1b" not in seen.out + seen.err
    assert "\x07" not in seen.out + seen.err


@pytest.mark.full
def test_lines_that_transformers_logs_are_escaped(capfd):
    import transformers

    from tuneworthy.models.local.opening import escape_logs

    transformers.utils.logging.get_logger("transformers.x")
    escape_logs()
    escape_logs()
    for handler in logging.getLogger("transformers").handlers:
        record = logging.LogRecord("x", 30, "", 1, "a %s\nb", ("\x1b[31mred",), None)
        assert handler.format(record).endswith("a \\x1b[31mred\nb")


ODD = {
    "act": {"hidden_act": "\x1b[31mnone"},
    "heads": {"num_attention_heads": 7},
    "kept heads": {"num_key_value_heads": 5},
    "rope": {"rope_parameters": {"rope_type": "no such"}},
    "rope list": {"rope_parameters": [1]},
    "text": {"text_config": "x"},
    "layers": {"layer_types": ["x"]},
    "pad": {"pad_token_id": 10**9},
    "eps": {"rms_norm_eps": "small"},
    "long": {"max_position_embeddings": 10**12},
    "dtype": {"dtype": "float7"},
    "quantised": {"quantization_config": {"quant_method": "no such"}},
    "quantised so": {"quantization_config": 3},
    "type": {"model_type": ["llama"]},
    "no type": {"model_type": None, "architectures": None},
    "inner": {"intermediate_size": [96, 96, 96]},
    "experts": {"num_experts_per_tok": 10},
    "bias": {"attention_bias": True},
    "infinite": {"rms_norm_eps": math.inf},
    "context": {"max_position_embeddings": None},
}


@pytest.mark.full
@pytest.mark.parametrize("how", ODD)
def test_an_odd_config_opens_or_is_a_named_error(folders, tmp_path, how):
    from tuneworthy.models.hf import load
    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.records.model import Limits

    folder = shutil.copytree(folders["llama"], tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | ODD[how]))
    # any other exception would be a BUG
    with ends_within(60), contextlib.suppress(TuneworthyError):
        load(folder, "hf:m", "float32").reply(ask("hello"), Limits(max_tokens=2))


@pytest.mark.full
def test_a_model_whose_logits_say_nothing_is_refused(folders, tmp_path):
    from tuneworthy.models.hf import load
    from tuneworthy.records.errors import NumericError

    folder = shutil.copytree(folders["llama"], tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": math.inf}))
    with pytest.raises(NumericError, match="says nothing"):
        load(folder, "hf:m", "float32")


TOKENIZERS = {
    "cut": b'{"version": "1.0", "mod',
    "deep": b'{"a":' * 100_000,
    "empty": b"{}",
    "a list": b"[]",
    "no bytes": b"",
    "binary": bytes(range(256)),
}


@pytest.mark.full
@pytest.mark.parametrize("how", TOKENIZERS)
def test_a_tokenizer_that_is_none_is_a_model_error(tmp_path, how):
    from tuneworthy.models.hf import load

    folder = build("llama", tmp_path / "m")
    (folder / "tokenizer.json").write_bytes(TOKENIZERS[how])
    with pytest.raises(ModelError):
        load(folder, "hf:m", "float32")


def test_a_tokenizer_whose_parser_panics_is_a_model_error():
    class PanicException(BaseException):
        """As pyo3 raises it: no Exception."""

    def broken(text, **options):
        raise PanicException("index out of bounds")

    with pytest.raises(ModelError, match="fails on a text"):
        _render.token_ids(broken, "a")

    def stopped(text, **options):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _render.token_ids(stopped, "a")
