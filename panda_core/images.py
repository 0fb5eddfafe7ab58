"""Tensors <-> PIL images: pictures, overlays, heat maps, and PNG files that carry their recipe."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter, PngImagePlugin
from torch import Tensor

RECIPE_KEY = "panda-recipe"
CARD, SIDE, GAP, ROUND = (1200, 630), 570, 20, 28  # pixels of a link's picture, as the chats want it
MAX_FILE = 16 * 2**20  # bytes of a picture that is opened for its recipe
_GENERATED = (  # the IPTC's term for a picture made by a trained model, where readers look for it
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
)
# distinct on light and dark, in the order of the parts
PALETTE = np.float32(
    [
        *([230, 75, 53], [77, 187, 213], [0, 160, 135], [60, 84, 136], [243, 155, 127], [132, 145, 180]),
        *([255, 200, 50], [145, 209, 194], [220, 0, 120], [126, 97, 72], [140, 86, 200], [90, 160, 40]),
    ]
)


def to_arrays(images: Tensor) -> np.ndarray:
    """[N, 3, h, w] in [-1, 1] -> [N, h, w, 3], 8 bits: 127.5 x + 128, cut down, as everywhere in the field.

    [N, 1, h, w] is grey.
    """
    images = images.expand(-1, 3, -1, -1)
    scaled = (images.detach().float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_pil(images: Tensor) -> list[Image.Image]:
    return [Image.fromarray(array) for array in to_arrays(images)]


def grid(images: Tensor, columns: int) -> Image.Image:
    """One picture of all, row by row; missing ones are white."""
    arrays = to_arrays(images)
    n, h, w, _ = arrays.shape
    rows = -(-n // columns)
    sheet = np.full((rows * h, columns * w, 3), 255, np.uint8)
    for i, array in enumerate(arrays):
        y, x = i // columns * h, i % columns * w
        sheet[y : y + h, x : x + w] = array
    return Image.fromarray(sheet)


def difference(one: Tensor, other: Tensor) -> Tensor:
    """Mean |one - other| over the channels in [-1, 1] units, [N, h, w]: 0 is no change, 2 black to white."""
    return (one.clamp(-1, 1) - other.clamp(-1, 1)).abs().mean(dim=1)


def heat_map(values: Tensor, low: float | None = None, high: float | None = None) -> Image.Image:
    """One map [h, w] as dark blue to yellow, from low to high (default: its own extremes)."""
    x = values.detach().float().cpu().numpy()
    low = float(x.min()) if low is None else low
    high = float(x.max()) if high is None else high
    x = np.clip((x - low) / max(high - low, 1e-12), 0, 1)
    stops = np.array([[13, 8, 70], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], np.float32)
    channels = [np.interp(x, np.linspace(0, 1, len(stops)), stops[:, c]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def part_labels(maps: Tensor) -> np.ndarray:
    """Number of the strongest scaled part at every pixel, -1 where all are below 0.2: [R_S, h, w] -> [h, w]."""
    values, numbers = maps.max(dim=0)
    return torch.where(values >= 0.2, numbers, -1).cpu().numpy()


def overlay_parts(image: Tensor, maps: Tensor) -> Image.Image:
    """A picture [1, 3, h, w] half tinted with the colours of its parts [R_S, h, w]."""
    base, labels = to_arrays(image)[0].astype(np.float32), part_labels(maps)
    strength = maps.max(dim=0).values.clamp(0, 1).cpu().numpy()
    weight = (0.5 * (labels >= 0) * strength)[..., None]
    return Image.fromarray((base * (1 - weight) + PALETTE[labels % len(PALETTE)] * weight + 0.5).astype(np.uint8))


def overlay_map(picture: Image.Image, values: Tensor, high: float, edge: Tensor | None = None) -> Image.Image:
    """A picture in grey, and over it a map [h, w] in the colours of `heat_map`: clear at 0 and below, full at `high`.

    edge: a mask [h, w] whose outline is drawn in white.
    """
    x, size = values.clamp(0, high), picture.size
    heat = heat_map(x, 0.0, high).resize(size, Image.Resampling.BILINEAR)
    weight = mask_image((x / max(high, 1e-12)).sqrt()).resize(size, Image.Resampling.BILINEAR)
    grey = picture.convert("L").point([round(57 + 0.55 * v) for v in range(256)]).convert("RGB")
    shown = Image.composite(heat, grey, weight)
    if edge is not None:
        mask = mask_image(edge).resize(size, Image.Resampling.BILINEAR).point([0] * 128 + [255] * 128)
        shown.paste((255, 255, 255), mask=ImageChops.difference(mask, mask.filter(ImageFilter.MinFilter(3))))
    return shown


def on_checkerboard(picture: Image.Image, mask: Tensor) -> Image.Image:
    """A picture where a mask [h, w] is, and elsewhere the pattern that stands for transparency."""
    rows, columns = np.indices(picture.size[::-1]) // max(4, picture.width // 24)
    squares = Image.fromarray(np.where((rows + columns) % 2, 204, 238).astype(np.uint8)).convert("RGB")
    return Image.composite(picture, squares, mask_image(mask).resize(picture.size, Image.Resampling.BILINEAR))


def mask_image(mask: Tensor) -> Image.Image:
    """A mask [h, w] (booleans or [0, 1]) in grey: white is in it."""
    return Image.fromarray((mask.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def cut_out(image: Tensor, mask: Tensor) -> Image.Image:
    """A picture [1, 3, h, w] with transparency where the mask [h, w] (booleans or [0, 1]) is 0."""
    return Image.fromarray(np.dstack([to_arrays(image)[0], mask_image(mask)]))


def png_bytes(image: Image.Image, recipe_json: str | None = None) -> bytes:
    """A PNG file that says that it is generated, or somebody's own picture changed, and from which recipe if any."""
    info, own = PngImagePlugin.PngInfo(), '"source":' in (recipe_json or "")
    if recipe_json is not None:
        info.add_itxt(RECIPE_KEY, recipe_json, zip=True)
    info.add_itxt("XML:com.adobe.xmp", _GENERATED.replace("/trained", "/compositeWithTrained") if own else _GENERATED)
    made = "a picture changed by a neural network" if own else "generated by a neural network, not a photograph"
    info.add_text("Software", f"PandA; {made}")
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def animation(frames: Sequence[Image.Image]) -> bytes:
    """Pictures of one size as an endless WebP that says that it is generated."""
    out = io.BytesIO()
    first, *rest = frames
    first.save(out, "WEBP", save_all=True, append_images=rest, duration=80, loop=0, xmp=_GENERATED.encode(), quality=85)
    return out.getvalue()


def card(pictures: list[Image.Image]) -> bytes:
    """Pictures of one size side by side as a JPEG that chats show of a link, on the colour of their edges, darkened."""
    strip = pictures[-1].resize((32, 32), Image.Resampling.BOX)
    edge = [strip.getpixel((x, y)) for x in range(32) for y in (range(32) if x in (0, 31) else (0, 31))]
    sheet = Image.new("RGB", CARD, tuple(sum(c) * 2 // 5 // len(edge) for c in zip(*edge)))
    w, h = (SIDE * length // max(pictures[-1].size) for length in pictures[-1].size)
    mask = Image.new("L", (4 * w, 4 * h))  # drawn large, so that its corners are smooth
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * w - 1, 4 * h - 1), 4 * ROUND, fill=255)
    mask = mask.resize((w, h), Image.Resampling.BOX)
    left, top = (CARD[0] - len(pictures) * (w + GAP) + GAP) // 2, (CARD[1] - h) // 2
    for i, picture in enumerate(pictures):
        sheet.paste(picture.resize((w, h), Image.Resampling.LANCZOS), (left + i * (w + GAP), top), mask)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88, subsampling=0)
    return out.getvalue()


def pixels_last(png: bytes) -> bytes:
    """A PNG whose text stands before its pixels; other programs write it behind them."""
    chunks, at = [], 8
    while at + 12 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        chunks.append(png[at:end])
        at = end
    return png[:8] + b"".join(sorted(chunks, key=lambda chunk: (b"IDAT", b"IEND").count(chunk[4:8])))


def read_recipe_json(data: bytes) -> str:
    """The recipe inside a PNG of ours, unchecked text; no pixel is decoded.

    Raises: ValueError if the file is too large, not a PNG, or holds no recipe.
    """
    if len(data) > MAX_FILE:
        raise ValueError(f"The picture has {len(data)} bytes; at most {MAX_FILE} are accepted.")
    try:
        with Image.open(io.BytesIO(pixels_last(data)), formats=["PNG"]) as image:
            found = image.info.get(RECIPE_KEY)  # .info holds what stands before the pixels; .text would decode them
    except Exception as error:  # Pillow raises what it likes on a hostile file (ValueError, SyntaxError, struct.error)
        raise ValueError("The file is not a PNG picture.") from error
    if not found:
        raise ValueError("The picture holds no recipe; only PNG files downloaded here do.")
    return str(found)
