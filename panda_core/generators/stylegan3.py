"""StyleGAN3 (Karras et al., NeurIPS 2021), T and R, in plain PyTorch, cut between its layers.

Layer l is the output of entry l - 1, layer 0 the Fourier features; only the styles cross the cut. Every feature map but
the last two reaches `margin` cells beyond the picture on each side: see `frame`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import Dense, Mapping, truncate
from .split import Cut, Latents, SplitGenerator, check_resolution, constructor_arguments


@dataclass(frozen=True)
class Band:
    """What one layer's signal may hold: frequencies in cycles per picture, `rate` cells per picture, `size` in all."""

    cutoff: float
    half_width: float
    rate: int
    size: int


def plan_bands(
    resolution: int,
    n_layers: int,
    n_critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin: int = 10,
) -> list[Band]:
    """The bands of layers 0 to n_layers: cutoff and stopband grow geometrically (StyleGAN3, Sec. 3.2 and App. F)."""
    bands: list[Band] = []
    for i in range(n_layers + 1):
        grown = min(i / (n_layers - n_critical), 1.0)
        cutoff = first_cutoff * (resolution / 2 / first_cutoff) ** grown
        stopband = first_stopband * (resolution / 2 * last_stopband_rel / first_stopband) ** grown
        rate = int(2 ** math.ceil(math.log2(min(2 * stopband, resolution))))
        size = int(resolution if i >= n_layers - 1 else rate + 2 * margin)  # a file's numbers may be 10.0
        bands.append(Band(cutoff, max(stopband, rate / 2) - cutoff, rate, size))
        before = bands[max(i - 1, 0)].rate
        if not 1 <= before <= rate <= 16 * before:
            raise ValueError(f"the sampling rate goes from {before} to {rate} at layer {i}; it cannot fall or jump.")
    return bands


def design_filter(taps: int, band: Band, rate: int, radial: bool) -> Tensor:
    """Low-pass filter for a signal at `rate`, sum 1: [taps], or [taps, taps] if it is the same in all directions.

    A sinc (radial: jinc) under a Kaiser window whose shape follows from the width of the transition (Kaiser, 1974).
    """
    attenuation = 2.285 * (taps - 1) * math.pi * (2 * band.half_width / (rate / 2)) + 7.95
    beta = 0.0
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    window = np.kaiser(taps, beta)
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = np.hypot(*np.meshgrid(x, x))  # never 0: the number of taps is even
        jinc = torch.special.bessel_j1(torch.from_numpy(2 * math.pi * band.cutoff * r)).numpy() / (math.pi * r)
        kernel = jinc * np.outer(window, window)
    else:
        kernel = np.sinc(2 * band.cutoff * x) * window
    return torch.from_numpy((kernel / kernel.sum()).astype(np.float32))


def upsample_axis(x: Tensor, taps: Tensor, factor: int, lo: int, n_out: int, axis: int) -> Tensor:
    """Insert factor - 1 zeros behind every value, pad `lo` in front, filter with gain `factor`; the first n_out values.

    Written as `factor` output phases, each of which sees every factor-th tap, so that the zeros are never multiplied.
    """
    N, C, H, W = x.shape
    phases = taps.view(-1, factor).t().flip(1) * factor  # [factor, taps / factor], as a correlation
    reach = phases.shape[1] - 1
    along, padding = ((-1, 1), (reach, 0)) if axis == 2 else ((1, -1), (0, reach))
    x = F.conv2d(x.reshape(N * C, 1, H, W), phases.view(factor, 1, *along), padding=padding)  # [NC, factor, ...]
    x = x.movedim(1, axis).flatten(axis - 1, axis).unflatten(0, (N, C))
    skip = len(taps) - 1 - lo  # values of the full convolution before the first one that is wanted
    pad = (-skip, n_out + skip - x.shape[axis])
    return F.pad(x, (0, 0, *pad) if axis == 2 else pad)


def downsample(x: Tensor, taps: Tensor, factor: int) -> Tensor:
    """Filter, without padding, and keep every factor-th value. taps: [T], used along both axes, or [T, T]."""
    N, C, H, W = x.shape
    x = x.reshape(N * C, 1, H, W)
    if taps.ndim == 2:
        x = F.conv2d(x, taps.flip(0, 1)[None, None], stride=factor)
    else:
        taps = taps.flip(0)
        x = F.conv2d(x, taps[None, None, :, None], stride=(factor, 1))
        x = F.conv2d(x, taps[None, None, None, :], stride=(1, factor))
    return x.view(N, C, *x.shape[2:])


class FourierFeatures(nn.Module):
    """Sine waves over the picture and its margin, turned and shifted by the first style, and mixed.

    transform: [3, 3], a fixed movement of the picture in its own units, inverted; the identity in published files.
    """

    def __init__(self, channels: int, w_dim: int, band: Band):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = Dense(w_dim, 4)
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.randn(channels, 2) * (band.cutoff / 3))
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.band = band

    def forward(self, w: Tensor) -> Tensor:
        a = self.affine(w)
        c, s, x, y = (a / a[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        one, zero = torch.ones_like(c), torch.zeros_like(c)
        turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
        M = turn @ shift @ self.transform
        phases = self.phases + (self.freqs @ M[:, :2, 2:]).squeeze(2)  # [N, C]
        freqs = self.freqs @ M[:, :2, :2]  # [N, C, 2]
        size, rate, cutoff = self.band.size, self.band.rate, self.band.cutoff
        amplitude = (1 - (freqs.norm(dim=2) - cutoff) / (rate / 2 - cutoff)).clamp(0, 1)  # waves too fast for the grid
        grid = (2 * torch.arange(size, device=w.device) + 1 - size) * (0.5 / rate)
        across = freqs[:, :, None, None, 0] * grid  # [N, C, 1, size]
        down = freqs[:, :, None, None, 1] * grid[:, None]  # [N, C, size, 1]
        waves = torch.sin((across + down + phases[:, :, None, None]) * (2 * math.pi)) * amplitude[:, :, None, None]
        weight = self.weight / math.sqrt(len(self.weight))
        return F.conv2d(waves, weight[:, :, None, None])


class FilteredLayer(nn.Module):
    """Modulated convolution -> bias -> upsample, leaky ReLU, downsample: no frequency that the grid cannot hold.

    The last one, to RGB, has neither filters, nonlinearity nor demodulation.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        w_dim: int,
        kernel: int,
        source: Band,
        target: Band,
        filter_size: int,
        radial: bool,
        is_rgb: bool,
        clamp: float | None,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.affine = Dense(w_dim, n_in, bias=1.0)
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.is_rgb, self.clamp, self.size = is_rgb, clamp, target.size
        if is_rgb:
            return
        rate = 2 * max(source.rate, target.rate)
        self.up, self.down = rate // source.rate, rate // target.rate
        up_taps, down_taps = filter_size * self.up, filter_size * self.down
        self.register_buffer("up_filter", design_filter(up_taps, source, rate, False))
        self.register_buffer("down_filter", design_filter(down_taps, target, rate, radial))
        self.n_up = (target.size - 1) * self.down + down_taps  # values per axis between the two filters
        total = self.n_up - (source.size + kernel - 1) * self.up + up_taps - 1
        self.pad = (total + self.up) // 2

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s, weight = self.affine(w), self.weight  # [N or 1, Ci]
        if self.is_rgb:
            s = s / math.sqrt(weight.shape[1])
            gain = self.magnitude_ema.rsqrt().expand(len(s), len(weight))
        else:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            s = s * s.square().mean(dim=1, keepdim=True).rsqrt()
            gain = (s.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt() * self.magnitude_ema.rsqrt()
        padding = weight.shape[2] - 1
        if len(s) == 1 and s.requires_grad == self.weight.requires_grad:  # to s alone it is shorter past the weights
            x = F.conv2d(x, weight * s[0, None, :, None, None] * gain[0, :, None, None, None], padding=padding)
        else:
            x = F.conv2d(x * s[:, :, None, None], weight, padding=padding) * gain[:, :, None, None]
        x = x + self.bias[:, None, None]
        if not self.is_rgb:
            x = upsample_axis(x, self.up_filter, self.up, self.pad, self.n_up, axis=2)
            x = upsample_axis(x, self.up_filter, self.up, self.pad, self.n_up, axis=3)
            x = F.leaky_relu(x, 0.2) * math.sqrt(2.0)
        if self.clamp is not None:
            x = x.clamp(-self.clamp, self.clamp)
        return x if self.is_rgb else downsample(x, self.down_filter, self.down)


class StyleGAN3(SplitGenerator):
    """StyleGAN3.

    Args:
        resolution: of the picture, a power of two.
        channels: channels of layers 0 (the Fourier features) to the last one before RGB.
        kernel: 3 (T) or 1 (R); is_radial: downsampling filters are the same in all directions (R).
        conv_clamp: bound on the activations, or None.
        n_critical ... filter_size: geometry, as in the paper's Sec. 3.2; all published networks have these values.
        output_scale: what the last layer is multiplied by.
    """

    family = "stylegan3"
    tiny_config = {"resolution": 32, "channels": (12, 12, 12, 12, 10, 8, 8), "z_dim": 10, "w_dim": 14}

    def __init__(
        self,
        resolution: int,
        channels: Sequence[int],
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 2,
        n_classes: int = 0,
        kernel: int = 3,
        is_radial: bool = False,
        conv_clamp: float | None = 256.0,
        n_critical: int = 2,
        first_cutoff: float = 2.0,
        first_stopband: float = 2**2.1,
        last_stopband_rel: float = 2**0.3,
        margin: int = 10,
        filter_size: int = 6,
        output_scale: float = 0.25,
    ):
        super().__init__()
        self.config = constructor_arguments(locals())
        if not (0 <= margin <= 64 and 2 <= filter_size <= 32 and filter_size % 2 == 0):
            raise ValueError(
                f"margin is {margin} and filter_size {filter_size}; up to 64 and even up to 32 are accepted."
            )
        self.z_dim, self.n_classes, self.output_scale = z_dim, n_classes, output_scale
        self.resolution = check_resolution(resolution)
        self.mapping = Mapping(z_dim, w_dim, mapping_layers, n_classes=n_classes, embed_dim=w_dim)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        n_layers = len(channels) - 1
        shape = n_critical, first_cutoff, first_stopband, last_stopband_rel, margin
        self.bands = plan_bands(resolution, n_layers, *shape)
        self.input = FourierFeatures(channels[0], w_dim, self.bands[0])
        entries = []
        for i in range(n_layers + 1):
            before, is_rgb = max(i - 1, 0), i == n_layers
            n_out, taps = (3, 1) if is_rgb else (channels[i], kernel)
            bands, radial = (self.bands[before], self.bands[i]), is_radial and i < n_layers - n_critical
            entry = FilteredLayer(channels[before], n_out, w_dim, taps, *bands, filter_size, radial, is_rgb, conv_clamp)
            entries.append(entry)
        self.entries = nn.ModuleList(entries)

    def band(self, layer: int) -> Band:
        """The band of the feature map at a layer."""
        self.check_layer(layer)
        return self.bands[max(layer - 1, 0)]

    @property
    def layers(self) -> dict[int, tuple[int, int, int]]:
        shapes = [(n, band.size, band.size) for n, band in zip(self.config["channels"], self.bands)]
        return dict(enumerate([shapes[0], *shapes[:-1]]))

    def frame(self, layer: int) -> tuple[int, int, int, int]:
        band = self.band(layer)
        margin = (band.size - min(band.rate, band.size)) // 2
        return margin, margin, band.size - margin, band.size - margin

    def styles(self, latents: Latents) -> Tensor:
        w = self.mapping(latents.z, latents.classes)
        return truncate(w, self.w_avg, len(self.entries) + 1, latents.psi, latents.psi_layers)

    def start(self, latents: Latents) -> Cut:
        return self.from_styles(self.styles(latents))

    def from_styles(self, ws: Tensor) -> Cut:
        return Cut(self.input(ws[:, 0]), 0, {"ws": ws})

    def step(self, cut: Cut) -> Cut:
        x = self.entries[cut.layer](cut.features, cut.carry["ws"][:, cut.layer + 1])
        return replace(cut, features=x, layer=cut.layer + 1)

    def finish(self, cut: Cut) -> Tensor:
        return self.entries[-1](cut.features, cut.carry["ws"][:, -1]) * self.output_scale

    @classmethod
    def tiny(cls, seed: int, **changes) -> Self:
        """Random weights go flat with depth unless every layer knows the size of its input: it is measured here."""
        generator = super().tiny(seed, **changes)
        generator.input.affine.weight.mul_(0.2)
        generator.input.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        cut = generator.start(generator.sample(range(4)))
        for entry in generator.entries:
            entry.magnitude_ema.copy_(cut.features.square().mean())
            if not entry.is_rgb:
                cut = generator.step(cut)
        return generator
