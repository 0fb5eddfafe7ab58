"""ReSeFa (Zhu et al., 2022): directions that change a region most for what they change elsewhere.

As published: the generalised Rayleigh quotient max vᵀJ_inᵀJ_in v / vᵀJ_outᵀJ_out v in closed form, the denominator with
a small multiple of the identity. Adapted: J is averaged over a few pictures; three ranges of layers; the multiple is
1 % of the denominator's mean eigenvalue.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .base import Aim, Candidate, Candidates, Ground, directions_as_candidates


def directions(inside: Tensor, outside: Tensor) -> Tensor:
    """Generalised eigenvectors of (inside, outside + εI), best quotient first, unit columns of [w_dim, w_dim]."""
    n = len(outside)
    size = torch.maximum(outside.trace(), 1e-9 * inside.trace())  # the region may be all of the picture
    L = torch.linalg.cholesky(outside + 0.01 * size / n * torch.eye(n).to(outside))
    half = torch.linalg.solve_triangular(L, inside, upper=False)
    C = torch.linalg.solve_triangular(L, half.t(), upper=False)
    U = torch.linalg.eigh((C + C.t()) / 2).eigenvectors.flip(1)
    V = torch.linalg.solve_triangular(L.t(), U, upper=True)
    return V / V.norm(dim=0)


def learn(ground: Ground) -> Candidates:
    ground.jacobians  # noqa: B018  (drawn here, so that it counts as learning)

    def candidates(aim: Aim) -> Iterator[Candidate]:
        V = directions(ground.gram(aim.region), ground.gram(1 - aim.region))
        yield from directions_as_candidates(ground, V[:, :12].float(), "direction")

    return candidates
