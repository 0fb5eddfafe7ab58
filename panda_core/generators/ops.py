"""Operations that several generator families share."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pixel_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean of x^2 over the channels + 1e-8), for [N, C] or [N, C, H, W]."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class Dense(nn.Module):
    """Fully connected layer with an equalised learning rate: y = x (gain W)^T + lr_multiplier b.

    gain = lr_multiplier / sqrt(in); weight [out, in] and bias [out] are stored as published: unscaled.
    """

    def __init__(self, n_in: int, n_out: int, lr_multiplier: float = 1.0, bias: float = 0.0, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((n_out,), float(bias) / lr_multiplier))
        self.gain = gain * lr_multiplier / math.sqrt(n_in)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias * self.bias_gain, x, self.weight.t(), alpha=self.gain)


class Mapping(nn.Module):
    """z -> w: pixel norm, then dense layers with leaky ReLU; a class is embedded and put behind z.

    Args:
        joint_norm: one pixel norm over z and embedding together (genforce), not one each (NVIDIA).
        gain, weight_gain: factor behind each activation; further factor on the weights, not the bias (StyleGAN1).
    """

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        n_layers: int = 8,
        hidden: int | None = None,
        n_classes: int = 0,
        embed_dim: int = 0,
        joint_norm: bool = False,
        gain: float = math.sqrt(2.0),
        weight_gain: float = 1.0,
    ):
        super().__init__()
        if not 1 <= n_layers <= 64:
            raise ValueError(f"mapping_layers is {n_layers}; it must be from 1 to 64.")
        widths = [z_dim + (embed_dim if n_classes else 0)] + [hidden or w_dim] * (n_layers - 1) + [w_dim]
        self.layers = nn.ModuleList(Dense(a, b, 0.01, gain=weight_gain) for a, b in pairwise(widths))
        self.embed = Dense(n_classes, embed_dim) if n_classes else None
        self.gain, self.joint_norm = gain, joint_norm

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        if self.embed is None:
            x = pixel_norm(z)
        elif self.joint_norm:
            x = pixel_norm(torch.cat([z, self.embed(classes)], dim=1))
        else:
            x = torch.cat([pixel_norm(z), pixel_norm(self.embed(classes))], dim=1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2) * self.gain
        return x


def truncate(w: Tensor, w_avg: Tensor, n_styles: int, psi: float, psi_layers: int | None) -> Tensor:
    """ws [N, n_styles, w_dim]: w repeated, the first `psi_layers` (None: all) pulled towards the mean by psi."""
    ws = w[:, None].expand(-1, n_styles, -1)
    if psi == 1.0:
        return ws.contiguous()
    n = n_styles if psi_layers is None else psi_layers
    return torch.cat([torch.lerp(w_avg, ws[:, :n], psi), ws[:, n:]], dim=1)
