"""Artefacts that need an encoder: the right one, or a refusal that says which is missing."""

import zlib

import numpy as np
import pytest
from tests import studies
from tests.contract.test_packs import DOCS, speaking

from tuneworthy.arms._classified import vector_head
from tuneworthy.handover import artefact_folder, system
from tuneworthy.handover.system import open_artefact
from tuneworthy.models.encoder import encoder
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.artefact import Artefact, Pack, Passages
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits

pytest.importorskip("skops")
ROWS = studies.rows(30)
ASKED = [Query(id=r["id"], messages=(Message(role="user", content=r["input"]),)) for r in ROWS[:6]]
TASK = {"name": "t", "output": {"type": "label", "labels": list(studies.LABELS)}}


def encode(texts, *, keep=False):
    table = np.zeros((len(texts), 32), np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            table[row, zlib.crc32(word.encode()) % 32] += 1
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def sealed(folder, pack, **fingerprint):
    model = "scripted:x" if pack.role else ""
    made = Artefact(id="", name="n", arm="a", tool="classifier", made_by="test", pack=pack,
                    task=TASK, fingerprint=fingerprint, model=model)  # fmt: skip
    artefact_folder.seal_artefact(folder, made)
    return folder


@pytest.fixture
def head(tmp_path, monkeypatch):
    monkeypatch.setattr(_vectors, "encode", encode)
    fitted = vector_head(10.0, 0)
    fitted.fit(encode([r["input"] for r in ROWS]), [r["output"] for r in ROWS])
    (tmp_path / "classifier").mkdir()
    system.save_classifier(fitted, tmp_path / artefact_folder.CLASSIFIER_FILE)
    return fitted, sealed(tmp_path, Pack(role="", vectors=True), encoder=encoder.WEIGHTS)


def test_a_head_on_vectors_answers_from_its_file(head, monkeypatch):
    fitted, folder = head
    monkeypatch.setattr(encoder, "missing", lambda: "")
    told = [answer.labels for answer in open_artefact(folder).answer(ASKED)]
    table = fitted.predict_proba(encode([q.input for q in ASKED]))
    assert [list(labels.values()) for labels in told] == table.tolist()


def test_without_the_encoder_it_is_refused(head, monkeypatch):
    monkeypatch.setattr(encoder, "missing", lambda: "fetch it")
    with pytest.raises(ModelError, match="encoder is not here"):
        open_artefact(head[1])


def test_with_another_encoder_it_is_refused(head, monkeypatch):
    monkeypatch.setattr(encoder, "missing", lambda: "")
    sealed(head[1], Pack(role="", vectors=True), encoder="another")
    with pytest.raises(ModelError, match="another encoder"):
        open_artefact(head[1])


def test_passages_found_with_vectors_need_them(tmp_path, monkeypatch):
    from tuneworthy.arms import _context

    (tmp_path / "index").mkdir()
    (tmp_path / artefact_folder.DOCS_FILE).write_text(
        "".join(doc.model_dump_json(by_alias=True) + "\n" for doc in DOCS)
    )
    passages = Passages(k=1, tokens=100, size=200, dense=True)
    folder = sealed(tmp_path, Pack(limits=Limits(max_tokens=8), passages=passages))
    monkeypatch.setattr(_context, "encoder_here", lambda: (None, "no encoder"))
    base = Scripted("scripted:x", speaking)
    with pytest.raises(ModelError, match="sentence vectors"):
        open_artefact(folder, base=base)
    lexical = passages.model_copy(update={"dense": False})
    sealed(tmp_path, Pack(limits=Limits(max_tokens=8), passages=lexical))
    asked = open_artefact(folder, base=base)
    assert asked.answer(ASKED)[0].passages
    assert "Passage (" in asked.prompts(ASKED)[0][-1].content
