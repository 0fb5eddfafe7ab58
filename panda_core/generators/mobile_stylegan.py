"""MobileStyleGAN (Belousov, 2021): StyleGAN2 distilled into depthwise separable convolutions and Haar wavelets.

A picture of 1024 pixels takes a twentieth of StyleGAN2's multiplications, a second or two of a CPU. Layers are
numbered as in StyleGAN2: layer 1 is the only full convolution, layers 2k and 2k + 1 are those of block k, of 2^(k+2)
pixels. The last block ends at half the picture's size; the image's 12 channels there are its wavelet coefficients.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import Dense, Mapping, truncate
from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments


def inverse_haar(x: Tensor) -> Tensor:
    """One step of the inverse 2-D Haar transform: [N, 4C, h, w] -> [N, C, 2h, 2w].

    The first C channels are the low band; then for every channel its three high ones: vertical, horizontal, diagonal.
    """
    low, high = x.split((x.shape[1] // 4, x.shape[1] - x.shape[1] // 4), dim=1)
    v, h, d = high.unflatten(1, (-1, 3)).unbind(2)
    above, below, left_above, left_below = low + v, low - v, h + d, h - d
    corners = above + left_above, above - left_above, below + left_below, below - left_below
    return F.pixel_shuffle(0.5 * torch.stack(corners, dim=2).flatten(1, 2), 2)


class StyledConv(nn.Module):
    """Style times features -> convolution -> noise, bias, leaky ReLU.

    Depthwise 3 x 3, then pointwise; full: 3 x 3 over all channels. Demodulation does not depend on the style here, and
    is part of the weights.
    """

    def __init__(self, n_in: int, n_out: int, size: int, w_dim: int, full: bool = False):
        super().__init__()
        self.depthwise = None if full else nn.Parameter(torch.randn(n_in, 1, 3, 3) / 3)
        kernel = 3 if full else 1
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel) / (kernel * math.sqrt(n_in)))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.affine = Dense(w_dim, n_in, bias=1.0)
        self.register_buffer("noise", 0.1 * torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        noise = self.noise
        if noise.shape != x.shape[2:]:  # a preview's
            noise = F.adaptive_avg_pool2d(noise[None], x.shape[2:])
        x = x * self.affine(w)[:, :, None, None]
        if self.depthwise is not None:
            x = F.conv2d(x, self.depthwise, padding=1, groups=len(self.depthwise))
        x = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        return F.leaky_relu(x + (noise + self.bias[:, None, None]), 0.2)


class MobileStyleGAN(SplitGenerator):
    """MobileStyleGAN with the wavelet image of its last block.

    Args:
        channels: channels at 4, 8, 16, ... pixels, in all but the first multiples of 4; the picture is twice as wide as
            the last of them.
    """

    family = "mobile_stylegan"
    tiny_config = {"channels": (12, 12, 8), "z_dim": 10, "w_dim": 14, "mapping_layers": 2}

    def __init__(self, channels: Sequence[int], z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 8):
        super().__init__()
        self.config = constructor_arguments(locals())
        if any(n % 4 for n in channels):
            raise ValueError(f"channels are {channels}; each must be a multiple of 4.")
        self.z_dim, self.resolution = z_dim, check_resolution(4 * 2 ** len(channels))
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.const = nn.Parameter(torch.randn(channels[0], 4, 4))
        convs, ups = [StyledConv(channels[0], channels[0], 4, w_dim, full=True)], []
        for k, (n_in, n_out) in enumerate(pairwise(channels), start=1):
            ups.append(Dense(w_dim, n_in, bias=1.0))
            convs.append(StyledConv(n_in // 4, n_out, 4 * 2**k, w_dim))
            convs.append(StyledConv(n_out, n_out, 4 * 2**k, w_dim))
        self.convs, self.ups = nn.ModuleList(convs), nn.ModuleList(ups)
        self.to_image = nn.Parameter(torch.randn(12, channels[-1], 1, 1) / math.sqrt(channels[-1]))
        self.image_bias = nn.Parameter(torch.zeros(12))
        self.image_affine = Dense(w_dim, channels[-1], bias=1.0)

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        shapes = [tuple(self.const.shape)] + [(len(c.bias), *c.noise.shape) for c in self.convs]
        return dict(enumerate(shapes))

    def styles(self, latents: Latents) -> Tensor:
        """One w for each convolution, which the upsampling before it shares, and one for the image."""
        n_styles = len(self.convs) + 1
        return truncate(self.mapping(latents.z), self.w_avg, n_styles, latents.psi, latents.psi_layers)

    def start(self, latents: Latents) -> Cut:
        return self.from_styles(self.styles(latents))

    def from_styles(self, ws: Tensor) -> Cut:
        return Cut(self.const.expand(len(ws), -1, -1, -1), 0, {"ws": ws})

    def step(self, cut: Cut, largest: int = 2**30) -> Cut:
        """largest: width in cells that no feature map exceeds; the mean of 2 x 2 cells is half the low band."""
        x, w, i = cut.features, cut.carry["ws"][:, cut.layer], cut.layer
        if i % 2:
            x = x * self.ups[i // 2](w)[:, :, None, None]
            x = inverse_haar(x) if 2 * x.shape[3] <= largest else 0.5 * x[:, : x.shape[1] // 4]
        return replace(cut, features=self.convs[i](x, w), layer=i + 1)

    def finish(self, cut: Cut) -> Tensor:
        s = self.image_affine(cut.carry["ws"][:, -1])[:, :, None, None]
        return inverse_haar(F.conv2d(cut.features * s, self.to_image, self.image_bias))

    def preview(self, cut: Cut, shrink: int = 2) -> Tensor:
        """The last blocks on smaller maps; 32 dB from the published faces at half their size, 29 at a quarter."""
        if cut.features.shape[3] > (largest := self.resolution // (2 * shrink)):
            return super().preview(cut, shrink)
        while cut.layer < max(self.layers):
            cut = self.step(cut, largest)
        return self.finish(cut)
