"""StyleGAN2 (Karras et al., CVPR 2020) in plain PyTorch, cut between its modulated 3 x 3 convolutions.

Layer l is the output of convolution l - 1; layer 0 is the constant. An RGB layer runs after every even convolution, so
the running RGB image is part of the cut: at odd l it already holds this resolution's contribution.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import Dense, Mapping, truncate
from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments

A, B = 1 / 4, 3 / 4  # twice the filter (1, 3, 3, 1) / 8 that all resampling has: its gain is 2 along each axis
TAPS = ((0, A, B), (B, B, A), (A, 0, 0)), ((0, 0, A), (A, B, B), (B, A, 0))  # h in terms of W, for both phases
MAX_IN_PHASES = 64  # channels up to which memory, not multiplying, takes the time of a convolution on a CPU


def upsample_fir(x: Tensor) -> Tensor:
    """Double the size: insert zeros, then filter with outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64, gain 4.

    Written as two output phases per axis, so that the zeros are never multiplied: an even pixel sees A x[i-1] + B x[i],
    an odd one B x[i] + A x[i+1].
    """
    N, C, H, W = x.shape
    x = F.pad(x, (1, 1, 1, 1))
    mid = B * x[:, :, 1:-1]
    x = torch.stack([A * x[:, :, :-2] + mid, mid + A * x[:, :, 2:]], dim=3).view(N, C, 2 * H, W + 2)
    mid = B * x[..., 1:-1]
    return torch.stack([A * x[..., :-2] + mid, mid + A * x[..., 2:]], dim=4).view(N, C, 2 * H, 2 * W)


def blur_fir(x: Tensor) -> Tensor:
    """Filter with the same, gain 4, padding 1: [N, C, 2r+1, 2r+1] -> [N, C, 2r, 2r]."""
    x = F.pad(x, (1, 1, 1, 1))
    x = A * (x[:, :, :-3] + x[:, :, 3:]) + B * (x[:, :, 1:-2] + x[:, :, 2:-1])
    return A * (x[..., :-3] + x[..., 3:]) + B * (x[..., 1:-2] + x[..., 2:-1])


def blurred_phases(weight: Tensor) -> Tensor:
    """Transposed convolution and `blur_fir` as one convolution at the small size, a kernel for each of the four output
    phases: [Co, Ci, 3, 3] -> [4 Co, Ci, 3, 3]; `pixel_shuffle` puts the phases in place.

    Along an axis both together have six taps, h[u] = Σ_k K[k] W[u - 1 + k] for u from -2 to 3, K = (A, B, B, A): an
    even pixel sees its three neighbours with h[2], h[0], h[-2], an odd one with h[3], h[1], h[-1].
    """
    axis = weight.new_tensor(TAPS)  # [phase, neighbour, 3]
    return torch.einsum("pia,qjb,ocab->opqcij", axis, axis, weight).reshape(-1, *weight.shape[1:])


class ModulatedConv(nn.Module):
    """Style -> scaled convolution -> demodulation -> noise, bias, leaky ReLU (StyleGAN2, Sec. 2.2).

    Modulating and demodulating the activations is the same mathematics as doing it to the weights, and needs no grouped
    convolution; where the whole batch has one style, the weights are scaled instead, once for all pictures.
    """

    def __init__(self, n_in: int, n_out: int, size: int, w_dim: int, upsamples: bool, clamp: float | None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.affine = Dense(w_dim, n_in, bias=1.0)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(size, size))
        self.upsamples = upsamples
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s = self.affine(w)  # [N or 1, Ci]
        # the activation's gain √2 goes into all that comes before it, which costs no pass: [N or 1, Co]
        demodulation = (s.square() @ self.weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt() * math.sqrt(2.0)
        noise, bias = self.noise * (self.noise_strength * math.sqrt(2.0)), self.bias * math.sqrt(2.0)
        if len(s) == 1 and s.requires_grad == self.weight.requires_grad:  # to s alone it is shorter past the weights
            x = x.contiguous(memory_format=torch.channels_last)  # else a CPU reorders before and after each convolution
            x = self._convolve(x, self.weight * s[0, None, :, None, None] * demodulation[0, :, None, None, None], bias)
            x = x.add_(noise)
        else:
            x = self._convolve(x * s[:, :, None, None], self.weight)
            x = torch.addcmul(noise + bias[:, None, None], x, demodulation[:, :, None, None])
        x = F.leaky_relu(x, 0.2, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not self.upsamples:
            return F.conv2d(x, weight, bias, padding=1)
        if weight.shape[1] <= MAX_IN_PHASES:
            bias = None if bias is None else bias.repeat_interleave(4)
            return F.pixel_shuffle(F.conv2d(x, blurred_phases(weight), bias, padding=1), 2)
        x = blur_fir(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        return x if bias is None else x.add_(bias[:, None, None])


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to the picture's channels, not demodulated."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, clamp: float | None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.affine = Dense(w_dim, n_in, bias=1.0)
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s = self.affine(w) / math.sqrt(self.weight.shape[1])
        if len(s) == 1:
            rgb = F.conv2d(x, (self.weight * s)[:, :, None, None], self.bias)
        else:
            rgb = F.conv2d(x * s[:, :, None, None], self.weight[:, :, None, None], self.bias)
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


class StyleGAN2(SplitGenerator):
    """StyleGAN2 with skip RGB.

    Args:
        channels: channels at 4, 8, 16, ... pixels; their number sets the resolution.
        conv_clamp: bound on the activations (NVIDIA's 256), or None.
        joint_norm: class embedding and z share one pixel norm (genforce).
        extrapolates: psi above 1 moves away from the mean (NVIDIA); otherwise it counts as 1.
        image_channels: 3, or 1 for grey pictures.
    """

    family = "stylegan2"
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
        conv_clamp: float | None = None,
        joint_norm: bool = False,
        extrapolates: bool = True,
        image_channels: int = 3,
    ):
        super().__init__()
        self.config = constructor_arguments(locals())
        if image_channels not in (1, 3):
            raise ValueError(f"image_channels is {image_channels}; it must be 3 or 1.")
        self.extrapolates, self.image_channels = extrapolates, image_channels
        self.z_dim, self.n_classes = z_dim, n_classes
        self.resolution = check_resolution(4 * 2 ** (len(channels) - 1))
        widths = z_dim, w_dim, mapping_layers, mapping_width
        self.mapping = Mapping(*widths, n_classes, embed_dim or w_dim, joint_norm)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.const = nn.Parameter(torch.randn(channels[0], 4, 4))
        convs = [ModulatedConv(channels[0], channels[0], 4, w_dim, False, conv_clamp)]
        for k in range(1, len(channels)):
            size, (n_in, n_out) = 4 * 2**k, channels[k - 1 : k + 1]
            convs.append(ModulatedConv(n_in, n_out, size, w_dim, True, conv_clamp))
            convs.append(ModulatedConv(n_out, n_out, size, w_dim, False, conv_clamp))
        self.convs = nn.ModuleList(convs)
        self.to_rgb = nn.ModuleList(ToRGB(n, image_channels, w_dim, conv_clamp) for n in channels)

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        shapes = [tuple(self.const.shape)] + [(len(c.bias), *c.noise.shape) for c in self.convs]
        return dict(enumerate(shapes))

    def styles(self, latents: Latents) -> Tensor:
        w = self.mapping(latents.z, latents.classes)
        psi = latents.psi if self.extrapolates else min(latents.psi, 1.0)
        return truncate(w, self.w_avg, len(self.convs) + 1, psi, latents.psi_layers)

    def start(self, latents: Latents) -> Cut:
        return self.from_styles(self.styles(latents))

    def from_styles(self, ws: Tensor) -> Cut:
        features = self.const.expand(len(ws), -1, -1, -1)
        rgb = features.new_zeros(len(ws), self.image_channels, 2, 2)  # doubled to 4 x 4 before the first RGB layer
        return Cut(features, 0, {"ws": ws, "rgb": rgb})

    def step(self, cut: Cut) -> Cut:
        ws, rgb, i = cut.carry["ws"], cut.carry["rgb"], cut.layer
        x = self.convs[i](cut.features, ws[:, i])
        if i % 2 == 0:
            rgb = upsample_fir(rgb) + self.to_rgb[i // 2](x, ws[:, i + 1])
        return replace(cut, features=x, layer=i + 1, carry={"ws": ws, "rgb": rgb})

    def finish(self, cut: Cut) -> Tensor:
        return cut.carry["rgb"].expand(len(cut.features), -1, -1, -1)  # N edits may share one RGB image

    def preview(self, cut: Cut, shrink: int = 2) -> Tensor:
        """The running RGB image of that size: what the convolutions to come only sharpen."""
        last = max(self.layers) - 2 * (shrink.bit_length() - 1)
        return self.finish(self._run(cut, last)) if cut.layer < last else super().preview(cut, shrink)
