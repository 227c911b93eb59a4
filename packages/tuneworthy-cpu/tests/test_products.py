"""Products of unpacked weights: those of fp64 rounded once, for any shape."""

import pytest

pytestmark = pytest.mark.full


def given(rows, size, count, ranks, seed=0):
    import torch

    draw = torch.Generator().manual_seed(seed)

    def some(*sides):
        return torch.randn(*sides, generator=draw).bfloat16()

    return some(rows, size), some(count, size), (some(rows, ranks), some(count, ranks))


def off(found, truth):
    """Return the largest error of a number, in units of bf16's rounding error."""
    return float(((found.double() - truth).abs() / (truth.abs() + 0.1) * 2**8).max())


@pytest.fixture
def product():
    return some_team().product


def some_team():
    from tuneworthy_cpu.gemm.products import own_gemm_available
    from tuneworthy_cpu.gemm.thread_pool import SERIAL

    if not own_gemm_available():
        pytest.skip("this processor has no AVX512 bf16, or a matrix unit")
    return SERIAL


SHAPES = [(2, 16, 4, 16), (3, 48, 8, 0), (5, 576, 960, 48), (130, 1536, 20, 16), (700, 400, 36, 32)]


@pytest.mark.parametrize(("rows", "size", "count", "ranks"), [(1, 64, 8, 16), *SHAPES])
def test_a_product_is_that_of_fp64_rounded_once(product, rows, size, count, ranks):
    import torch

    from tuneworthy_cpu.compiled import call_now

    x, weight, low = given(rows, size, count, ranks)
    more = torch.randn(rows, count).bfloat16()
    plain = x.double() @ weight.double().T
    truth = plain + low[0].double() @ low[1].double().T
    low = low if ranks else None
    assert off(product(x, weight, low), truth) < 1.1
    assert off(product(x, weight, low, more), truth + more.double()) < 1.1
    assert off(product(x, weight, low, more[:1]), truth + more[:1].double()) < 1.1
    inside = more.clone()  # where it lies, as a residual is added
    assert product(x, weight, low, inside, (inside, call_now)) is inside
    assert off(inside, truth + more.double()) < 1.1
    if ranks:  # the control: what is left out is seen
        assert off(product(x, weight), truth) > 10


def test_rows_far_apart_are_read_and_written_where_they_lie(product):
    import torch

    from tuneworthy_cpu.compiled import call_now

    x, weight, _ = given(7, 64, 12, 16)
    wide = torch.zeros(7, 200).bfloat16()
    wide[:, 100:164] = x
    out = torch.full((7, 40), 3.0).bfloat16()
    product(wide[:, 100:164], weight, into=(out[:, 8:20], call_now))
    assert torch.equal(out[:, 8:20], product(x, weight))
    assert (out[:, :8] == 3).all()
    assert (out[:, 20:] == 3).all()


def test_a_weight_that_is_broken_is_seen(product):
    import torch

    x, weight, _ = given(6, 64, 8, 0)
    weight[3, 5] = float("nan")
    found = product(x, weight)
    assert torch.isnan(found[:, 3]).all()
    assert torch.isfinite(found[:, [0, 1, 2, 4, 5, 6, 7]]).all()


def test_what_does_not_fit_is_left_to_torch(monkeypatch):
    import torch
    from numba import config

    from tuneworthy_cpu.gemm import products as _products

    def fits(count, size, kind=torch.bfloat16):
        return _products.gemm_supports(torch.zeros(count, size, dtype=kind))

    monkeypatch.setattr(_products, "own_gemm_available", lambda: True)
    assert fits(8, 48)
    assert not fits(6, 48)
    assert not fits(8, 40)
    assert not fits(8, 48, torch.float32)
    monkeypatch.undo()
    monkeypatch.setattr(config, "CPU_NAME", "generic")  # code is compiled for another machine
    assert not _products.own_gemm_available.__wrapped__()


@pytest.mark.parametrize(
    ("rows", "count", "size"),
    [(1, 7, 32), (8, 64, 96), (13, 33, 64), (150, 576, 192), (11, 5121, 96)],
)
def test_turned_products_are_those_of_fp64_rounded_once(rows, count, size):
    import torch

    from tuneworthy_cpu.compiled import call_now

    team = some_team()
    x, weight, _ = given(rows, size, count, 0)
    x, weight = torch.randn(rows, count).bfloat16(), weight.reshape(count, size)
    add, y, v = (torch.randn(*side).bfloat16() for side in ((rows, size), (rows, 7), (7, size)))
    truth = x.double() @ weight.double()
    assert off(team.untransposed_product(x, weight), truth) < 1.1
    assert off(team.untransposed_product(x, weight, add=add), truth + add.double()) < 1.1
    both = truth + y.double() @ v.double()
    assert off(team.untransposed_product(x, weight, (y, v)), both) < 1.1
    assert off(team.untransposed_product(x, weight, (y, v), add), both + add.double()) < 1.1
    assert off(team.untransposed_product(x, weight, (y[:, :6], v[:6])), both) > 10
    assert team.untransposed_product(x, weight, add=add, into=(add, call_now)) is add
    found = team.untransposed_product(x[:, 1:], weight[1:])  # the control: a row left out is seen
    assert off(found, truth) > 10


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_team_gives_what_one_alone_does(threads):
    import threading

    import torch

    from tuneworthy_cpu.gemm.thread_pool import ThreadPool

    alone, team = some_team(), ThreadPool()
    x, weight, low = given(9, 64, 96, 16)
    slope = torch.randn(9, 96).bfloat16()
    before, running = torch.get_num_threads(), threading.active_count()
    try:
        torch.set_num_threads(threads)
        with team:
            assert threading.active_count() == running + threads - 1
            assert torch.get_num_threads() == 1  # torch's own do not take their cores
            for _ in range(50):
                assert torch.equal(team.product(x, weight, low), alone.product(x, weight, low))
                assert torch.equal(
                    team.untransposed_product(slope, weight),
                    alone.untransposed_product(slope, weight),
                )
        assert torch.get_num_threads() == threads
        assert threading.active_count() == running
        assert torch.equal(team.product(x, weight), alone.product(x, weight))  # by itself again
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_parts_leave_no_thread_with_much_more_than_its_share(threads):
    from tuneworthy_cpu.gemm.thread_pool import _part_blocks

    for count in range(1, 400):
        part = _part_blocks(count, threads)
        assert 1 <= part <= -(-count // (2 * threads))
        turns = -(-count // (part * threads))  # of whoever does most, each with a part a turn
        most = -(-count // (2 * threads))
        assert turns * part <= -(-count // (most * threads)) * most  # never worse than two parts
    assert _part_blocks(18, 2) == 3  # 5, 5, 5 and 3 would leave one thread with 10
    assert _part_blocks(48, 2) == 12


def test_lanes_that_work_alone_do_not_meet():
    from concurrent.futures import ThreadPoolExecutor

    import torch

    alone = some_team()
    sides = [given(rows, 64, 96, 16, seed=rows) for rows in (5, 60)]

    def work(number):
        x, weight, low = sides[number]
        return alone.product(x, weight, low), alone.untransposed_product(
            alone.product(x, weight), weight
        )

    truth = [work(number) for number in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        for found, true in zip(pool.map(work, [0, 1] * 2000), truth * 2000, strict=True):
            assert all(map(torch.equal, found, true))


def test_a_team_goes_home_after_an_error():
    import threading

    from tuneworthy_cpu.gemm.thread_pool import ThreadPool

    some_team()
    running = threading.active_count()
    with pytest.raises(ZeroDivisionError), ThreadPool():
        1 / 0  # noqa: B018
    assert threading.active_count() == running


def test_what_would_be_read_beside_its_memory_is_refused():
    import torch

    team = some_team()

    def zeros(*sides, kind=torch.bfloat16):
        return torch.zeros(*sides, dtype=kind)

    for call, x, weight in (
        (team.product, zeros(2, 32), zeros(8, 64)),  # sides that differ
        (team.product, zeros(2, 40), zeros(8, 40)),  # no whole blocks
        (team.product, zeros(2, 32), zeros(8, 32, kind=torch.float32)),
        (team.untransposed_product, zeros(2, 8), zeros(8, 48)),
        (team.untransposed_product, zeros(2, 9), zeros(8, 64)),
    ):
        with pytest.raises(ValueError, match="no bf16 product"):
            call(x, weight)
    with pytest.raises(ValueError, match="into"):
        team.product(zeros(2, 32), zeros(8, 32), into=(zeros(2, 4), None))
