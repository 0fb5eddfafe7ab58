"""Edits of pictures from outside: theirs to the bit where nothing is edited."""

import pytest
import torch

from panda_core.images import to_arrays
from panda_core.method.blending import blend, edited_area


@pytest.mark.parametrize("seed", range(10))
def test_outside_an_edit_the_picture_is_the_uploads_bit_for_bit(seed):
    g = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (1, 3, 64, 64), generator=g, dtype=torch.uint8)
    upload = pixels.float() / 127.5 - 1
    before = upload + 0.2 * torch.randn(upload.shape, generator=g)
    after = before + 0.01 * torch.rand(upload.shape, generator=g)  # what a network changes everywhere: 1 grey level
    after[:, :, 20:40, 20:40] += 0.5 * torch.randn(3, 20, 20, generator=g)
    shown = torch.from_numpy(to_arrays(blend(upload, before, after))).permute(0, 3, 1, 2)
    outside = edited_area(before, after)[0, 0] == 0
    assert 0.5 < float(outside.float().mean()) < 1 - 20 * 20 / 64**2
    assert torch.equal(shown[..., outside], pixels[..., outside])


def test_inside_an_edit_the_picture_is_the_edits_and_nothing_jumps_at_its_border():
    upload = torch.zeros(1, 3, 64, 64)
    before, after = upload + 0.1, upload + 0.1
    after[:, :, 20:40, 20:40] = -0.6
    shown = blend(upload, before, after)
    assert torch.equal(shown[:, :, 21:39, 21:39], after[:, :, 21:39, 21:39])
    row = shown[0, 0, 30, 40:]
    assert float(row.diff().abs().max()) < 0.06  # the error of 0.1 fades over several pixels


def test_no_edit_shows_the_upload():
    upload, before = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    assert torch.equal(blend(upload, before, before), upload)
