"""Parts of a decoding step: the token of the greatest logit, and transposed keys."""

import pytest

pytestmark = pytest.mark.full


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_greatest_logit_is_that_of_argmax(dtype):
    import torch

    from tuneworthy.models.local.generate import argmax_tokens

    source = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 500, generator=source)
    rows[3] = -rows[3].abs() - 1  # none is positive
    rows[4, 100:] = -torch.inf  # held to a grammar
    rows[5] = rows[5].round()  # many are equal: the first one counts
    rows[6, 7], rows[6, 8] = 0.0, -0.0
    logits = rows.to(getattr(torch, dtype))
    for some in (logits, logits[4:], logits[3:4], logits[:, ::2]):
        assert argmax_tokens(some) == some.argmax(-1).tolist()
    assert len({tuple(argmax_tokens(logits)), tuple(argmax_tokens(-logits))}) == 2


@pytest.mark.parametrize("turned", [False, True])
def test_a_room_grows_keeps_rows_and_forgets(turned):
    import torch

    from tuneworthy.models.local.prefix_attention import LayerCache

    room, source = LayerCache(2, turned), torch.Generator().manual_seed(0)
    keys, values = (torch.randn(3, 2, 7, 4, generator=source) for _ in range(2))

    def plain():
        return room.keys.transpose(2, 3) if turned else room.keys

    for start, stop in ((0, 2), (2, 3), (3, 7)):  # the second and third have no room left
        found = room.update(keys[:, :, start:stop], values[:, :, start:stop])
        assert torch.equal(found[1][:, :, :stop], values[:, :, :stop])
        assert not found[1][:, :, stop:].any()  # where a run of keys is not full yet
        assert torch.equal(plain(), keys[:, :, :stop])
        assert torch.equal(room.values, values[:, :, :stop])
    before = room.memory[1].data_ptr()
    room.keep([2, 0])
    assert torch.equal(plain(), keys[[2, 0]])
    assert room.memory[1].data_ptr() != before
    room.rewind(3)
    assert torch.equal(room.values, values[[2, 0], :, :3])
    room.update(keys[:2, :, 6:], values[:2, :, 6:])
    assert torch.equal(plain()[:, :, 3], keys[:2, :, 6])
    while room.filled < room.memory[1].shape[2]:
        room.append()
    full = room.memory[1].shape[2]
    assert room.append() is room.memory  # taken anew: what was there is there still
    assert room.filled == full + 1 <= room.memory[1].shape[2]
    assert torch.equal(plain()[:, :, 3], keys[:2, :, 6])
    assert torch.equal(room.values[:, :, :3], values[[2, 0], :, :3])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kept", [[0, 1], [0, 3], [4, 1, 2], [3, 4], [0, 0, 1], [1, 0]])
def test_rows_that_stay_in_their_place_are_not_copied(turned, kept):
    import torch

    from tuneworthy.models.local.prefix_attention import LayerCache

    room, source = LayerCache(5, turned), torch.Generator().manual_seed(0)
    keys, values = (torch.randn(5, 2, 3, 4, generator=source) for _ in range(2))
    room.update(keys, values)
    before = room.memory[1].data_ptr()
    room.keep(kept)
    assert torch.equal(room.keys.transpose(2, 3) if turned else room.keys, keys[kept])
    assert torch.equal(room.values, values[kept])
    taken_anew = kept in ([0, 0, 1], [1, 0])  # a row is read after its place was taken
    assert (room.memory[1].data_ptr() == before) != taken_anew
    room.update(keys[: len(kept), :, :1], values[: len(kept), :, :1])
    assert torch.equal(room.values[:, :, 3:], values[: len(kept), :, :1])
