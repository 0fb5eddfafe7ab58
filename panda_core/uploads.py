"""Pictures that people bring: read whatever they are, upright, on white, and cropped to a generator's size."""

import io
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from .reading import read_number

FORMATS = "JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"
ACCEPTED = "JPEG, PNG, WebP, AVIF, GIF and BMP pictures are read"
MAX_BYTES, MAX_PIXELS, MIN_SIDE = 40 * 2**20, 40 * 10**6, 16
LIGHT, LIGHT_SIDE = 4 * 2**20, 2048  # bytes of a file that is kept as it is; pixels that a heavier one is shrunk to
HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True)
class Crop:
    """A square of a picture, as it lies upright.

    x, y: its centre, in shares of width and height; zoom: 1 is the largest square that fits, 2 half of it, and below 1
    the picture's border is carried on; turn: degrees by which the picture is turned clockwise first.
    """

    x: float = 0.5
    y: float = 0.5
    zoom: float = 1.0
    turn: float = 0.0

    def __post_init__(self) -> None:
        ranges = {"x": (0, 1), "y": (0, 1), "zoom": (0.5, 20), "turn": (-180, 180)}
        for field in fields(self):
            read_number(field.name, getattr(self, field.name), *ranges[field.name])


def prepare_picture(source: bytes | Path, size: int, crop: Crop | None = None) -> Tensor:
    """A picture's crop at a generator's size, [1, 3, size, size] in [-1, 1], in whole steps of 8 bits.

    EXIF orientation is followed, transparency lies on white, of an animation it is the first frame. A picture of that
    size already is unchanged where the crop is all of it.

    Raises: ValueError, in one sentence, for a file that is too large, damaged, or no picture of an accepted kind.
    """
    crop = Crop() if crop is None else crop
    length = len(source) if isinstance(source, bytes) else source.stat().st_size
    if length > MAX_BYTES:
        raise ValueError(f"The picture's file has {length >> 20} MB; at most {MAX_BYTES >> 20} are accepted.")
    data = source if isinstance(source, bytes) else source.read_bytes()
    _refuse_by_name(data)
    Image.init()
    try:
        formats = [kind for kind in FORMATS if kind in Image.OPEN]  # AVIF is not in every Pillow
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height > MAX_PIXELS or min(width, height) < MIN_SIDE:
                raise _Size(width, height)
            shrink = max(1, int(min(width, height) / crop.zoom / (2 * size)))
            image.draft("RGB", (max(1, width // shrink), max(1, height // shrink)))  # JPEG decodes smaller at once
            pixels = _cut(_on_white(ImageOps.exif_transpose(image)), size, crop)
    except _Size as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"The picture is too large; at most {MAX_PIXELS // 10**6} megapixels are accepted.") from error
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"The file is not a picture that can be read; {ACCEPTED}.") from error
    except Exception as error:  # Pillow raises what it likes on a hostile file (OSError, SyntaxError, struct.error)
        raise ValueError(f"The picture's file is damaged or cut off; {ACCEPTED}.") from error
    return pixels.round().clamp(0, 255).float()[None] / 127.5 - 1


def lighter(data: bytes) -> bytes:
    """A file that `prepare_picture` has read, to be kept: as it is, or a heavy one upright, smaller, as JPEG."""
    if len(data) <= LIGHT:
        return data
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (LIGHT_SIDE, LIGHT_SIDE))
        image = _on_white(ImageOps.exif_transpose(image))
    image.thumbnail((LIGHT_SIDE, LIGHT_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


class _Size(Exception):
    def __str__(self) -> str:
        width, height = self.args
        wanted = f"at most {MAX_PIXELS // 10**6} megapixels and at least {MIN_SIDE} pixels each way are accepted"
        return f"The picture has {width} x {height} pixels; {wanted}."


def _refuse_by_name(data: bytes) -> None:
    """Say so of what people often bring and Pillow does not read."""
    if data[4:8] == b"ftyp" and data[8:12] in HEIF and b"avif" not in data[8:40]:
        raise ValueError("The picture is HEIC, an iPhone's own format, which is not read here; save it as JPEG first.")
    if data[:1024].lstrip().startswith(b"%PDF"):
        raise ValueError(f"The file is a PDF document, whatever its name says; {ACCEPTED}.")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _cut(image: Image.Image, size: int, crop: Crop) -> Tensor:
    """The crop, [3, size, size] in [0, 255]: where it covers many pixels they are averaged, elsewhere interpolated."""
    half = min(image.size) / crop.zoom / 2
    x, y = crop.x * image.width, crop.y * image.height
    reach = half * math.sqrt(2) + 2  # the square may be turned
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    image = image.crop((left, top, min(image.width, math.ceil(x + reach)), min(image.height, math.ceil(y + reach))))
    x, y = x - left, y - top
    k = max(1, int(half / size))
    if k > 1:
        image = image.reduce(k)
        x, y, half = x / k, y / k, half / k
    fine = max(1, math.ceil(half * 2 / size))  # samples a pixel, each way
    n = size * fine
    axis = half * ((torch.arange(n, dtype=torch.float64) * 2 + 1) / n - 1)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    cos, sin = math.cos(math.radians(crop.turn)), math.sin(math.radians(crop.turn))
    ends = torch.tensor([image.width, image.height], dtype=torch.float64)
    grid = torch.stack([x + cos * u + sin * v, y + cos * v - sin * u], dim=-1) / ends * 2 - 1
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].double()
    found = F.grid_sample(pixels, grid[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(found, fine)[0]
