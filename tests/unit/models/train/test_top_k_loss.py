"""Top-k KL with a tail bucket against torch's KL and TRL's; training with it."""

import pytest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.full


@pytest.fixture
def logits():
    draw = torch.Generator().manual_seed(3)
    make = lambda: 3 * torch.randn(40, 400, generator=draw, dtype=torch.float64)  # noqa: E731
    return make(), make()


def by_hand(student, teacher, k, temperature=1.0, tail=True):
    """Return torch's KL over the top k and, with `tail`, the rest as one more outcome."""
    p, q = (torch.softmax(each.double() / temperature, -1) for each in (teacher, student))
    ids = p.topk(k, -1).indices
    p, q = ([each.gather(-1, ids), 1 - each.gather(-1, ids).sum(-1, True)] for each in (p, q))
    p, q = (torch.cat(each if tail else each[:1], -1) for each in (p, q))
    return torch.nn.functional.kl_div(q.log(), p, reduction="none").sum(-1)


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_n12_top_k_kl_equals_torchs_with_an_explicit_tail(logits, k, temperature):
    from tuneworthy.models.train.top_k_loss import top_k_divergence, top_tokens

    student, teacher = logits
    told = top_k_divergence(student, top_tokens(teacher, k, temperature), temperature)
    right = temperature**2 * by_hand(student, teacher, k, temperature)
    assert float((told - right).abs().max()) <= 1e-6 * float(right.max())
    assert float(told.min()) >= 0, "a divergence"
    bare = temperature**2 * by_hand(student, teacher, k, temperature, tail=False)
    assert float((told - bare).abs().max()) > 1e-2, "the control: without its tail"


def test_n12_all_tokens_give_the_whole_kl_and_a_model_is_not_apart_from_itself(logits):
    from tuneworthy.models.train.top_k_loss import top_k_divergence, top_tokens

    student, teacher = (each.float() for each in logits)
    whole = top_k_divergence(student, top_tokens(teacher, 400))
    logs = [torch.log_softmax(each.double(), -1) for each in (student, teacher)]
    right = torch.nn.functional.kl_div(*logs, log_target=True, reduction="none").sum(-1)
    assert float((whole - right).abs().max()) <= 1e-5
    assert float(top_k_divergence(student, top_tokens(student)).abs().max()) == 0
    assert float(top_k_divergence(student, top_tokens(teacher)).min()) > 0.1
    sure = torch.full((2, 400), -1e4)
    sure[:, 7] = 1e4  # all probability on one token: the other buckets are empty
    assert torch.isfinite(top_k_divergence(student[:2], top_tokens(sure))).all()


def test_n12_forward_and_reverse_kl_equal_trls_distillation_loss(logits):
    trainer = pytest.importorskip("trl.trainer.distillation_trainer")
    from tuneworthy.models.train.top_k_loss import reverse_divergence, top_k_divergence, top_tokens

    student, teacher = (each.float()[None] for each in logits)
    head, mask = torch.eye(400), torch.ones(1, 40)

    def theirs(beta, **more):
        return float(
            trainer._chunked_divergence_loss(student, teacher, head, head, mask, beta, **more)[0]
        )

    ours = top_k_divergence(student[0], top_tokens(teacher[0], 400)).mean()
    assert float(ours) == pytest.approx(theirs(0.0), rel=1e-5)
    back = reverse_divergence(student[0], teacher[0]).mean()
    assert float(back) == pytest.approx(theirs(1.0), rel=1e-5)
    assert float(back) != pytest.approx(theirs(0.0), rel=1e-2), "the control: the other direction"
    warm = top_k_divergence(student[0], top_tokens(teacher[0], 400, 2.0), 2.0).mean()
    assert float(warm) == pytest.approx(4 * theirs(0.0, temperature=2.0), rel=1e-5)


def test_n12_the_tail_equals_trls_tail_bucket(logits):
    trainer = pytest.importorskip(
        "trl.experimental.server_distillation.server_distillation_trainer"
    )
    from tuneworthy.models.train.top_k_loss import top_tokens

    tokens = top_tokens(logits[0], 20)
    logs, _ = trainer._add_tail_bucket(tokens.logs[:, :20], torch.ones(40, 20, dtype=torch.bool))
    assert float((logs - tokens.logs).abs().max()) <= 1e-4


def opened(tiny, seed, **changes):
    return tiny.stand(tiny.model("llama", seed, **changes), tiny.tokenizer())


def test_the_teachers_own_prompt_is_read_and_other_rows_keep_their_likelihood(tiny):
    from tuneworthy.models.train.loss import answer_logits, open_plain
    from tuneworthy.models.train.objective import likelihood_loss
    from tuneworthy.models.train.top_k_loss import TopKDivergence, top_k_divergence, top_tokens
    from tuneworthy.models.train.training_data import render
    from tuneworthy.records.case import Message

    student, teacher = opened(tiny, 1), opened(tiny, 2, hidden_size=64)
    examples = tiny.examples(6)
    rows = [render(student.tokenizer, e.messages, e.answer) for e in examples]
    long = (Message(role="system", content="first\n\nsecond, said Ann. " * 3),)
    prompts = {e.id: (*long, *e.messages[1:]) for e in examples[:4]}
    loss = TopKDivergence(teacher, prompts).prepared(examples, rows)
    logits = answer_logits(open_plain(student.module), rows, None)
    told = loss(logits, rows).split([row.trained for row in rows])
    for at, (example, row) in enumerate(zip(examples, rows, strict=True)):
        part = logits.split([r.trained for r in rows])[at]
        if example.id in prompts:
            own = render(teacher.tokenizer, prompts[example.id], example.answer)
            assert own.ids[own.first :] == row.ids[row.first :]
            theirs = answer_logits(open_plain(teacher.module), [own], None)
            right = top_k_divergence(part, top_tokens(theirs))
        else:
            right = likelihood_loss(part, [row])
        assert torch.allclose(told[at], right, atol=1e-5)
    short = TopKDivergence(teacher, {e.id: e.messages for e in examples[:4]})
    other = short.prepared(examples, rows)(logits, rows).split([row.trained for row in rows])
    assert not torch.allclose(other[0], told[0], atol=1e-3), "the control: another prompt"
    assert short.about != TopKDivergence(teacher, prompts).about


def test_a_thought_that_the_prompt_opens_is_closed_once_for_the_teacher(tiny):
    from types import SimpleNamespace

    from tuneworthy.models.train.top_k_loss import TopKDivergence
    from tuneworthy.models.train.training_data import Example, render
    from tuneworthy.records.case import Message

    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}"
    )
    prompt = (Message(role="user", content="Hello Ann"),)
    row = render(tokenizer, prompt, "fine")
    aim = TopKDivergence(SimpleNamespace(tokenizer=tokenizer), {"a": prompt})
    read = aim._teacher_row(Example("a", prompt, "fine"), row)
    assert tokenizer.decode(read.ids).count("</think>") == 1
    assert (read.ids, read.first) == (row.ids, row.first), "what the student reads"


def test_a_model_reads_itself_as_it_is_and_another_as_another(tiny):
    from tuneworthy.models.train.top_k_loss import self_divergence

    model = opened(tiny, 1)
    rows = tiny.rows(model.tokenizer, 8)
    assert self_divergence(model, rows) <= 1e-5


def test_a_teacher_that_lacks_a_token_is_refused(tiny):
    from tuneworthy.models.train.top_k_loss import TopKDivergence
    from tuneworthy.records.errors import ModelError

    student, teacher = opened(tiny, 1), opened(tiny, 2, vocab_size=50)
    examples, rows = tiny.examples(3), tiny.rows(student.tokenizer, 3)
    loss = TopKDivergence(teacher, {e.id: e.messages for e in examples})
    with pytest.raises(ModelError, match="can't read the rows of the student"):
        loss.prepared(examples, rows)


def trained(tiny, folder, objective, epochs=3):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    student = opened(tiny, 1)
    pace = TrainingSchedule(epochs=epochs, batch=4, rate=5e-3)
    data = TrainingData(tiny.examples(12), [], None, objective=objective)
    return fit_lora(student, data, LoraSettings(rank=4, alpha=8, pace=pace), 0, folder)


def test_training_lowers_the_divergence_and_a_weight_of_zero_silences_a_row(tiny, tmp_path):
    from tuneworthy.models.train.objective import WeightedTokens
    from tuneworthy.models.train.top_k_loss import TopKDivergence

    examples, teacher = tiny.examples(12), opened(tiny, 2)
    objective = TopKDivergence(teacher, {e.id: e.messages for e in examples})
    losses = [step["loss"] for step in trained(tiny, tmp_path / "kl", objective).trace["steps"]]
    assert losses[-1] < losses[0]
    silent = WeightedTokens({examples[0].id: 0.0})
    by_row = trained(tiny, tmp_path / "w", silent).trace["loss_by_row"]["epochs"]
    assert by_row[0][0] == 0.0
    assert min(by_row[0][1:]) > 0
    plain = trained(tiny, tmp_path / "n", None)
    same = trained(tiny, tmp_path / "one", WeightedTokens({}))
    assert same.trace["gradient"] == "autograd"
    both = zip(plain.trace["steps"], same.trace["steps"], strict=True)
    assert all(a["loss"] == pytest.approx(b["loss"], rel=1e-4) for a, b in both)


def test_a_checkpoint_of_another_objective_is_not_used(tiny, tmp_path, monkeypatch):
    from tuneworthy.models.train import checkpoint, lora
    from tuneworthy.models.train.objective import WeightedTokens
    from tuneworthy.records.errors import NumericError

    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0.0)

    def stop(*given):
        raise NumericError("killed before the adapter is kept")

    monkeypatch.setattr(lora, "check_learned", stop)
    with pytest.raises(NumericError):
        trained(tiny, tmp_path, WeightedTokens({"r1": 0.5}))
    monkeypatch.undo()
    again = trained(tiny, tmp_path, WeightedTokens({"r1": 0.25}))
    fresh = trained(tiny, tmp_path / "fresh", WeightedTokens({"r1": 0.25}))
    assert [s["loss"] for s in again.trace["steps"]] == [s["loss"] for s in fresh.trace["steps"]]
