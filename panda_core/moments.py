"""Sums over samples: all that a fit needs to know of the features; they add up over batches and machines."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .shapes import check_shape
from .solver import Dense, Factored
from .team import Sums, Team

DENSE_LIMIT = 2048  # positions; from here on no S x S matrix is held, nor its eigenvalues waited for
SKETCH_RANK = (
    256  # columns of the sketch that replaces it: 16 MB of float32 at S = 128², doubled while solving in float64
)


@dataclass(frozen=True)
class ChannelMoments:
    """Σz [C] and ΣZZᵀ [C, C] over `fibres` = N·S positions, float64."""

    fibres: int
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The sums of one batch Z, [N, C, H, W]."""
        check_shape("features", features, N=None, C=None, H=None, W=None)
        Z = features.transpose(0, 1).flatten(1).float()  # [C, N·S]
        return cls(Z.shape[1], Z.sum(dim=1).double(), (Z @ Z.t()).double())

    def __add__(self, other: Self) -> Self:
        return type(self)(self.fibres + other.fibres, self.total + other.total, self.products + other.products)

    @property
    def mean(self) -> Tensor:
        """z̄, [C]: the mean fibre."""
        return self.total / self.fibres

    @property
    def second_moment(self) -> Tensor:
        """ΣZZᵀ / NS, [C, C]."""
        return self.products / self.fibres


@dataclass(frozen=True)
class SpatialMoments:
    """W = ΣXᵀX over samples, with X = Z or AᵀZ, [R, S]: exactly below S = 2048, as a sketch from there on.

    matrix: W [S, S], or its sketch Y = WΩ [S, q] with a fixed Gaussian Ω: both are sums, so both add up. energy: tr W,
    exact in either case. Memory: 8·S·256 bytes for S >= 2048 (34 MB at S = 128²), 8·S² below (34 MB at most).
    """

    samples: int
    energy: float
    matrix: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The sums of one batch X, [N, R, H, W]."""
        check_shape("features", features, N=None, R=None, H=None, W=None)
        X = features.float().flatten(2).flatten(0, 1)  # [N·R, S]
        S = X.shape[1]
        matrix = X.t() @ X if S < DENSE_LIMIT else X.t() @ (X @ _probes(S, X.device))
        return cls(len(features), float(X.double().square().sum()), matrix.double())

    def __add__(self, other: Self) -> Self:
        return type(self)(self.samples + other.samples, self.energy + other.energy, self.matrix + other.matrix)

    def affinity(self) -> Dense | Factored:
        """P -> WP for P [..., S, R], float64.

        From the sketch, W is the Nyström approximation BᵀB, B = L⁻¹Yᵀ with LLᵀ = ΩᵀY: never above W, and close to it in
        the leading directions, which are those that parts are made of.
        """
        S = len(self.matrix)
        if S < DENSE_LIMIT:
            return Dense(self.matrix)
        omega = _probes(S, self.matrix.device).double()
        shift = 1e-7 * self.matrix.norm()  # float32 products leave ΩᵀWΩ indefinite by about this much
        Y = self.matrix + shift * omega
        core = omega.t() @ Y
        L = torch.linalg.cholesky((core + core.t()) / 2)
        B = torch.linalg.solve_triangular(L, Y.t(), upper=False)
        values, vectors = torch.linalg.eigh(B @ B.t())  # ascending
        dropped = int((values.clamp_min(0).cumsum(0) <= 1e-4 * self.energy).sum())  # weak directions, 1e-4 in all
        return Factored(vectors[:, dropped:].t() @ B)


def _probes(S: int, device: torch.device) -> Tensor:
    """Ω, [S, q]: the same on every machine, or sketches would not add up."""
    rank = min(S, SKETCH_RANK)
    return torch.randn(S, rank, generator=torch.Generator().manual_seed(S)).to(device) / math.sqrt(rank)


class FeatureStore:
    """Feature maps of samples 0, 1, 2, ..., drawn once and kept in half precision as far as `limit` bytes go.

    draw(first, count) -> Z [count, C, H, W] must give the same features each time; what does not fit is drawn again.
    """

    def __init__(self, draw: Callable[[int, int], Tensor], batch: int, limit: int = 2**30):
        self._draw, self._batch, self._limit = draw, batch, limit
        self._kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.held_bytes = 0
        self.team = Team.here()

    def batches(self, first: int, count: int) -> Iterator[Tensor]:
        """Z of samples first ... first + count - 1, in batches; the same batches each time."""
        for start, n in self._cuts(first, count):
            yield self._features(start, n)

    def each(self, first: int, count: int, of: Callable[[Tensor], Sums]) -> Iterator[Sums]:
        """of(Z) for every one of those batches, in their order; each is drawn by one worker of the team, in turns.

        All workers add up the same numbers in the same order, so that no bit depends on how many they are.
        """
        cuts = self._cuts(first, count)
        for i in range(0, len(cuts), self.team.workers):
            mine = of(self._features(*cuts[min(i + self.team.worker, len(cuts) - 1)]))
            for owner in range(min(self.team.workers, len(cuts) - i)):
                yield self.team.share(mine, owner)

    def _cuts(self, first: int, count: int) -> list[tuple[int, int]]:
        return [(at, min(self._batch, first + count - at)) for at in range(first, first + count, self._batch)]

    def _features(self, start: int, n: int) -> Tensor:
        if (start, n) in self._kept:
            half, scale = self._kept[start, n]
            return half.float() * scale
        features = self._draw(start, n)
        if self.held_bytes + 2 * features.numel() <= self._limit:
            scale = features.abs().amax().clamp_min(1e-30)  # any scale of features fits the range of float16
            self._kept[start, n] = ((features / scale).half(), scale)
            self.held_bytes += 2 * features.numel()
        return features
