"""Sums over samples: all that a fit needs to know of the features; they add up over batches and machines."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..shapes import check_shape
from .solver import Dense, Factored

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
