"""Dragging (ours): how strong a variation must be for a point of the picture to follow the pointer.

method.md, "Dragging".
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ..shapes import check_shape

RADIUS, SAMPLES = 0.03, 11  # of the patch round a point, as a share of the picture's side, and samples across it
REACH = 5  # pixels that a point may move from one picture to the next
NEAR, AROUND = 0.03, 2  # deviation of the weights of points round the pointer, their spacing, and how many each way
STIFF = 2e-3  # [-1, 1] units squared that one pixel of motion must save: a plain patch stays where it is
STILL = 0.002  # of the picture's side: where nothing moves further, nothing can be pulled
SEEN = 0.01  # root mean change in [-1, 1] units below which what moves at a point is noise
LAZY = 1e-5  # squared shares of the side that one unit of strength must save


class Trajectory(NamedTuple):
    """Where what is under the pointer is at each strength: s, [K] ascending, and its displacement from where it was
    taken, [K, 2], (x, y) as shares of the picture's width and height; began: the strength at which it was taken."""

    strengths: Tensor
    moves: Tensor
    began: float

    @classmethod
    def of(cls, previews: Tensor, strengths: Tensor, start: Tensor, began: float, at: tuple[float, float]) -> Self:
        """Points round the pointer are tracked from X_0 through X_s of greater and of smaller strengths, each from the
        picture before: argmin_d mean_u (X_s(p + d + u) - X_s'(p + u))² + STIFF ‖d‖², X blurred over three pixels.

        What is under the pointer moves as they do on average, each weighted by its nearness and by the square of the
        furthest that it moves: of an edge and the plain beside it the edge counts, and nothing that hardly changes.

        Args:
            previews: X_s for each strength, [K, 3, h, w] in [-1, 1].
            strengths: s, [K], ascending, in any unit.
            start: X_0, the picture where the drag began, [1, 3, h, w]; began: its strength.
            at: the pointer, (x, y) as shares of the picture's width and height.
        Raises: ValueError if sizes disagree, or strengths do not ascend.
        """
        check_shape("previews", previews, K=None, channels=3, h=None, w=None)
        K, _, h, w = previews.shape
        check_shape("start", start, N=1, channels=3, h=h, w=w)
        check_shape("strengths", strengths, K=K)
        if bool((strengths.diff() <= 0).any()):
            raise ValueError("The strengths must be in ascending order.")
        X, X_0 = (F.avg_pool2d(x.float().cpu(), 3, 1, 1, count_include_pad=False) for x in (previews, start))
        a = NEAR * torch.arange(-AROUND, AROUND + 1)
        around = torch.stack(torch.meshgrid(a, a, indexing="xy"), dim=-1).reshape(-1, 2)
        points = torch.tensor(at) + around
        less, more = strengths < began - 1e-6, strengths > began + 1e-6
        tracked = [_track(X[less].flip(0), X_0, points).flip(0), points[None], _track(X[more], X_0, points)]
        moves = torch.cat(tracked) - points  # [K, M, 2]
        weight = moves.square().sum(dim=2).amax(dim=0) * torch.exp(-around.square().sum(dim=1) / (2 * NEAR**2))
        change = torch.stack([_patches(x, points) for x in (X[:1], X[-1:])]) - _patches(X_0, points)
        weight = weight * (change.square().mean(dim=(2, 3, 4)).amax(dim=0) >= SEEN**2)
        moved = torch.einsum("kmc,m->kc", moves, weight / weight.sum().clamp_min(1e-12))
        return cls(torch.cat([strengths[less], strengths.new_tensor([began]), strengths[more]]), moved, began)

    def strength(self, move: tuple[float, float]) -> float | None:
        """The strength at which the displacement is nearest to the pointer's: argmin_s ‖d(s) - move‖² + LAZY (s - s_0)²
        along the polyline d. None where nothing moves, whatever s is."""
        if len(self.moves) < 2 or float(self.moves.norm(dim=1).max()) < STILL:
            return None
        s, d = self.strengths.double(), self.moves.double()
        points = torch.cat([d - d.new_tensor(move), LAZY**0.5 * (s[:, None] - self.began)], dim=1)  # [K, 3]
        first, along = points[:-1], points.diff(dim=0)
        t = (-(first * along).sum(dim=1) / along.square().sum(dim=1)).clamp(0, 1)
        k = int((first + t[:, None] * along).square().sum(dim=1).argmin())
        return float(torch.lerp(s[k], s[k + 1], t[k]))


def _track(images: Tensor, first: Tensor, points: Tensor) -> Tensor:
    """Where points [M, 2] of the first picture are in each image [K, 3, h, w], one after the other, [K, M, 2]."""
    n, M = 2 * REACH + 1, len(points)
    step = torch.arange(-REACH, REACH + 1.0)
    d = torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1).reshape(-1, 2)  # in pixels
    side = points.new_tensor([images.shape[3], images.shape[2]])
    before, found = first, []
    for X in images[:, None]:
        patches = _patches(X, (points[:, None] + d / side).reshape(-1, 2)).unflatten(0, (M, len(d)))
        error = (patches - _patches(before, points)[:, None]).square().mean(dim=(2, 3, 4))
        best = (error + STIFF * d.square().sum(dim=1)).argmin(dim=1)
        row, column, m = best // n, best % n, torch.arange(M)
        error = error.reshape(M, n, n)
        fine = torch.stack([_between(error[m, row], column), _between(error[m, :, column], row)], dim=1)
        points = points + (d[best] + fine) / side
        before = X
        found.append(points)
    return torch.stack(found) if found else points.new_zeros(0, M, 2)


def _between(error: Tensor, k: Tensor) -> Tensor:
    """How far from sample k of each row [M, n] the parabola through it and its neighbours is lowest, [M]; 0 at ends."""
    m, last = torch.arange(len(k)), error.shape[1] - 1
    low, mid, high = (error[m, (k + i).clamp(0, last)] for i in (-1, 0, 1))
    curvature = low + high - 2 * mid
    lowest = ((low - high) / (2 * curvature.clamp_min(1e-12))).clamp(-0.5, 0.5)
    return torch.where((k > 0) & (k < last) & (curvature > 1e-9), lowest, 0.0)


def _patches(image: Tensor, centres: Tensor) -> Tensor:
    """One picture [1, 3, h, w] round each centre [M, 2], bilinearly, [M, 3, SAMPLES, SAMPLES]; beyond the border as at
    it."""
    u = torch.linspace(-RADIUS, RADIUS, SAMPLES)
    x, y = ((2 * (c[:, None] + u) - 1)[:, None] for c in centres.t())  # [M, 1, SAMPLES]
    grid = torch.stack(torch.broadcast_tensors(x, y.transpose(1, 2)), dim=-1).reshape(1, -1, SAMPLES, 2)
    made = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return made.reshape(3, -1, SAMPLES, SAMPLES).transpose(0, 1)
