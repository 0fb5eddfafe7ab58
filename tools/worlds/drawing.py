"""Drawing with signed distance functions: shapes, colours, and a canvas whose layers give exact masks.

Coordinates: X to the right, Y down, both in [-1, 1] in the picture. A signed distance is negative inside; its edge is
drawn about a pixel wide. Layers are painted from back to front and composited from front to back, which gives each
layer its exact share of every pixel: the shares of a part add up to its mask, and all masks add up to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor


@cache
def constant(values: tuple, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Numbers as a tensor; kept, since a GPU has to be waited for to make one."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)


def palette(colours: tuple, u: Tensor) -> Tensor:
    """The colour at u in [0, 1] along a list of colours, [B, 3, 1, 1]; smooth between its neighbours."""
    table = constant(colours, u.device, u.dtype)
    position = u * (len(colours) - 1)
    nearness = (1 - (position[:, None] - torch.arange(len(colours), device=u.device)).abs()).clamp_min(0)  # [B, n]
    return (nearness @ table)[:, :, None, None]


def smoothstep(low: float, high: float, t: Tensor) -> Tensor:
    t = ((t - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def bump(t: Tensor) -> Tensor:
    return torch.exp(-t * t)


def ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Distance to an axis-aligned ellipse, to first order: exact on its edge."""
    k = ((x / a) ** 2 + (y / b) ** 2 + 1e-9).sqrt()
    return k * (k - 1) / ((x / a**2) ** 2 + (y / b**2) ** 2 + 1e-9).sqrt()


def box(x: Tensor, y: Tensor, w: Tensor | float, h: Tensor | float, radius: Tensor | float) -> Tensor:
    """Distance to a box of half-width w and half-height h with rounded corners."""
    dx, dy = x.abs() - w + radius, y.abs() - h + radius
    outside = (dx.clamp_min(0) ** 2 + dy.clamp_min(0) ** 2 + 1e-9).sqrt()
    return outside + torch.maximum(dx, dy).clamp_max(0) - radius


def union(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """The smooth minimum of two distances; `blend` is the width of the fillet."""
    h = (blend - (a - b).abs()).clamp_min(0) / blend
    return torch.minimum(a, b) - h * h * blend / 4


@dataclass
class Canvas:
    """A batch of pictures in the making.

    Attributes:
        X, Y: coordinates of every pixel, [B or 1, n or 1, n or 1], broadcast to [B, n, n].
        u: what the world is made of, factor name -> [B] in [0, 1].
        f: the same in the factor's own unit, [B, 1, 1].
        edge: half the width of a drawn edge, or [B, 1, 1].
        parts: names, in the order of the masks.
        presence: name of a thing -> the u above which it is there.
        fade: half the width, in u, of the fade between absent and there, which keeps pictures smooth in u.
        shadow: what darkness adds to a colour, as RGB.
    """

    X: Tensor
    Y: Tensor
    u: Mapping[str, Tensor]
    f: Mapping[str, Tensor]
    edge: float | Tensor
    parts: Sequence[str]
    presence: Mapping[str, float]
    fade: float
    shadow: tuple[float, float, float]
    layers: list[tuple[Tensor, Tensor, int]] = field(default_factory=list)  # back to front: share, colour, part

    def rgb(self, *colour: float) -> Tensor:
        """One colour, [1, 3, 1, 1]."""
        return constant(colour, self.X.device, self.X.dtype)[None, :, None, None]

    def lit(self, colour: Tensor, shade: Tensor) -> Tensor:
        """A colour under light: shade 1 as it is, below 1 darker, with a little of `shadow`, above 1 lighter."""
        dark, light = (1 - shade).clamp_min(0)[:, None], (shade - 1).clamp_min(0)[:, None]
        return colour * (1 - dark) + self.rgb(*self.shadow) * dark + (1 - colour) * light

    def inside(self, distance: Tensor) -> Tensor:
        """Coverage in [0, 1] from a signed distance."""
        return torch.sigmoid(distance * (-1 / self.edge))

    def there(self, thing: str) -> Tensor:
        """0 where a thing is absent, 1 where it is there, [B, 1, 1]."""
        start = self.presence[thing]
        return smoothstep(start - self.fade, start + self.fade, self.u[thing])[:, None, None]

    def everywhere(self) -> Tensor:
        """A share of 1 at every pixel, [B, n, n]."""
        grid = self.X + self.Y
        return torch.ones_like(grid.expand(len(next(iter(self.u.values()))), -1, -1))

    def paint(self, share: Tensor, colour: Tensor, part: str) -> None:
        """Add a layer: share [B, n, n], what it covers of each pixel; colour [B, 3, n, n], or what broadcasts to it."""
        self.layers.append((share, colour, self.parts.index(part)))

    def composite(self) -> tuple[Tensor, Tensor]:
        """Image [B, 3, n, n] in [0, 1] and masks [B, parts, n, n]; the layer at the back must cover everything."""
        left = self.everywhere()  # what the layers in front let through
        image, masks = 0.0, [torch.zeros_like(left) for _ in self.parts]
        for alpha, colour, part in reversed(self.layers):
            share = left * alpha
            masks[part] = masks[part] + share
            image = image + share[:, None] * colour.clamp(0, 1)
            left = left - share
        return image, torch.stack(masks, dim=1)
