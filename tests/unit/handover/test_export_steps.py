"""`compare --export`: the step of an export that is at fault is named, and no sound one is."""

import pytest

from tuneworthy.cli._frame import run
from tuneworthy.handover.export_trace import _answer_step, trace_export
from tuneworthy.metrics import scorer
from tuneworthy.models.local.rounded_weights import rounding_of
from tuneworthy.records.build_report import FormParity
from tuneworthy.records.case import Case, Message
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import Limits
from tuneworthy.records.task import Data, Output, Success, Task

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from export_kit import Exports

    return Exports(tmp_path_factory.mktemp("exports"))


def traced(made, export, cases=(), source=None):
    task = Task(data=Data(), output=Output(type="text"), success=Success(metric="exact"))
    return trace_export(source or made.adapter, export, made.spec, cases, scorer(task),
                        Limits(max_tokens=6), 0.05)  # fmt: skip


def fault(made, export, **more):
    found = traced(made, export, **more).fault
    return found and (found.name, found.text)


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_a_sound_gguf_file_has_no_fault(made, kind):
    assert fault(made, made.gguf(made.tuned, kind)) is None


def test_merges_of_an_f32_base_are_read_in_the_precision_of_the_files(tmp_path):
    from export_kit import Exports

    from tuneworthy.models.hf import load
    from tuneworthy.models.train.gguf_file import write_gguf
    from tuneworthy.models.train.merge import merge_adapter

    made = Exports(tmp_path, dtype="float32")
    tuned = load(made.base, made.spec, "bfloat16").with_adapter(made.adapter)
    name, text = fault(made, write_gguf(tuned, tmp_path / "rounded.gguf"))
    assert (name, "rounded to BF16 before" in text) == ("precision", True)
    assert fault(made, made.merged_by_peft("float16")) is None, "rounds the base and the sum"
    merge_adapter(made.base, made.adapter, tuned.adapter.changes, tmp_path / "merged")
    trace = traced(made, tmp_path / "merged")
    assert trace.fault is None
    assert "differ by 0.00%" in trace.steps[2].text
    name, text = fault(made, made.gguf(made.rounded_base(rounding_of("NF4"))))
    assert (name, "rounded to NF4 before" in text) == ("precision", True)


def test_a_sound_merged_folder_has_no_fault(made, tmp_path):
    from tuneworthy.models.train.merge import merge_adapter

    merge_adapter(made.base, made.adapter, made.tuned.adapter.changes, tmp_path / "merged")
    trace = traced(made, tmp_path / "merged")
    assert trace.fault is None
    assert [step.name for step in trace.steps] == [
        "base", "merge", "precision", "quantisation", "template", "stop token", "answers"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
@pytest.mark.parametrize(
    ("factor", "words"),
    [(0.0, "not merged"), (2.0, "merged twice"), (0.5, "the scale"), (8**0.5, "the scale")],
)
def test_a_change_that_is_in_the_weights_otherwise_than_once(made, kind, factor, words):
    name, text = fault(made, made.gguf(made.scaled(factor), kind))
    assert name == "merge"
    assert words in text


def test_another_adapter_and_another_base(made):
    from tests.tiny import tiny_llama

    from tuneworthy.models import open_model

    name, text = fault(made, made.gguf(made.model.with_adapter(made.other)))
    assert (name, "another adapter" in text) == ("merge", True)
    folder = tiny_llama(made.folder / "base2", seed=5, dtype="bfloat16", hidden_size=96,
                        tie_word_embeddings=True)  # fmt: skip
    other = open_model(f"hf:{folder}", folder=made.folder).with_adapter(made.adapter)
    assert fault(made, made.gguf(other))[0] == "base"


def test_a_base_that_was_trained_further(made, monkeypatch):
    from tuneworthy.models.train import gguf_file

    def trained(*given, merged=gguf_file.merged_weights):
        return ((name, 1.05 * weight) for name, weight in merged(*given))

    monkeypatch.setattr(gguf_file, "merged_weights", trained)
    name, text = fault(made, made.gguf(made.tuned, name="trained"))
    assert name == "base"
    assert "made from another base" in text


@pytest.mark.parametrize("rounding", ["NF4", "INT8", "Q4_0"])
def test_a_merge_into_a_rounded_base_is_a_fault_of_precision(made, rounding):
    name, text = fault(made, made.gguf(made.rounded_base(rounding_of(rounding))))
    assert name == "precision"
    assert f"rounded to {rounding} before" in text


def test_a_file_whose_name_says_another_number_format(made):
    file = made.gguf(made.tuned, "q8_0")
    name, text = fault(made, file.rename(file.with_name("swapped-f16.gguf")))
    assert name == "quantisation"
    assert "says F16" in text
    assert "Q8_0" in text


def test_a_lost_template_and_a_lost_stop_token(made, monkeypatch):
    import gguf

    with monkeypatch.context() as patch:
        patch.setattr(gguf.GGUFWriter, "add_chat_template", lambda self, text: None)
        file = made.gguf(made.tuned, name="no-template")
    assert fault(made, file)[0] == "template"
    template = made.tuned.tokenizer.chat_template
    with monkeypatch.context() as patch:
        add = gguf.GGUFWriter.add_chat_template
        patch.setattr(gguf.GGUFWriter, "add_chat_template",
                      lambda self, text: add(self, "Now: " + template))  # fmt: skip
        file = made.gguf(made.tuned, name="other-template")
    assert fault(made, file)[0] == "template"
    with monkeypatch.context() as patch:
        add_end = gguf.GGUFWriter.add_eos_token_id
        patch.setattr(gguf.GGUFWriter, "add_eos_token_id", lambda self, token: add_end(self, 3))
        file = made.gguf(made.tuned, name="no-end")
    assert fault(made, file)[0] == "stop token"


def test_tensors_that_hold_other_numbers_are_no_weights_of_the_base(made, monkeypatch):
    from tuneworthy.models.train import gguf_file

    def exported(name, change):
        weights = dict(gguf_file.merged_weights(made.tuned))
        change(weights)
        with monkeypatch.context() as patch:
            patch.setattr(gguf_file, "merged_weights", lambda *given: iter(weights.items()))
            return fault(made, made.gguf(made.tuned, "q8_0", name))

    embeddings, layer = "model.embed_tokens.weight", "model.layers.0.mlp.down_proj.weight"
    name, text = exported("zeros", lambda weights: weights[layer].zero_())
    assert name == "base"
    assert f"1 of {len(dict(made.tuned.module.named_parameters()))} tensors" in text
    assert layer in text
    name, text = exported("head", lambda w: w.update({"lm_head.weight": w[embeddings].flip(0, 1)}))
    assert (name, "lm_head.weight" in text) == ("base", True)
    assert exported("same-head", lambda w: w.update({"lm_head.weight": w[embeddings]})) is None
    name, text = exported("resized", lambda w: w.update({embeddings: w[embeddings][:-1]}))
    assert name == "base"
    assert f"another shape there: it is of another model ({embeddings})" in text


def test_q_and_k_in_the_order_of_transformers_in_a_gguf_file(made, monkeypatch):
    from tuneworthy.models.train import gguf_file

    monkeypatch.setattr(gguf_file, "permuted", lambda weight, heads: weight)
    name, text = fault(made, made.gguf(made.tuned, name="not-permuted"))
    assert name == "base"
    assert "the rows are in another order (model.layers.0.self_attn." in text


def test_an_empty_adapter_is_named_before_anything_is_read(made):
    trace = traced(made, made.gguf(made.model, name="empty"), source=made.empty)
    assert [step.name for step in trace.steps] == ["adapter"]
    assert "changes nothing" in trace.fault.text


def test_rows_are_asked_of_both(made):
    pytest.importorskip("xllamacpp")
    cases = [
        Case(id=f"r{k}", messages=(Message(role="user", content=f"Is {k} here?"),), output="yes")
        for k in range(6)
    ]
    trace = traced(made, made.gguf(made.tuned, name="asked"), cases)
    assert trace.asked == 6
    assert trace.steps[-1].name == "answers"
    assert "answers are the same text in llama.cpp" in trace.steps[-1].text


@pytest.mark.parametrize(
    ("mean", "low", "high", "sound"),
    [(-0.25, -0.85, 0.66, None), (-0.25, -0.4, -0.1, False), (-0.03, -0.04, -0.02, True)],
)
def test_only_a_drop_that_is_shown_is_a_fault_of_the_answers(mean, low, high, sound):
    difference = Interval(mean=mean, low=low, high=high)
    parity = FormParity(form="f", engine="e", asked=4, equal=3, difference=difference)
    assert _answer_step(parity, 0.05).sound is sound
    assert _answer_step(parity.model_copy(update={"failed": ("no reply",)}), 0.05).sound is False


def test_the_command_exits_3_on_a_fault(made, capsys):
    good, bad = made.gguf(made.tuned, name="good"), made.gguf(made.model, name="bad")
    words = ["compare", "--export", f"tuned={made.adapter}"]
    assert run([*words, f"gguf={good}"]) == 0
    assert run([*words, f"gguf={bad}"]) == 3
    assert "faulty step: merge" in capsys.readouterr().out
    assert run([*words, str(bad), "--json"]) == 3
    assert '"sound":false' in capsys.readouterr().out
    assert run(["compare", "--export", str(good), str(bad)]) == 2
