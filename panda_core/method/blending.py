"""Edits of a picture from outside: the picture itself where an edit changes nothing, the generator's where it does."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..shapes import check_shape

UNSEEN, PLAIN = 4 / 255, 16 / 255  # changes of a channel, of [-1, 1]: 2 of 255 grey levels are none, 8 are whole


def edited_area(before: Tensor, after: Tensor) -> Tensor:
    """m, [N, 1, h, w] in [0, 1]: where two pictures [N, 3, h, w] differ, with a margin over which it fades to 0."""
    change = (after.clamp(-1, 1) - before.clamp(-1, 1)).abs().amax(dim=1, keepdim=True)
    m = ((change - UNSEEN) / (PLAIN - UNSEEN)).clamp(0, 1)
    r = max(1, before.shape[-1] // 64)
    m = F.max_pool2d(m, 2 * r + 1, 1, r)
    return F.avg_pool2d(m, 2 * r + 1, 1, r, count_include_pad=False)


def blend(upload: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The edit of a picture, of which the generator has a reconstruction: X = X_after + (1 - m) (X_own - X_before).

    m is `edited_area`. Where it is 0, X is X_own to the bit; where it is 1, the edit alone; between, the edit and what
    the reconstruction lacks, the less of it the more is edited. Our own.

    Args:
        upload: X_own, [1, 3, h, w] in [-1, 1].
        before: X_before, [1, 3, h, w], the reconstruction; after: X_after, [N, 3, h, w], N edits of it.
    Returns: [N, 3, h, w] in [-1, 1].
    """
    _, _, h, w = before.shape
    check_shape("upload", upload, N=1, channels=3, h=h, w=w)
    check_shape("after", after, N=None, channels=3, h=h, w=w)
    m = edited_area(before, after)
    mixed = after.clamp(-1, 1) + (1 - m) * (upload - before.clamp(-1, 1))
    return torch.where(m > 0, mixed.clamp(-1, 1), upload)
