"""Attention in a decoding step equals that of fp64, for any heads, prefix and padding."""

import pytest

pytestmark = pytest.mark.full

ROWS, KEPT, FILLED = 3, 2, 37  # tokens there before the new one
HIDDEN = (0, 4, 30)


def given(group, width, past, dtype, seed=0):
    """Return heads, buffers and prefix as in a step; columns after the last token are NaN."""
    import torch

    from tuneworthy.models.local.cpu_engine import whole

    draw, columns = torch.Generator().manual_seed(seed), whole(FILLED + 1)

    def some(*sides):
        return torch.randn(*sides, generator=draw).to(dtype)

    heads = some(ROWS, KEPT * (group + 2), width)
    keys, values = some(ROWS, KEPT, width, columns), some(ROWS, KEPT, columns, width)
    keys[..., FILLED:], values[:, :, FILLED:] = float("nan"), float("nan")
    old = some(KEPT, width, whole(past)), some(KEPT, past, width)
    old[0][..., past:] = 0
    return heads, (keys, values), old


def attended(heads, rooms, old, fault=None):
    """Return the output of `attend`, which also stores the new keys and values in the buffers."""
    import numpy as np
    import torch

    from tuneworthy.models.local.cpu_engine import whole
    from tuneworthy_cpu.compiled import as_array, compiled, wide_of
    from tuneworthy_cpu.read.decode_attention import attend

    rows, (keys, values), past = len(heads), rooms, old[1].shape[1]
    group, width = heads.shape[1] // KEPT - 2, heads.shape[2]
    hidden = np.array(HIDDEN[:rows]) * (fault != "padding")
    columns, wide = whole(past) + keys.shape[3], wide_of(heads.dtype)
    table = torch.empty(group, columns, dtype=wide).numpy()
    rough = table, as_array(heads.new_empty(group, columns)), table[:, :width].copy()
    place = FILLED, hidden, whole(FILLED + 1), past, float(width**-0.5)
    out = heads.new_empty(rows, KEPT * group, width)
    given = (
        as_array(heads),
        (as_array(keys), as_array(values)),
        tuple(map(as_array, old)),
        place,
        rough,
    )
    compiled(lambda *sides: attend(*sides))(*given, as_array(out))
    return out


def truth(heads, rooms, old, past):
    import torch

    heads, (keys, values) = heads.double(), [room.double() for room in rooms]
    group, width = heads.shape[1] // KEPT - 2, heads.shape[2]
    q, k, v = heads.split((KEPT * group, KEPT, KEPT), 1)
    out = torch.empty_like(q)
    for r in range(len(heads)):
        for h in range(KEPT * group):
            g, first = h // group, HIDDEN[r]
            own = keys[r, g, :, first:FILLED], values[r, g, first:FILLED]
            all_keys = torch.cat([old[0].double()[g, :, :past], own[0], k[r, g, :, None]], 1)
            all_values = torch.cat([old[1].double()[g], own[1], v[r, g, None]])
            out[r, h] = torch.softmax(q[r, h] @ all_keys * width**-0.5, 0) @ all_values
    return out


def far(found, true):
    return float((found.double() - true).abs().max() / true.abs().max())


@pytest.mark.parametrize("kind", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    ("group", "width", "past"), [(1, 16, 0), (3, 64, 5), (7, 32, 33), (4, 64, 64), (9, 16, 40)]
)
def test_each_row_sees_the_prefix_and_its_own_tokens(kind, group, width, past):
    import torch

    heads, rooms, old = given(group, width, past, getattr(torch, kind))
    true = truth(heads, rooms, old, past)
    near = {"bfloat16": 8e-3, "float32": 1e-5, "float64": 1e-13}[kind]  # rounded: bf16 has 8 bits
    assert far(attended(heads, rooms, old), true) < near
    new = heads.unflatten(1, (-1, KEPT))[:, -2:]
    assert torch.equal(rooms[0][..., FILLED], new[:, 0])
    assert torch.equal(rooms[1][:, :, FILLED], new[:, 1])
    # The controls: what a row must not see, and what it must.
    assert far(attended(heads, rooms, old, "padding"), true) > 0.05
    if past:
        assert far(attended(heads, rooms, (old[0], 0 * old[1])), true) > 0.05


def test_one_row_sees_what_it_saw_among_others():
    import torch

    heads, rooms, old = given(3, 64, 5, torch.bfloat16)
    alone = attended(heads[:1], [room[:1].clone() for room in rooms], old)
    assert torch.equal(attended(heads, rooms, old)[:1], alone)
