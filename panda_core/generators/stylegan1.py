"""StyleGAN (Karras et al., CVPR 2019), cut between its blocks.

Layer l is the output of the block of resolution 2^(l-1), after its second AdaIN; only the styles cross the cut.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import Dense, Mapping, truncate
from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments


def blur(x: Tensor) -> Tensor:
    """Filter with outer([1, 2, 1], [1, 2, 1]) / 16, zeros outside."""
    x = F.pad(x, (1, 1, 1, 1))
    x = 0.25 * (x[:, :, :-2] + x[:, :, 2:]) + 0.5 * x[:, :, 1:-1]
    return 0.25 * (x[..., :-2] + x[..., 2:]) + 0.5 * x[..., 1:-1]


class StyledConv(nn.Module):
    """Convolution, or none at the constant -> noise, bias, leaky ReLU -> AdaIN: x' = (1 + s) (x - mean) / std + t.

    Upsampling is nearest 2x before the convolution, computed as one transposed convolution, and blurred after it.
    """

    def __init__(self, n_in: int | None, n_out: int, size: int, w_dim: int, upsamples: bool):
        super().__init__()
        self.weight = None if n_in is None else nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.affine = Dense(w_dim, 2 * n_out)
        self.noise_strength = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("noise", torch.randn(size, size))
        self.upsamples = upsamples

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        if self.weight is not None:
            weight = self.weight * math.sqrt(2.0 / self.weight[0].numel())
            x = self._upsample(x, weight) if self.upsamples else F.conv2d(x, weight, padding=1)
        x = F.leaky_relu(x + self.noise * self.noise_strength[:, None, None] + self.bias[:, None, None], 0.2)
        x = x - x.mean(dim=(2, 3), keepdim=True)
        x = x * (x.square().mean(dim=(2, 3), keepdim=True) + 1e-8).rsqrt()
        s, t = self.affine(w)[:, :, None, None].chunk(2, dim=1)  # [N or 1, C, 1, 1] each
        return x * (1 + s) + t

    def _upsample(self, x: Tensor, weight: Tensor) -> Tensor:
        weight = F.pad(weight.flip(2, 3), (1, 1, 1, 1))  # a transposed convolution correlates with the flipped kernel
        weight = weight[..., 1:, 1:] + weight[..., 1:, :-1] + weight[..., :-1, 1:] + weight[..., :-1, :-1]  # 4 x 4
        return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2, padding=1))


class StyleGAN1(SplitGenerator):
    """StyleGAN at its full resolution.

    Args:
        channels: channels at 4, 8, 16, ... pixels; their number sets the resolution.
    """

    family = "stylegan1"
    tiny_config = {"channels": (12, 12, 10, 8), "z_dim": 10, "w_dim": 14, "mapping_layers": 2}

    def __init__(
        self,
        channels: Sequence[int],
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        mapping_width: int | None = None,
        n_classes: int = 0,
        embed_dim: int = 0,
    ):
        super().__init__()
        self.config = constructor_arguments(locals())
        self.z_dim, self.n_classes = z_dim, n_classes
        self.resolution = check_resolution(4 * 2 ** (len(channels) - 1))
        widths = z_dim, w_dim, mapping_layers, mapping_width
        gains = {"gain": 1.0, "weight_gain": math.sqrt(2.0)}
        self.mapping = Mapping(*widths, n_classes, embed_dim or z_dim, joint_norm=True, **gains)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.const = nn.Parameter(torch.randn(channels[0], 4, 4))
        convs = [StyledConv(None, channels[0], 4, w_dim, False)]
        convs.append(StyledConv(channels[0], channels[0], 4, w_dim, False))
        for k in range(1, len(channels)):
            size, (n_in, n_out) = 4 * 2**k, channels[k - 1 : k + 1]
            convs.append(StyledConv(n_in, n_out, size, w_dim, True))
            convs.append(StyledConv(n_out, n_out, size, w_dim, False))
        self.convs = nn.ModuleList(convs)
        self.rgb_weight = nn.Parameter(torch.randn(3, channels[-1]))
        self.rgb_bias = nn.Parameter(torch.zeros(3))

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        return {k + 3: (n, 4 * 2**k, 4 * 2**k) for k, n in enumerate(self.config["channels"])}

    def styles(self, latents: Latents) -> Tensor:
        w = self.mapping(latents.z, latents.classes)
        return truncate(w, self.w_avg, len(self.convs), min(latents.psi, 1.0), latents.psi_layers)

    def start(self, latents: Latents) -> Cut:
        return self.from_styles(self.styles(latents))

    def from_styles(self, ws: Tensor) -> Cut:
        return Cut(self.const.expand(len(ws), -1, -1, -1), 2, {"ws": ws})

    def step(self, cut: Cut) -> Cut:
        x, ws, i = cut.features, cut.carry["ws"], 2 * (cut.layer - 2)
        x = self.convs[i + 1](self.convs[i](x, ws[:, i]), ws[:, i + 1])
        return replace(cut, features=x, layer=cut.layer + 1)

    def finish(self, cut: Cut) -> Tensor:
        weight = self.rgb_weight / math.sqrt(self.rgb_weight.shape[1])
        return F.conv2d(cut.features, weight[:, :, None, None], self.rgb_bias)
