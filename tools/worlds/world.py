"""What a drawn world is: named factors, parts with exact masks, and the latent direction of every factor.

A picture is a vector u in [0, 1]^D, one number per factor, and a smooth function of it, so that a network can learn to
draw it. A world is data and one function that paints; everything made from worlds (the trainer, the bundled assets, the
benchmarks with exact truth) asks a `World` and never for its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .drawing import Canvas


class Factor(NamedTuple):
    """One number that a picture is made of: its values for u = 0 and u = 1, the part that it changes, and the two ends
    in words."""

    name: str
    low: float
    high: float
    part: str
    less: str
    more: str


class Drawn(NamedTuple):
    images: Tensor  # [B, 3, size, size] in [-1, 1]
    masks: Tensor  # [B, parts, size, size] in [0, 1], sum 1 at every pixel


CAMERA = (
    Factor("turn", -0.35, 0.35, "camera", "turned left", "turned right"),  # radians
    Factor("zoom", -0.3, 0.3, "camera", "farther", "nearer"),  # logarithm of the scale
    Factor("pan_x", -0.2, 0.2, "camera", "moved left", "moved right"),
    Factor("pan_y", -0.2, 0.2, "camera", "moved up", "moved down"),
)


@dataclass(frozen=True)
class World:
    """One world.

    Attributes:
        name: a word.
        parts: names of what the masks show, in their order.
        content: the factors that pictures are made of.
        paint: draws onto a canvas.
        presence, fade, shadow: see `Canvas`.
        key: number of the world's latent directions.
        heavy: part -> how much more its pixels count in training than others do.
        swapped: part -> how often training swaps it between two pictures; a part that is not named never is.
        rare: a thing drawn more often for training than it comes, or None.
        piece_of: part -> the part that gives both together its name: a roof and walls are a house.
        examples: pictures to begin with, (seed, names of changes) each; the first is what the page opens on.
        rewritten: changes that one appearance replaced by another may make, (seed, name) each: examples where it does.
        camera: factors by which a picture is turned, zoomed and moved; none in an aligned world.
    """

    name: str
    parts: tuple[str, ...]
    content: tuple[Factor, ...]
    paint: Callable[[Canvas], None]
    presence: Mapping[str, float]
    fade: float
    shadow: tuple[float, float, float]
    key: int
    heavy: Mapping[str, float]
    swapped: Mapping[str, float]
    rare: str | None = None
    piece_of: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[tuple[int, tuple[str, ...]], ...] = ()
    rewritten: tuple[tuple[int, str], ...] = ()
    camera: tuple[Factor, ...] = ()

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All factors, in the order of u."""
        return self.content + self.camera

    @property
    def factor_names(self) -> tuple[str, ...]:
        return tuple(factor.name for factor in self.factors)

    @property
    def ends(self) -> dict[str, tuple[str, str]]:
        """Factor name -> what is seen at its low and at its high end, in words."""
        return {factor.name: (factor.less, factor.more) for factor in self.factors}

    def unaligned(self) -> "World":
        """Its twin in which nothing has a usual place: each latent also turns, zooms and moves the picture.

        A latent shows the same there as here, but for the camera.
        """
        return replace(self, name=f"{self.name}-unaligned", camera=CAMERA)

    def render(self, u: Tensor, size: int, supersample: int = 2) -> Drawn:
        """Draw pictures.

        Args:
            u: the factors, [B, len(factors)] in [0, 1], in their order.
            size: pixels of the square picture; it is drawn `supersample` times as large and averaged down.
        Returns: Drawn, on the device of u.
        """
        n = size * supersample
        axis = (torch.arange(n, device=u.device, dtype=u.dtype) + 0.5) / n * 2 - 1
        raw = dict(zip(self.factor_names, u.unbind(dim=1)))
        f = {k.name: (k.low + (k.high - k.low) * raw[k.name])[:, None, None] for k in self.factors}
        X, Y, scale = axis[None, None, :], axis[None, :, None], 1.0
        if self.camera:
            X, Y, scale = through_camera(X, Y, f)
        canvas = Canvas(X, Y, raw, f, 0.7 * scale / n, self.parts, self.presence, self.fade, self.shadow)
        self.paint(canvas)
        image, masks = canvas.composite()
        return Drawn(F.avg_pool2d(image, supersample) * 2 - 1, F.avg_pool2d(masks, supersample))

    def directions(self, z_dim: int) -> np.ndarray:
        """M, [D, z_dim]: the latent direction of every factor, orthonormal rows; the same on every machine."""
        return self.directions_like(torch.empty(0, z_dim, dtype=torch.float64)).numpy()

    def directions_like(self, z: Tensor) -> Tensor:
        """The same for latents z [B, z_dim], on their device and in their dtype."""
        return _directions(self.key, z.shape[1], (len(self.content), len(self.camera)), z.device, z.dtype)

    def factors_of_latents(self, z: Tensor) -> Tensor:
        """u = Φ(M · z / rms(z)), [B, D] in [0, 1], of latents z [B, z_dim].

        A StyleGAN normalises its latent, so u must come from the normalised one: else two targets share one input.
        """
        return torch.special.ndtr(
            z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt() @ self.directions_like(z).t()
        )

    def of_seeds(self, seeds: Sequence[int], z_dim: int, size: int, supersample: int = 2) -> Drawn:
        """The true pictures that a generator trained on this world should draw for these seeds."""
        z = np.stack([np.random.RandomState(seed).randn(z_dim) for seed in seeds]).astype(np.float32)
        return self.render(self.factors_of_latents(torch.from_numpy(z)), size, supersample)


@cache
def _directions(key: int, z_dim: int, counts: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """The Q of a fixed matrix, in float64, its signs fixed. A camera's columns leave the others as they are."""
    rng = np.random.RandomState(key)
    q, r = np.linalg.qr(np.concatenate([rng.randn(z_dim, count) for count in counts], axis=1))
    with torch.inference_mode(False):
        return torch.from_numpy((q * np.sign(np.diag(r))).T).to(device, dtype)


def through_camera(X: Tensor, Y: Tensor, f: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Where in the world each pixel looks, [B, n, n] twice, and how large a pixel is there, [B, 1, 1]."""
    X, Y = X - f["pan_x"], Y - f["pan_y"]
    scale = torch.exp(-f["zoom"])
    cos, sin = scale * torch.cos(f["turn"]), scale * torch.sin(f["turn"])
    return X * cos + Y * sin, Y * cos - X * sin, scale
