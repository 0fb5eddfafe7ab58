"""BigGAN-deep (Brock et al., ICLR 2019), cut between its residual blocks.

Layer l is the output of entry l - 1 (a block after its addition, or the attention); layer 0 is the projected latent.
The condition (z and the class embedding) and the truncation, which picks the norms' statistics, cross the cut.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments

IMAGENET_NAMES = Path(__file__).with_name("imagenet_classes.txt")


class TruncatedStatistics(nn.Module):
    """Means and variances of a norm, measured at `n_stats` evenly spaced truncations from 0 to 1."""

    def __init__(self, channels: int, n_stats: int):
        super().__init__()
        self.register_buffer("means", torch.randn(n_stats, channels) * 0.2)
        self.register_buffer("variances", torch.rand(n_stats, channels) + 0.5)

    def at(self, psi: float) -> tuple[Tensor, Tensor]:
        """Mean and variance at a truncation, [C] each.

        Between two rows the published networks weigh them the wrong way round, and in double precision 0.58 falls
        below row 29: the weights were made to work with this, so both are kept.
        """
        fraction, row = np.modf(psi / (1.0 / (len(self.means) - 1)))
        low = int(row)
        if not fraction:
            return self.means[low], self.variances[low]
        mean, variance = (s[low] * fraction + s[low + 1] * (1 - fraction) for s in (self.means, self.variances))
        return mean, variance


class ConditionalNorm(TruncatedStatistics):
    """Batch norm with stored statistics; gain 1 + scale(cond) and bias offset(cond)."""

    def __init__(self, channels: int, n_cond: int, n_stats: int, eps: float):
        super().__init__(channels, n_stats)
        self.scale = nn.Parameter(torch.randn(channels, n_cond) * 0.1)
        self.offset = nn.Parameter(torch.randn(channels, n_cond) * 0.1)
        self.eps = eps

    def forward(self, x: Tensor, cond: Tensor, psi: float) -> Tensor:
        mean, variance = self.at(psi)
        gain = (1 + cond @ self.scale.t()) * (variance + self.eps).rsqrt()  # [N or 1, C]
        bias = cond @ self.offset.t()
        return (x - mean[:, None, None]) * gain[:, :, None, None] + bias[:, :, None, None]


class Block(nn.Module):
    """Residual bottleneck: four of norm, ReLU, convolution (1, 3, 3, 1); the skip drops surplus channels."""

    def __init__(self, n_in: int, n_out: int, upsamples: bool, n_cond: int, n_stats: int, eps: float):
        super().__init__()
        middle = n_in // 4
        widths, kernels = (n_in, middle, middle, middle, n_out), (1, 3, 3, 1)
        self.norms = nn.ModuleList(ConditionalNorm(n, n_cond, n_stats, eps) for n in widths[:4])
        self.convs = nn.ModuleList(nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in zip(widths, widths[1:], kernels))
        self.n_out, self.upsamples = n_out, upsamples

    def forward(self, x: Tensor, cond: Tensor, psi: float) -> Tensor:
        skip = x[:, : self.n_out]
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs)):
            x = norm(x, cond, psi).relu()
            if i == 1 and self.upsamples:
                x, skip = (F.interpolate(t, scale_factor=2, mode="nearest") for t in (x, skip))
            x = conv(x)
        return x + skip


class Attention(nn.Module):
    """x + γ o(g softmax(θᵀφ)ᵀ), with φ and g on a grid of half the size."""

    def __init__(self, channels: int):
        super().__init__()
        self.theta = nn.Parameter(torch.randn(channels // 8, channels) / channels**0.5)
        self.phi = nn.Parameter(torch.randn(channels // 8, channels) / channels**0.5)
        self.g = nn.Parameter(torch.randn(channels // 2, channels) / channels**0.5)
        self.o = nn.Parameter(torch.randn(channels, channels // 2) / channels**0.5)
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, cond: Tensor, psi: float) -> Tensor:
        theta = F.conv2d(x, self.theta[:, :, None, None]).flatten(2)  # [N, C/8, S]
        phi = F.max_pool2d(F.conv2d(x, self.phi[:, :, None, None]), 2).flatten(2)  # [N, C/8, S/4]
        g = F.max_pool2d(F.conv2d(x, self.g[:, :, None, None]), 2).flatten(2)  # [N, C/2, S/4]
        attention = torch.softmax(theta.transpose(1, 2) @ phi, dim=2)  # [N, S, S/4]
        return x + self.gamma * (self.o @ (g @ attention.transpose(1, 2))).view_as(x)


class BigGAN(SplitGenerator):
    """BigGAN-deep.

    Args:
        blocks: (upsamples, channels in, channels out) per residual block, in units of `width`.
        attention_at: the attention comes before the block of this number.
        width: channels of the last feature map.
        n_stats: rows of the norms' statistics.
    """

    family = "biggan"
    tiny_config = {
        "blocks": ((False, 4, 4), (True, 4, 4), (False, 4, 2), (True, 2, 2), (True, 2, 1)),
        **{"attention_at": 3, "width": 8, "z_dim": 10, "n_classes": 6, "n_stats": 11},
    }
    psi_range = (0.02, 1.0)  # the first row of statistics above 0, for the published 51

    def __init__(
        self,
        blocks: Sequence[tuple[bool, int, int]],
        attention_at: int = 8,
        width: int = 128,
        z_dim: int = 128,
        n_classes: int = 1000,
        n_stats: int = 51,
        eps: float = 1e-4,
    ):
        super().__init__()
        self.config = constructor_arguments(locals())
        self.z_dim, self.n_classes = z_dim, n_classes
        self.resolution = check_resolution(4 * 2 ** sum(bool(upsamples) for upsamples, _, _ in blocks))
        if n_classes == 1000:
            self.class_names = tuple(IMAGENET_NAMES.read_text("utf-8").splitlines())
        n_cond = 2 * z_dim
        self.embedding = nn.Parameter(torch.randn(z_dim, n_classes) * 0.5)
        self.project = nn.Linear(n_cond, 16 * blocks[0][1] * width)
        entries, self._shapes, size = [], [(blocks[0][1] * width, 4, 4)], 4
        for i, (upsamples, n_in, n_out) in enumerate(blocks):
            if i == attention_at:
                entries.append(Attention(n_in * width))
                self._shapes.append((n_in * width, size, size))
            entries.append(Block(n_in * width, n_out * width, upsamples, n_cond, n_stats, eps))
            size *= 2 if upsamples else 1
            self._shapes.append((n_out * width, size, size))
        self.entries = nn.ModuleList(entries)
        self.norm = TruncatedStatistics(width, n_stats)
        self.norm_weight = nn.Parameter(torch.ones(width))
        self.norm_bias = nn.Parameter(torch.zeros(width))
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)
        self.eps = eps

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        return dict(enumerate(self._shapes))

    def draw_z(self, seed: int, psi: float) -> np.ndarray:
        """z of one seed: a normal cut off at ±2, by the inverse of its distribution function, times psi."""
        low, high = torch.special.ndtr(torch.tensor([-2.0, 2.0], dtype=torch.float64))
        uniform = torch.from_numpy(np.random.RandomState(seed).random_sample(self.z_dim))
        return psi * torch.special.ndtri(low + (high - low) * uniform).numpy()

    def start(self, latents: Latents) -> Cut:
        cond = torch.cat([latents.z, latents.classes @ self.embedding.t()], dim=1)
        channels, height, width = self._shapes[0]
        features = self.project(cond).view(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()
        return Cut(features, 0, {"cond": cond, "psi": torch.tensor([latents.psi], dtype=torch.float64)})

    def step(self, cut: Cut) -> Cut:
        x = self.entries[cut.layer](cut.features, cut.carry["cond"], cut.carry["psi"].item())
        return replace(cut, features=x, layer=cut.layer + 1)

    def finish(self, cut: Cut) -> Tensor:
        mean, variance = self.norm.at(cut.carry["psi"].item())
        gain = self.norm_weight * (variance + self.eps).rsqrt()
        x = (cut.features - mean[:, None, None]) * gain[:, None, None] + self.norm_bias[:, None, None]
        return self.to_rgb(x.relu()).tanh()
