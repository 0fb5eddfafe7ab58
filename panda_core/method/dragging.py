"""Dragging (ours): how strong a variation must be for a point of the picture to follow the pointer.

method.md, "Dragging".
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..shapes import check_shape

RADIUS = 0.04  # of the patch that is followed, as a share of the picture's side: ten pixels of 256
PATCH = 15  # samples across it
STILL = 0.02  # mean change in [-1, 1] units below which nothing moves at the pointer, whatever the strength


def follow(
    previews: Tensor, strengths: Tensor, start: Tensor, at: tuple[float, float], to: tuple[float, float]
) -> float | None:
    """The strength at which what was at one point is at another.

    argmin_s ‖X_s(q + u) - X_0(p + u)‖², over u in a patch; divided by ‖X_0(q + u) - X_0(p + u)‖², which no s changes,
    it is the same. X is blurred over three pixels. Between the strengths given the error is the parabola through
    the smallest one and its neighbours.

    Args:
        previews: X_s for each strength, [K, 3, h, w] in [-1, 1].
        strengths: s, [K], ascending, in any unit.
        start: X_0, the picture at the drag's beginning, [1, 3, h, w].
        at: p, (x, y) as shares of the picture's width and height. to: q.
    Returns: s, or None where nothing moves around p and q, whatever s is.
    Raises: ValueError if sizes disagree, or there are fewer than three strengths.
    """
    check_shape("previews", previews, K=None, channels=3, h=None, w=None)
    K, _, h, w = previews.shape
    check_shape("start", start, N=1, channels=3, h=h, w=w)
    check_shape("strengths", strengths, K=K)
    if K < 3 or bool((strengths.diff() <= 0).any()):
        raise ValueError(f"{K} strengths were given; at least three are needed, in ascending order.")
    X, X_0 = (F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) for x in (previews, start))
    moved = max(_difference(X, X_0, at, at).max(), _difference(X, X_0, to, to).max())
    if float(moved) < STILL**2:
        return None
    error = _difference(X, X_0, to, at).double()  # [K]
    k = min(max(int(error.argmin()), 1), K - 2)
    return _lowest(strengths[k - 1 : k + 2].double(), error[k - 1 : k + 2])


def _difference(X: Tensor, X_0: Tensor, there: tuple[float, float], here: tuple[float, float]) -> Tensor:
    """mean over u of (X_s(there + u) - X_0(here + u))², [K]."""
    return (_patch(X, there) - _patch(X_0, here)).square().mean(dim=(1, 2, 3))


def _patch(images: Tensor, centre: tuple[float, float]) -> Tensor:
    """The pictures around a point, bilinearly, [K, 3, PATCH, PATCH]; beyond the border as at it."""
    u = torch.linspace(-RADIUS, RADIUS, PATCH, dtype=images.dtype, device=images.device)
    x, y = (2 * (c + u) - 1 for c in centre)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # [PATCH, PATCH, 2]
    grid = grid.expand(len(images), *grid.shape)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _lowest(s: Tensor, e: Tensor) -> float:
    """Where the parabola through three points (s, e) is lowest between the outer two."""
    d1, d2 = (e[1] - e[0]) / (s[1] - s[0]), (e[2] - e[1]) / (s[2] - s[1])
    curvature = (d2 - d1) / (s[2] - s[0])
    if float(curvature) <= 0:
        return float(s[int(e.argmin())])
    lowest = (s[0] + s[1]) / 2 - d1 / (2 * curvature)
    return float(lowest.clamp(s[0], s[2]))
