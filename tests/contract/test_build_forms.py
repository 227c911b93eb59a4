"""Every exported form keeps the contract of `handover/forms/__init__.py`."""

import inspect
import re

import pytest

from tuneworthy.cli.build import FORMS as FORMS_IN_HELP
from tuneworthy.records.artefact import Artefact, Pack, Passages
from tuneworthy.records.model import Limits
from tuneworthy.records.plugins import catalogue, load

FORMS = sorted(catalogue("build"))
LIMITS = Limits(max_tokens=8)
PACKS = {
    "classifier": Pack(role=""),
    "prompt": Pack(limits=LIMITS),
    "adapter": Pack(role="tune", adapter=True, limits=LIMITS),
    "weights": Pack(role="tune", weights=True, limits=LIMITS),
    "layers": Pack(role="tune", adapter=True, every=2, limits=LIMITS),
    "passages": Pack(limits=LIMITS, passages=Passages(k=1, tokens=100, size=200, dense=False)),
}
EXPECTED = {
    "classifier": {"classifier", "card"},
    "prompt": {"prompt", "card"},
    "adapter": {"peft", "merged", "gguf", "prompt", "card"},
    "weights": {"weights", "gguf", "prompt", "card"},
    "layers": {"peft", "merged", "gguf", "prompt", "card"},
    "passages": {"prompt", "index", "card"},
}


def artefact(pack):
    return Artefact(id="0" * 12, name="n", arm="a", tool="tune", made_by="test", pack=pack,
                    task={"output": {"type": "text"}})  # fmt: skip


def test_names_are_their_own():
    names = [load("build", name).FORM for name in FORMS]
    assert len(set(names)) == len(names)
    assert set(names) <= set(re.findall(r"\w+", FORMS_IN_HELP)), "`build --help` lists them all"


@pytest.mark.parametrize("name", FORMS)
def test_a_form_declares_what_build_reads(name):
    form = load("build", name)
    assert form.FORM
    assert isinstance(form.NEEDED, bool)
    assert list(inspect.signature(form.applies).parameters) == ["artefact"]
    for part in ("write", "open_for_parity"):
        if hasattr(form, part):
            assert list(inspect.signature(getattr(form, part)).parameters) == ["parts", "draft"]
    if hasattr(form, "exact"):
        assert hasattr(form, "open_for_parity"), "only what is asked again has log-probabilities"


@pytest.mark.parametrize("kind", sorted(PACKS))
def test_the_forms_of_an_artefact(kind):
    told = artefact(PACKS[kind])
    forms = [load("build", name) for name in FORMS]
    assert {form.FORM for form in forms if not form.applies(told)} == EXPECTED[kind]
    assert all(form.applies(told) == form.applies(told) for form in forms)


def test_a_pack_that_was_written_before_these_fields_keeps_its_identity():
    plain = Pack(role="tune", adapter=True, limits=LIMITS).plain()
    assert not {"weights", "every"} & plain.keys()
    assert Pack(role="tune", weights=True, every=3).plain()["every"] == 3
