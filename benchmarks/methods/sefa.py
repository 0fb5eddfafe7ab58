"""SeFa (Shen & Zhou, CVPR 2021): argmax ‖A v‖² over unit v, A the affine weights that turn w into styles.

As published: the leading eigenvectors of AᵀA, A stacked over the layers that the edit is applied to; nothing is
sampled. Adapted: 12 directions for each of three ranges of layers.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .base import Aim, Candidate, Candidates, Ground, along_styles, in_quarters, ranges


def directions(affines: list[Tensor]) -> Tensor:
    """Eigenvectors of Σ AᵀA, strongest first, the columns of [w_dim, w_dim]; affines: A of every layer, [C, w_dim]."""
    A = torch.cat(affines).double()
    return torch.linalg.eigh(A.t() @ A).eigenvectors.flip(1).float()


def learn(ground: Ground) -> Candidates:
    A = [conv.affine.weight for conv in ground.generator.convs]
    found = [(first, last, directions(A[first:last])[:, :12]) for first, last in ranges(ground)]

    def candidates(aim: Aim) -> Iterator[Candidate]:
        for first, last, V in found:
            for number, v in enumerate(V.t()):
                words = f"direction {number + 1}, layers {first} to {'the last' if last is None else last - 1}"
                yield Candidate(words, first, along_styles(in_quarters(v, ground.w), first, last))

    return candidates
