"""ProgressiveGAN (Karras et al., ICLR 2018) at its full resolution, cut between its blocks.

Layer l is the output of the block of resolution 2^(l-1): after its second convolution and leaky ReLU, before the pixel
norm, with which every convolution here begins.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import pixel_norm
from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments


class NormedConv(nn.Module):
    """Pixel norm -> nearest 2x upsampling, or not -> convolution -> bias, leaky ReLU."""

    def __init__(self, n_in: int, n_out: int, kernel: int, padding: int, upsamples: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.gain = math.sqrt(2.0 / (n_in * kernel**2))
        self.padding, self.upsamples = padding, upsamples

    def forward(self, x: Tensor) -> Tensor:
        x = pixel_norm(x)
        if self.upsamples:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.leaky_relu(F.conv2d(x, self.weight * self.gain, self.bias, padding=self.padding), 0.2)


class PGGAN(SplitGenerator):
    """ProgressiveGAN. It has no style space, hence no truncation, and no classes.

    Args:
        channels: channels at 4, 8, 16, ... pixels; their number sets the resolution.
    """

    family = "pggan"
    tiny_config = {"channels": (12, 12, 10, 8), "z_dim": 10}
    psi_range = None

    def __init__(self, channels: Sequence[int], z_dim: int = 512):
        super().__init__()
        self.config = constructor_arguments(locals())
        self.z_dim = z_dim
        self.resolution = check_resolution(4 * 2 ** (len(channels) - 1))
        convs = [NormedConv(z_dim, channels[0], 4, 3, False), NormedConv(channels[0], channels[0], 3, 1, False)]
        for n_in, n_out in pairwise(channels):
            convs += [NormedConv(n_in, n_out, 3, 1, True), NormedConv(n_out, n_out, 3, 1, False)]
        self.convs = nn.ModuleList(convs)
        self.rgb_weight = nn.Parameter(torch.randn(3, channels[-1]))
        self.rgb_bias = nn.Parameter(torch.zeros(3))

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        return {k + 3: (n, 4 * 2**k, 4 * 2**k) for k, n in enumerate(self.config["channels"])}

    def start(self, latents: Latents) -> Cut:
        return Cut(pixel_norm(latents.z)[:, :, None, None], 2)

    def step(self, cut: Cut) -> Cut:
        k = cut.layer - 2
        return replace(cut, features=self.convs[2 * k + 1](self.convs[2 * k](cut.features)), layer=cut.layer + 1)

    def finish(self, cut: Cut) -> Tensor:
        weight = self.rgb_weight / math.sqrt(self.rgb_weight.shape[1])
        return F.conv2d(pixel_norm(cut.features), weight[:, :, None, None], self.rgb_bias)
