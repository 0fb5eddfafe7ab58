"""Where an appearance is: saliency maps, masks, and which appearance is the background."""

import torch
from torch import Tensor

from ..shapes import check_shape


def saliency(features: Tensor, appearance: Tensor) -> Tensor:
    """m = aᵀZ reshaped to the grid (I 4.1.2): [N, C, H, W] and [C] -> [N, H, W], in feature units."""
    check_shape("features", features, N=None, C=None, H=None, W=None)
    check_shape("appearance", appearance, C=features.shape[1])
    return torch.einsum("nchw,c->nhw", features, appearance.to(features))


def find_background(
    features: Tensor, appearances: Tensor, mean: Tensor, frame: tuple[int, int, int, int], among: int = 16
) -> tuple[int, int]:
    """(number, sign) of the appearance whose mask is most nearly the picture's border (derived; docs/method.md).

    Args: as in `border_scores`; the first `among` appearances are candidates, with both signs, since an eigenvector's
        is arbitrary.
    """
    scores = border_scores(features, appearances[:, :among], mean, frame)
    sign, number = divmod(int(scores.argmax()), scores.shape[1])
    return number, 1 - 2 * sign


def border_scores(features: Tensor, appearances: Tensor, mean: Tensor, frame: tuple[int, int, int, int]) -> Tensor:
    """How nearly each appearance's mask is the picture's border, [2, R_C] in [-1, 1]: row 0 as it is, row 1 negated.

    Over all samples: the share of the border that the mask covers less the share of the middle that it covers.

    Args:
        features: Z of about 100 samples, [N, C, H, W].
        appearances: A, [C, R_C]. mean: z̄, [C].
    """
    check_shape("features", features, N=None, C=len(appearances), H=None, W=None)
    top, left, bottom, right = frame
    Z, A = features[:, :, top:bottom, left:right], appearances.to(features)
    maps = torch.einsum("nchw,cr->rnhw", Z, A) - (A.t() @ mean.to(A))[:, None, None, None]  # > 0 is inside the mask
    border, middle = (cells.to(Z.device) for cells in border_and_middle(*maps.shape[2:]))
    masks = torch.stack([maps, -maps]) >= 0
    return masks[..., border].float().mean(dim=(2, 3)) - masks[..., middle].float().mean(dim=(2, 3))


def border_and_middle(H: int, W: int) -> tuple[Tensor, Tensor]:
    """Cells where most pictures have background, and where few have, both [H, W] booleans.

    The border: the outermost cells (a sixteenth of the side, at least one), of the bottom only the corners, where an
    aligned portrait has shoulders.
    """
    rim = max(1, H // 16)
    border = torch.zeros(H, W, dtype=torch.bool)
    border[:rim] = border[: H * 3 // 4, :rim] = border[: H * 3 // 4, -rim:] = True
    middle = torch.zeros_like(border)
    middle[H // 3 : H - H // 4, W // 3 : W - W // 3] = True
    return border, middle
