"""Muon (Jordan et al., 2024): momentum whose update is made orthogonal, for weights that are matrices or kernels.

torch.optim.Muon takes matrices only, and reads its rate out of the tensor, which a captured CUDA graph cannot.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at 0: small singular values grow threefold a step; all end near 1


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """U Vᵀ of a matrix U S Vᵀ, roughly: singular values that are not tiny end between 0.7 and 1.2.

    Newton-Schulz: X <- a X + (b XXᵀ + c (XXᵀ)²) X, on the smaller side; bfloat16 is precise enough.
    """
    X = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    X = X / (X.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(steps):
        A = X @ X.t()
        X = a * X + (b * A + c * A @ A) @ X
    return X if matrix.shape[0] <= matrix.shape[1] else X.t()


class Muon(torch.optim.Optimizer):
    """W <- W - rate · 0.2 √max(out, in) · orthogonalised(momentum), a kernel [out, in, h, w] taken as [out, in h w].

    Demodulated weights are scale-free, so the update's fixed size is all they need; the factor gives it the size of an
    Adam step.

    Args:
        lr: a tensor of no dimensions, to be filled with the rate.
        dtype: in which to orthogonalise.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: Tensor, momentum: float = 0.95, dtype=torch.float32):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:  # of a resolution that is not trained yet
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                mean = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"]).flatten(1)  # Nesterov
                update = orthogonalised(ahead.to(self.dtype)).to(p.dtype).view_as(p)
                p.sub_(update * (group["lr"] * 0.2 * math.sqrt(max(ahead.shape))))
