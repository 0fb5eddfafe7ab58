"""Pictures as the page shows them: resized, cropped around a region, as JPEG data URIs."""

import base64
import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .images import to_pil

TILE_SIDE = 128  # pixels of a tile
FRAME_SIDE = 512  # pixels that a frame is sent at, at most
SMOOTH_SIDE = 256  # and at least: browsers enlarge small pictures by bilinear interpolation, which shows their grid


def jpeg(image: Image.Image) -> str:
    """As a data URI; a tile in half as many bytes as it would have as a frame, where nobody sees the difference."""
    image.thumbnail((FRAME_SIDE, FRAME_SIDE))
    out, tile = io.BytesIO(), max(image.size) <= TILE_SIDE
    image.save(out, "JPEG", quality=85 if tile else 92, subsampling=2 if tile else 0)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def jpegs(images: Tensor) -> list[str]:
    """Pictures [n, 3, h, w] as data URIs."""
    return [jpeg(image) for image in to_pil(images)]


def small(images: Tensor) -> list[str]:
    """Pictures [n, 3, h, w] as tiles show them whole, as data URIs."""
    return jpegs(resized(images, TILE_SIDE))


def large(image: Tensor) -> str:
    """A picture [1, 3, h, w] for the panel, as a data URI."""
    return jpegs(at_least(image, SMOOTH_SIDE))[0]


def at_least(image: Tensor, side: int) -> Tensor:
    """A picture [1, 3, h, w], enlarged if it is smaller."""
    return resized(image, side) if image.shape[-1] < side else image


def resized(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images.float().cpu(), (side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def cropped(images: Tensor, region: Tensor, side: int) -> Tensor:
    """Pictures [n, 3, h, w] around a region [h', w'], `side` pixels wide."""
    top, left, size = crop_box(region, images.shape[-1])
    images = images[:, :, top : top + size, left : left + size].clamp(-1, 1)
    return F.interpolate(images, (side, side), mode="bicubic", align_corners=False)


def crop_box(region: Tensor, side: int) -> tuple[int, int, int]:
    """(top, left, size) of a square around a region [h, w] in a picture of `side` pixels: room about it, never tiny."""
    h = len(region)
    inside = torch.nonzero(region >= min(0.5, 0.9 * float(region.max())))
    if not len(inside):
        return 0, 0, side
    (top, left), (bottom, right) = inside.amin(dim=0).tolist(), inside.amax(dim=0).tolist()
    size = max(0.5 * h, min(h, 1.5 * max(bottom - top + 1, right - left + 1)))
    y = min(max((top + bottom + 1 - size) / 2, 0), h - size)
    x = min(max((left + right + 1 - size) / 2, 0), h - size)
    scale = side / h
    return round(y * scale), round(x * scale), min(side, round(size * scale))
