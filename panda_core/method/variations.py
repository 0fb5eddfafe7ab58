"""What varies at a place: principal components of the features in a region, each turned to act in one place (ours).

The papers' edit adds one appearance to a part, the same change everywhere in it. A mouth that opens changes differently
at different positions; the data say how.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ..shapes import check_shape

SUPPORT = 0.1  # a region's cells with less than this belong to it for no edit
BLOCK = 2**25  # numbers of one block of samples in float64: 256 MB
MAX_SWEEPS = 30  # of a rotation, over all planes; about ten do


@dataclass(frozen=True)
class Variations:
    """The leading variations of one region, strongest first.

    units: E_m/‖E_m‖ on the region's cells, [M, C, n]. deviations: ‖E_m‖, [M]: one unit of strength, in feature units.
    centres: the mean over the samples of ⟨X_i, E_m*⟩, [M], E* the dual basis, ⟨E_m*, E_l⟩ = δ_ml. support: [S]
    booleans, n of them true. region: p̂ on those cells, [n].
    """

    units: Tensor
    deviations: Tensor
    centres: Tensor
    support: Tensor
    region: Tensor

    def __len__(self) -> int:
        return len(self.units)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in vars(self).values())

    def direction(self, number: int) -> Tensor:
        """E_m on the whole grid, [C, S], zero outside the region: what one standard deviation adds.

        Raises: ValueError if the region has no such variation.
        """
        if not 0 <= number < len(self):
            raise ValueError(f"variation is {number}; this region has 0 to {len(self) - 1}.")
        E = self.units.new_zeros(self.units.shape[1], len(self.support), dtype=torch.float32)
        E[:, self.support] = self.units[number].float() * self.deviations[number]
        return E

    def scores(self, features: Tensor) -> Tensor:
        """How far each picture is along each variation, in standard deviations from the mean: [N, C, H, W] -> [N, M].

        ⟨X_i, E_m*⟩ less its mean, X = Z ∗ p̂; of the samples that they were learned from it has variance 1.
        """
        check_shape("features", features, N=None, C=self.units.shape[1], H=None, W=None)
        X = _inside(features, self.support.to(features.device), self.region.to(features))
        return _along(X.flatten(1).float(), self.units.to(X.device).flatten(1), self.deviations) - self.centres.to(X)


def learn_variations(batches: Callable[[], Iterable[Tensor]], region: Tensor, count: int = 12) -> Variations:
    """The leading principal components of the features in a region, over samples, rotated among themselves.

    X_i = Z_i ∗ p̂ on the cells with p̂ > 0.1, minus its mean; K_ij = ⟨X_i, X_j⟩/N = Σ_m λ_m v_m v_mᵀ, of which M stay;
    E_m = Σ_i (VR)_im X_i/√N, R as `place_apart` finds it (docs/method.md, "What varies at a place"). Scores stay
    uncorrelated, of variance 1. K is a sum over blocks of cells, in float64. Sign: the sample that is furthest along
    E_m has a positive score. Order: ‖E_m‖, largest first.

    Args:
        batches: gives Z of the samples, [n, C, H, W] each, the same every time; it is called once for every block of
            cells, and once more for E.
        region: p̂, [S] in [0, 1].
        count: M, at most N - 1 are there.
    Raises: ValueError if the region has no cells, or there are not two samples.
    """
    support, cells = _cells(region)
    N = C = 0
    for Z in batches():
        check_shape("features", Z, n=None, C=None, H=None, W=None)
        N, C = N + len(Z), Z.shape[1]
    if N < 2:
        raise ValueError(f"There are {N} samples; variations need at least 2.")
    M = min(count, N - 1)
    per_block = max(1, BLOCK // (N * C))
    blocks = [slice(i, i + per_block) for i in range(0, len(cells), per_block)]
    held: list[tuple[Tensor, Tensor]] = []

    def centred(block: slice) -> tuple[Tensor, Tensor]:
        """X of all samples on these cells, [N, C·b] in float64, less its mean, and that mean."""
        if held:  # a region of one block is gathered once
            return held[0]
        X = torch.cat([_inside(Z, cells[block], region[cells[block]].to(Z)).flatten(1).double() for Z in batches()])
        mean = X.mean(dim=0)
        X -= mean
        if len(blocks) == 1:
            held.append((X, mean))
        return X, mean

    K = sum(_gram(centred(block)[0]) for block in blocks) / N
    V = torch.linalg.eigh(K).eigenvectors[:, -M:]
    found = [(V.t() @ X / N**0.5, mean) for X, mean in map(centred, blocks)]
    E, mean = (torch.cat([part[i].unflatten(-1, (C, -1)) for part in found], dim=-1) for i in (0, 1))
    R = place_apart(E)
    E, V = torch.einsum("lcs,lm->mcs", E, R), V @ R
    order = E.flatten(1).norm(dim=1).argsort(descending=True)
    furthest = V.gather(0, V.abs().argmax(dim=0, keepdim=True))[0, order]
    E = E[order] * torch.where(furthest < 0, -1.0, 1.0).to(E)[:, None, None]
    deviations = E.flatten(1).norm(dim=1).clamp_min(1e-15)
    U = E / deviations[:, None, None]
    centres = _along(mean.flatten()[None], U.flatten(1), deviations)[0]
    return Variations(U.float(), deviations.float(), centres.float(), support, region[cells].to(U.device).float())


def place_apart(E: Tensor) -> Tensor:
    """The rotation R, [M, M], after which directions E R differ most in where they act.

    It maximises Σ_m var_s ‖E_m at cell s‖², the varimax criterion (Kaiser 1958) with a cell's energy for a squared
    loading: principal components of things that vary equally much are any mixture of them, and a mixture acts wherever
    one of them does. Plane by plane, in closed form, until no angle exceeds 1e-6.

    Args: E: directions, [M, C, n].
    """
    G = torch.einsum("acs,bcs->abs", E, E).double().cpu().numpy()  # thousands of small steps: numpy's cost least
    R = np.eye(len(E))
    for _ in range(MAX_SWEEPS):
        turned = False
        for a, b in combinations(range(len(E)), 2):
            d, z = (G[a, a] - G[b, b]) / 2, G[a, b]
            d, z = d - d.mean(), z - z.mean()
            angle = math.atan2(2 * (d @ z), d @ d - z @ z) / 4
            if abs(angle) > 1e-6:
                turned = True
                c, s = math.cos(angle), math.sin(angle)
                for rows in (G, G.swapaxes(0, 1), R.T):
                    rows[a], rows[b] = c * rows[a] + s * rows[b], c * rows[b] - s * rows[a]
        if not turned:
            break
    return torch.from_numpy(R).to(E)


def vary(features: Tensor, direction: Tensor, strength: float | Tensor) -> Tensor:
    """Z' = Z + s E, [N, C, H, W]; E [C, S], s in standard deviations, one number or [N].

    Raises: ValueError if sizes disagree or the strength is not finite.
    """
    check_shape("features", features, N=None, C=None, H=None, W=None)
    _, C, H, W = features.shape
    check_shape("direction", direction, C=C, S=H * W)
    s = torch.as_tensor(strength, dtype=features.dtype, device=features.device)
    if not bool(torch.isfinite(s).all()):
        raise ValueError(f"strength is {strength}; it must be a finite number.")
    return features + s.reshape(-1, 1, 1, 1) * direction.to(features).reshape(1, C, H, W)


def group_parts(means: Tensor, distance: float = 0.4) -> tuple[tuple[int, ...], ...]:
    """Things: the parts that vary together, each part in exactly one, in the order of their first parts.

    Likeness of two parts is the linear CKA of their mean features Y_k, centred: ‖Y_kᵀY_l‖²/(‖Y_kᵀY_k‖ ‖Y_lᵀY_l‖). Parts
    are joined by average linkage, cut where 1 - CKA is `distance` (docs/method.md, "Things").

    Args: means: Y, [N, R_S, C]: p̂_k-weighted mean feature of every sample at every part.
    """
    check_shape("means", means, N=None, R_S=None, C=None)
    Y = (means - means.mean(dim=0)).double().transpose(0, 1)  # [R_S, N, C]
    K = (Y @ Y.mT).flatten(1)  # ‖Y_kᵀY_l‖² = ⟨Y_kY_kᵀ, Y_lY_lᵀ⟩
    G = K @ K.t()
    size = G.diagonal().sqrt().clamp_min(1e-30)
    apart = (1 - G / (size[:, None] * size)).tolist()
    groups = [(k,) for k in range(len(Y))]
    while len(groups) > 1:
        between, i, j = min(
            (sum(apart[k][l] for k in a for l in b) / (len(a) * len(b)), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups[:i])
        )
        if between > distance:
            break
        groups[j] = tuple(sorted(groups[j] + groups.pop(i)))
    return tuple(sorted(groups))


def _cells(region: Tensor) -> tuple[Tensor, Tensor]:
    """The support of a region, [S] booleans, and its cells, [n]."""
    check_shape("region", region, S=None)
    support = region > SUPPORT
    if not bool(support.any()):
        raise ValueError("The region has no cells; choose a part or paint one.")
    return support.cpu(), torch.nonzero(support).flatten()


def _inside(features: Tensor, cells: Tensor, region: Tensor) -> Tensor:
    """X = Z ∗ p̂ on some cells, [n, C, b]; cells: numbers or booleans; region: p̂ there, [b]."""
    return features.flatten(2)[:, :, cells] * region


def _along(X: Tensor, units: Tensor, deviations: Tensor) -> Tensor:
    """⟨X_i, E_m*⟩ of X [N, C·n]: its coordinates along E_m = deviations ∗ units, [M, C·n], least squares; [N, M]."""
    U = units.to(X)
    return torch.linalg.solve(_gram(U), U @ X.t()).t() / deviations.to(X)


def _gram(X: Tensor) -> Tensor:
    return X @ X.t()
