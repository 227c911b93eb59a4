"""Parallel batches: the same answers, errors and thread count as sequential ones."""

import pytest
from models_kit import PROMPTS

from tuneworthy.records.model import Limits

pytestmark = pytest.mark.full


@pytest.fixture
def two_threads():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_answers_and_scores_are_those_of_one_lane(engines, two_threads):
    import torch

    engine = engines["llama"]
    prompts = [*PROMPTS, *PROMPTS[:2]]
    texts = [["late", "lost", "broken"]] * len(prompts)
    limits = Limits(max_tokens=12)
    side_by_side = engine.reply(prompts, limits), engine.logprobs(prompts, texts)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    alone = engine.reply(prompts, limits), engine.logprobs(prompts, texts)
    for one, other in zip(side_by_side[0], alone[0], strict=True):
        assert (one.text, one.finish, one.tokens_out) == (
            other.text,
            other.finish,
            other.tokens_out,
        )
    for one, other in zip(side_by_side[1], alone[1], strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_two_lanes_run_at_the_same_time_and_an_error_comes_through(two_threads):
    import threading

    import torch

    from tuneworthy.models.local.batch_fit import parallel_batches, run_parallel

    both = threading.Barrier(2, timeout=10)

    def work(part):
        both.wait()
        return part, torch.get_num_threads()

    assert run_parallel(work, [1, 2, 3, 4], 2) == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert parallel_batches("cpu", 4) == 2
    assert parallel_batches("cpu", 3) == 1
    assert parallel_batches("cuda", 100) == 1

    def broken(part):
        raise ValueError(part)

    with pytest.raises(ValueError, match="1"):
        run_parallel(broken, [1, 2], 2)
    assert torch.get_num_threads() == 2
