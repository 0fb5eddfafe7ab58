"""A StyleGAN2's own parameters, run the fast way, for training.

Activations are channels-last and in bfloat16 (or any dtype), the RGB image is float32; up-sampling and blur are one
transposed 6 x 6 convolution. Nothing here waits for the device, so a whole step can be one CUDA graph.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.generators.split import Cut
from panda_core.generators.stylegan2 import ModulatedConv, StyleGAN2


class FastStyleGAN2:
    """`start` and `advance` as the module's own, at ψ = 1, for a generator without clamp.

    Args:
        generator: whose parameters are used, as they are at every call.
        dtype: of the activations.
    """

    def __init__(self, generator: StyleGAN2, dtype: torch.dtype):
        self.generator, self.dtype = generator, dtype
        k = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.fir = (torch.outer(k, k) * 4).to(generator.const.device)  # gain 4: the zeros between pixels

    def kernels(self, last: int) -> list[Tensor]:
        """The kernels of the convolutions up to layer `last`, for `advance`: made once for a head and its tail."""
        return [self._kernel(conv) for conv in self.generator.convs[:last]]

    def start(self, z: Tensor) -> Cut:
        """Layer 0 of latents z [N, z_dim]."""
        const = self.generator.const.to(self.dtype).expand(len(z), -1, -1, -1)
        features = const.contiguous(memory_format=torch.channels_last)
        rgb = torch.zeros(len(z), 3, 2, 2, device=z.device)
        return Cut(features, 0, {"w": self.generator.mapping(z), "rgb": rgb})

    def advance(self, cut: Cut, layer: int, kernels: list[Tensor]) -> Cut:
        x, w, rgb = cut.features, cut.carry["w"], cut.carry["rgb"]
        for i in range(cut.layer, layer):
            x = self._convolve(self.generator.convs[i], kernels[i], x, w)
            if i % 2 == 0:
                to_rgb = self.generator.to_rgb[i // 2]
                s = to_rgb.affine(w) / math.sqrt(to_rgb.weight.shape[1])
                kernel = to_rgb.weight[:, :, None, None].to(self.dtype)
                seen = F.conv2d(x * s.to(self.dtype)[:, :, None, None], kernel).float()
                rgb = self._doubled(rgb) + seen + to_rgb.bias[None, :, None, None]
        return replace(cut, features=x, layer=layer, carry={"w": w, "rgb": rgb})

    def _kernel(self, conv: ModulatedConv) -> Tensor:
        kernel = conv.weight
        if conv.upsamples:  # [out, in, 3, 3] -> [in, out, 6, 6]: zeros between pixels, kernel and blur in one
            n_out, n_in = kernel.shape[:2]
            single = kernel.transpose(0, 1).reshape(n_in * n_out, 1, 3, 3)
            kernel = F.conv2d(single, self.fir[None, None], padding=3).view(n_in, n_out, 6, 6)  # the blur is symmetric
        return kernel.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def _convolve(self, conv: ModulatedConv, kernel: Tensor, x: Tensor, w: Tensor) -> Tensor:
        """As ModulatedConv.forward; the activation's gain √2 goes into what comes before it, which costs no pass."""
        s = conv.affine(w)
        gain = (s.square() @ conv.weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt() * math.sqrt(2)
        x = x * s.to(self.dtype)[:, :, None, None]
        x = F.conv_transpose2d(x, kernel, stride=2, padding=2) if conv.upsamples else F.conv2d(x, kernel, padding=1)
        shift = ((conv.noise * conv.noise_strength + conv.bias[:, None, None]) * math.sqrt(2)).to(self.dtype)[None]
        shift = shift.contiguous(memory_format=torch.channels_last)
        return F.leaky_relu(torch.addcmul(shift, x, gain.to(self.dtype)[:, :, None, None]), 0.2, inplace=True)

    def _doubled(self, rgb: Tensor) -> Tensor:
        """`upsample_fir` of the running RGB image, as one transposed convolution."""
        return F.conv_transpose2d(rgb, self.fir.expand(3, 1, 4, 4), stride=2, padding=1, groups=3)
