"""Sliced Wasserstein distance between two sets of pictures, level by level of a Laplacian pyramid.

As in Progressive Growing of GANs (Karras et al., ICLR 2018), Sec. 5: patches of 7 x 7 pixels, normalised per channel,
projected onto random directions, sorted and compared; times 1000.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def laplacian_pyramid(images: Tensor, smallest: int = 16) -> list[Tensor]:
    """Images [N, 3, h, w] -> band-pass levels from fine to coarse; the last is the small picture itself."""
    levels = []
    while images.shape[-1] > smallest:
        small = F.avg_pool2d(images, 2)
        levels.append(images - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False))
        images = small
    return [*levels, images]


def patch_descriptors(level: Tensor, per_image: int, rng: torch.Generator) -> Tensor:
    """Random 7 x 7 patches of a level, each channel with mean 0 and deviation 1 over the set, [N per_image, 147]."""
    patches = level.unfold(2, 7, 1).unfold(3, 7, 1)  # [N, 3, y, x, 7, 7]
    N, _, height, width = patches.shape[:4]
    n = torch.arange(N).repeat_interleave(per_image)
    y = torch.randint(height, (len(n),), generator=rng)
    x = torch.randint(width, (len(n),), generator=rng)
    chosen = patches[n, :, y, x].flatten(2)  # [n, 3, 49]
    mean, deviation = chosen.mean(dim=(0, 2), keepdim=True), chosen.std(dim=(0, 2), keepdim=True)
    return ((chosen - mean) / deviation).flatten(1)


def sliced_wasserstein(one: Tensor, other: Tensor, directions: int = 512, per_image: int = 64) -> list[float]:
    """Distances x 1000 for every pyramid level, fine to coarse, of two sets of equally many pictures in [-1, 1]."""
    rng = torch.Generator().manual_seed(0)
    distances = []
    for a, b in zip(laplacian_pyramid(one), laplacian_pyramid(other)):
        a, b = patch_descriptors(a, per_image, rng), patch_descriptors(b, per_image, rng)
        V = F.normalize(torch.randn(a.shape[1], directions, generator=rng), dim=0)
        distances.append(1000 * ((a @ V).sort(dim=0).values - (b @ V).sort(dim=0).values).abs().mean().item())
    return distances
