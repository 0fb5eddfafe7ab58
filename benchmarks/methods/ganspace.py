"""GANSpace (Härkönen et al., NeurIPS 2020): principal components of w, applied to a range of layers.

As published: PCA of w. Adapted: 10,000 samples, not 10⁶; the first 12 components; the authors chose the layers by eye,
here three ranges are candidates.
"""

import torch
from torch import Tensor

from .base import Candidates, Ground, directions_as_candidates, in_deviations


def components(w: Tensor) -> Tensor:
    """Principal components of samples of w [N, w_dim], strongest first, the columns of [w_dim, w_dim]."""
    w = (w - w.mean(dim=0)).double()
    return torch.linalg.eigh(w.t() @ w).eigenvectors.flip(1).float()


def learn(ground: Ground) -> Candidates:
    V = components(ground.w)[:, :12]
    return lambda aim: directions_as_candidates(ground, V, "component", in_deviations)
