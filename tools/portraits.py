"""The portrait world: pictures of people drawn with signed distance functions, with exact soft masks of their parts.

A portrait is a vector u in [0, 1]^D, one number per named factor. Everything is a smooth function of u, so that a
network can learn to draw it; the whole batch is drawn at once on the device of u.

Coordinates: x to the right, y down, both in [-1, 1]. A signed distance d is negative inside; its edge is drawn about a
pixel wide. Layers are listed from back to front and composited from front to back, which gives each layer its exact
share of every pixel: the shares of a part add up to its mask, and all masks add up to 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PARTS = ("background", "clothes", "skin", "hair", "eyes", "brows", "nose", "mouth", "glasses", "hat", "object")


class Factor(NamedTuple):
    """One number that a portrait is made of: where it lies for u = 0 and u = 1, and the part that it changes."""

    name: str
    low: float
    high: float
    part: str


FACTORS = (
    Factor("tilt", -0.05, 0.05, "pose"),
    Factor("shift_x", -0.02, 0.02, "pose"),
    Factor("shift_y", -0.02, 0.02, "pose"),
    Factor("light", -0.8, 0.8, "pose"),
    Factor("background_colour", 0, 1, "background"),
    Factor("background_shade", 0.72, 1.04, "background"),
    Factor("background_contrast", 0.05, 0.45, "background"),
    Factor("skin_tone", 0, 1, "skin"),
    Factor("face_width", 0.42, 0.50, "skin"),
    Factor("face_length", 0.58, 0.66, "skin"),
    Factor("jaw", 0.05, 0.30, "skin"),
    Factor("blush", 0.0, 0.6, "skin"),
    Factor("hair_colour", 0, 1, "hair"),
    Factor("hair_length", -0.36, 1.0, "hair"),
    Factor("hair_volume", 0.05, 0.19, "hair"),
    Factor("fringe", -0.56, -0.29, "hair"),
    Factor("otsu_threshold", -0.38, 0.38, "hair"),
    Factor("eye_size", 0.088, 0.130, "eyes"),
    Factor("eye_openness", 0.26, 1.02, "eyes"),
    Factor("eye_spacing", 0.185, 0.235, "eyes"),
    Factor("gaze", -0.38, 0.38, "eyes"),
    Factor("iris_colour", 0, 1, "eyes"),
    Factor("brow_tilt", -0.26, 0.26, "brows"),
    Factor("brow_height", 0.135, 0.21, "brows"),
    Factor("brow_thickness", 0.012, 0.036, "brows"),
    Factor("nose_length", 0.12, 0.21, "nose"),
    Factor("nose_width", 0.055, 0.105, "nose"),
    Factor("mouth_width", 0.11, 0.20, "mouth"),
    Factor("mouth_curve", -0.45, 1.0, "mouth"),
    Factor("mouth_openness", 0.0, 0.105, "mouth"),
    Factor("lip_fullness", 0.020, 0.046, "mouth"),
    Factor("lip_colour", 0.15, 0.95, "mouth"),
    Factor("clothes_colour", 0, 1, "clothes"),
    Factor("clothes_shade", 0.62, 1.1, "clothes"),
    Factor("neckline", 0.06, 0.26, "clothes"),
    Factor("shoulders", 0.70, 0.98, "clothes"),
    Factor("glasses", 0, 1, "glasses"),
    Factor("hat", 0, 1, "hat"),
    Factor("hat_colour", 0, 1, "hat"),
    Factor("object", 0, 1, "object"),
    Factor("object_kind", 0, 1, "object"),
    Factor("object_side", 0, 1, "object"),
)
NAMES = tuple(factor.name for factor in FACTORS)
ZOOM = 1.13  # how large a head is drawn
PRESENCE = 2 / 3  # glasses, hat and object are there where their own u is above this: in a third of the pictures

SKIN = ((1.0, 0.87, 0.77), (0.97, 0.78, 0.64), (0.86, 0.62, 0.46), (0.65, 0.44, 0.31), (0.43, 0.28, 0.20))
HAIR = (
    (0.12, 0.09, 0.10),
    (0.29, 0.17, 0.11),
    (0.52, 0.29, 0.15),
    (0.76, 0.36, 0.16),
    (0.92, 0.72, 0.40),
    (0.80, 0.79, 0.82),
)
IRIS = ((0.30, 0.18, 0.10), (0.52, 0.38, 0.16), (0.34, 0.52, 0.30), (0.24, 0.48, 0.72), (0.48, 0.54, 0.60))
CLOTHES = (
    (0.91, 0.38, 0.34),
    (0.96, 0.68, 0.30),
    (0.42, 0.66, 0.45),
    (0.20, 0.56, 0.62),
    (0.28, 0.36, 0.62),
    (0.62, 0.36, 0.58),
)
BACKGROUND = (
    (0.99, 0.84, 0.70),
    (0.97, 0.74, 0.70),
    (0.80, 0.76, 0.92),
    (0.66, 0.82, 0.94),
    (0.68, 0.88, 0.80),
    (0.95, 0.92, 0.74),
)
HAT = ((0.25, 0.30, 0.46), (0.22, 0.55, 0.58), (0.90, 0.82, 0.66), (0.88, 0.52, 0.30), (0.76, 0.26, 0.30))


class Portraits(NamedTuple):
    images: Tensor  # [B, 3, size, size] in [-1, 1]
    masks: Tensor  # [B, len(PARTS), size, size] in [0, 1], sum 1 at every pixel


def factors_of_latents(z: Tensor, n_factors: int = len(FACTORS)) -> Tensor:
    """u = Φ(M · z / rms(z)), [B, D] in [0, 1], of latents z [B, z_dim]; M has orthonormal rows.

    A StyleGAN normalises its latent, so u must come from the normalised one: otherwise two targets share one input.
    M is the same on every machine: the Q of a fixed matrix, in float64, its signs fixed.
    """
    M = torch.from_numpy(directions(z.shape[1], n_factors)).to(z)
    normalised = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    return torch.special.ndtr(normalised @ M.t())


def directions(z_dim: int, n_factors: int = len(FACTORS)) -> np.ndarray:
    """M, [D, z_dim]: the latent direction of every factor, orthonormal rows."""
    q, r = np.linalg.qr(np.random.RandomState(20231).randn(z_dim, n_factors))
    return (q * np.sign(np.diag(r))).T


def palette(colours: tuple, u: Tensor) -> Tensor:
    """The colour at u in [0, 1] along a list of colours, [B, 3, 1, 1]; smooth between its neighbours."""
    table = torch.tensor(colours, device=u.device, dtype=u.dtype)
    position = u * (len(colours) - 1)
    nearness = (1 - (position[:, None] - torch.arange(len(colours), device=u.device)).abs()).clamp_min(0)  # [B, n]
    return (nearness @ table)[:, :, None, None]


def smoothstep(low: float, high: float, t: Tensor) -> Tensor:
    t = ((t - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


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


def bump(t: Tensor) -> Tensor:
    return torch.exp(-t * t)


@dataclass
class Scene:
    """The layers of a batch of portraits, back to front: (share, colour, number of the part)."""

    edge: float  # half the width of a drawn edge
    layers: list

    def inside(self, distance: Tensor) -> Tensor:
        """Coverage in [0, 1] from a signed distance."""
        return torch.sigmoid(distance * (-1 / self.edge))

    def paint(self, alpha: Tensor, colour: Tensor, part: str) -> None:
        """Add a layer: alpha [B, n, n]; colour [B, 3, n, n] or [B, 3, 1, 1]."""
        self.layers.append((alpha, colour, PARTS.index(part)))

    def composite(self) -> tuple[Tensor, Tensor]:
        """Image [B, 3, n, n] in [0, 1] and masks [B, parts, n, n]."""
        left = torch.ones_like(self.layers[0][0])  # what the layers in front let through
        image, masks = 0.0, [torch.zeros_like(left) for _ in PARTS]
        for alpha, colour, part in reversed(self.layers):
            share = left * alpha
            masks[part] = masks[part] + share
            image = image + share[:, None] * colour.clamp(0, 1)
            left = left - share
        return image, torch.stack(masks, dim=1)


def render(u: Tensor, size: int = 128, supersample: int = 2, aligned: bool = True) -> Portraits:
    """Draw portraits.

    Args:
        u: the factors, [B, len(FACTORS)] in [0, 1], in the order of FACTORS.
        size: pixels of the square picture; it is drawn `supersample` times as large and averaged down.
        aligned: False gives poses four times as strong: turned, shifted and scaled heads.
    Returns: Portraits, on the device of u.
    """
    n = size * supersample
    grid = (torch.arange(n, device=u.device, dtype=u.dtype) + 0.5) / n * 2 - 1
    X, Y = grid[None, None, :], grid[None, :, None]
    f = {
        factor.name: (factor.low + (factor.high - factor.low) * u[:, i])[:, None, None]
        for i, factor in enumerate(FACTORS)
    }
    raw = {name: u[:, i] for i, name in enumerate(NAMES)}

    pose = 1.0 if aligned else 4.0
    scale = ZOOM if aligned else ZOOM * (1.0 + 2.0 * f["shift_y"] * pose)
    cos, sin = torch.cos(f["tilt"] * pose), torch.sin(f["tilt"] * pose)
    dx, dy = (X - f["shift_x"] * pose) / scale, (Y - f["shift_y"] * pose - 0.05) / scale
    x, y = dx * cos + dy * sin, dy * cos - dx * sin

    scene = Scene(edge=0.7 / n, layers=[])
    _background(scene, X, Y, f, raw)
    _object_behind(scene, X, Y, f, raw)
    hair = _hair_shape(x, y, f)
    _back_hair(scene, x, y, f, raw, hair)
    _neck_and_clothes(scene, x, y, f, raw)
    _head(scene, x, y, f, raw, hair)
    _mouth(scene, x, y, f, raw)
    _nose(scene, x, y, f, raw)
    _eyes_and_brows(scene, x, y, f, raw)
    _front_hair(scene, x, y, f, raw, hair)
    _glasses(scene, x, y, f, raw)
    _hat(scene, x, y, f, raw)
    image, masks = scene.composite()
    return Portraits(F.avg_pool2d(image, supersample) * 2 - 1, F.avg_pool2d(masks, supersample))


def _present(u: Tensor) -> Tensor:
    """0 where a thing is absent, 1 where it is there, [B, 1, 1]; a short fade between keeps it smooth in u."""
    return smoothstep(PRESENCE - 0.015, PRESENCE + 0.015, u)[:, None, None]


def _lit(colour: Tensor, shade: Tensor) -> Tensor:
    """A colour under light: shade 1 as it is, below 1 darker and a little warmer, above 1 lighter."""
    warm = torch.tensor([0.04, 0.0, -0.01], device=shade.device, dtype=shade.dtype)[:, None, None]
    dark = (1 - shade).clamp_min(0)[:, None]
    light = (shade - 1).clamp_min(0)[:, None]
    return colour * (1 - dark) + warm * dark + (1 - colour) * light


def _background(scene: Scene, X: Tensor, Y: Tensor, f: dict, raw: dict) -> None:
    first = palette(BACKGROUND, raw["background_colour"]) * f["background_shade"][:, None]
    second = first * (1 - f["background_contrast"])[:, None] + 0.10 * palette(
        BACKGROUND[::-1], raw["background_colour"]
    )
    t = smoothstep(-0.9, 1.1, Y + 0.35 * X)
    glow = 0.10 * bump((X / 0.9) ** 2 + ((Y + 0.1) / 0.9) ** 2)
    colour = first * (1 - t)[:, None] + second * t[:, None]
    scene.paint(torch.ones_like(t.expand(len(f["light"]), -1, -1)), colour + glow[:, None], "background")


def _object_behind(scene: Scene, X: Tensor, Y: Tensor, f: dict, raw: dict) -> None:
    """A tree, a balloon or a window, left or right of the head."""
    there = _present(raw["object"])
    kind = raw["object_kind"]
    is_tree = (1 - smoothstep(0.31, 0.35, kind))[:, None, None]
    is_window = smoothstep(0.65, 0.69, kind)[:, None, None]
    is_balloon = 1 - is_tree - is_window
    x = X - 0.76 * (2 * smoothstep(0.46, 0.54, raw["object_side"])[:, None, None] - 1)

    def colour(*rgb: float) -> Tensor:
        return torch.tensor(rgb, device=X.device, dtype=X.dtype)[None, :, None, None]

    y = Y + 0.30
    trunk = box(x, y - 0.55, 0.035, 0.5, 0.02)
    crown = union(union(ellipse(x, y + 0.14, 0.17, 0.20), ellipse(x + 0.10, y - 0.04, 0.15, 0.15), 0.06),
                  ellipse(x - 0.10, y - 0.05, 0.15, 0.15), 0.06)  # fmt: skip
    scene.paint(there * is_tree * scene.inside(trunk), colour(0.50, 0.36, 0.25), "object")
    leaves = _lit(colour(0.36, 0.60, 0.36), 1.0 - 0.9 * (y - 0.02) + 0.35 * x * f["light"])
    scene.paint(there * is_tree * scene.inside(crown), leaves, "object")

    string = box(x - 0.015 * torch.sin(9 * Y), Y - 0.42, 0.008, 0.52, 0.004)
    skin = union(ellipse(x, y, 0.19, 0.235), box(x, y - 0.24, 0.03, 0.025, 0.01), 0.04)
    rubber = _lit(
        colour(0.90, 0.34, 0.40),
        0.92 + 0.5 * bump(((x + 0.06) / 0.07) ** 2 + ((y + 0.09) / 0.09) ** 2) - 0.6 * x * x - 0.8 * y.clamp_min(0),
    )
    scene.paint(there * is_balloon * scene.inside(string), colour(0.45, 0.42, 0.45), "object")
    scene.paint(there * is_balloon * scene.inside(skin), rubber, "object")

    y = Y + 0.22
    frame = box(x, y, 0.21, 0.34, 0.02)
    pane = torch.maximum(box(x, y, 0.175, 0.305, 0.01), 0.014 - torch.minimum(x.abs(), y.abs()))
    sky = colour(0.62, 0.84, 0.97) + (0.20 * smoothstep(-0.3, 0.35, y))[:, None]
    scene.paint(there * is_window * scene.inside(frame), colour(0.97, 0.95, 0.91), "object")
    scene.paint(there * is_window * scene.inside(pane), sky, "object")


def _hair_shape(x: Tensor, y: Tensor, f: dict) -> dict[str, Tensor]:
    """Distances that several hair layers share: the outline of all hair, and the opening that shows the face."""
    a, b = f["face_width"] + f["hair_volume"], f["face_length"] + 0.75 * f["hair_volume"]
    cap = ellipse(x, y + 0.06, a, b)
    length = f["hair_length"]
    drape = box(x, y - (length - 0.25) / 2, a * (0.97 + 0.06 * y.clamp(-0.5, 1)), (length + 0.25) / 2, 0.14)
    long = smoothstep(0.02, 0.22, length)
    outline = union(torch.maximum(cap, y - length.clamp_min(0.06) - 0.10), drape + 0.35 * (1 - long), 0.10)
    lean = x - f["otsu_threshold"] * (0.30 - y).clamp_min(0) * 0.55
    side = f["face_width"] * (0.90 + 0.05 * smoothstep(0.3, 0.9, y))
    upper = ellipse(lean, y - 0.32, side, 0.32 - f["fringe"])
    below = torch.maximum(x.abs() - side, 0.32 - y)
    return {"outline": outline, "opening": torch.minimum(upper, below), "length": length}


def _hair_colour(x: Tensor, y: Tensor, f: dict, raw: dict) -> Tensor:
    """Hair colour with soft locks and a band of gloss that follows the light."""
    locks = torch.sin(26 * x + 8 * f["otsu_threshold"] * y + 3 * f["otsu_threshold"]) * (0.5 + 0.5 * torch.cos(3 * y))
    r = (
        (x / (f["face_width"] + f["hair_volume"])) ** 2
        + ((y + 0.06) / (f["face_length"] + f["hair_volume"])) ** 2
        + 1e-6
    ).sqrt()
    gloss = bump((r - 0.80) / 0.09) * smoothstep(0.10, -0.45, y) * (0.6 + 0.5 * x * f["light"] * 2)
    shade = 0.94 + 0.05 * locks + 0.26 * gloss.clamp_min(0) + 0.16 * x * f["light"] - 0.22 * smoothstep(-0.1, 0.9, y)
    return _lit(palette(HAIR, raw["hair_colour"]), shade)


def _back_hair(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict, hair: dict) -> None:
    colour = palette(HAIR, raw["hair_colour"]) * (0.66 + 0.10 * x * f["light"])[:, None]
    scene.paint(scene.inside(hair["outline"]), colour, "hair")


def _neck_and_clothes(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    skin = palette(SKIN, raw["skin_tone"])
    width = f["face_width"] * 0.46
    chin = f["face_length"] + 0.02
    neck = torch.maximum(x.abs() - width - 0.5 * (y - 0.78).clamp_min(0) ** 2, 0.25 - y)
    shade = 0.86 + 0.12 * x * f["light"] / width * 0.5 - 0.30 * bump((y - chin + 0.02) / 0.13)
    scene.paint(scene.inside(neck), _lit(skin, shade), "skin")
    body = union(ellipse(x, y - 1.24, f["shoulders"], 0.58), box(x, y - 1.1, width + 0.10, 0.32, 0.08), 0.16)
    opening = ellipse(x, y - 0.68, width * 1.12, f["neckline"])
    cloth = torch.maximum(body, -opening)
    colour = palette(CLOTHES, raw["clothes_colour"]) * f["clothes_shade"][:, None]
    shade = 1.0 + 0.22 * x * f["light"] - 0.30 * (x / f["shoulders"]) ** 4 - 0.10 * bump((y - 0.80) / 0.10)
    scene.paint(scene.inside(cloth), _lit(colour, shade), "clothes")
    collar = torch.maximum(torch.maximum(opening - 0.055, -opening), body - 0.01)
    scene.paint(scene.inside(collar), _lit(colour, shade * 0.86), "clothes")


def _head(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict, hair: dict) -> None:
    a, b, light = f["face_width"], f["face_length"], f["light"]
    skin = palette(SKIN, raw["skin_tone"])
    for side in (-1, 1):
        ear = ellipse(x - side * a * 0.985, y - 0.03, 0.075, 0.125)
        hollow = bump(((x - side * a * 1.02) / 0.03) ** 2 + ((y - 0.03) / 0.06) ** 2)
        scene.paint(scene.inside(ear), _lit(skin, 0.90 - 0.22 * hollow + side * 0.08 * light), "skin")
    taper = 1 - f["jaw"] * (y / b).clamp(0, 1) ** 1.6
    xf = x / taper
    head = ellipse(xf, y, a, b) * taper
    round_ = (1 - (xf / a) ** 2 - (y / b) ** 2).clamp_min(0.0)
    normal_z = (round_ + 1e-4).sqrt()
    shade = 0.80 + 0.24 * normal_z + 0.20 * light * (xf / a) - 0.07 * (y / b)
    overhang = bump((hair["opening"] - 0.01).clamp_max(0) / 0.075) * smoothstep(0.25, -0.25, y)
    shade = shade - 0.20 * overhang
    sockets = bump(((x.abs() - f["eye_spacing"]) / 0.15) ** 2 + ((y + 0.05) / 0.10) ** 2)
    colour = _lit(skin, shade - 0.055 * sockets)
    cheek = f["blush"] * bump(((x.abs() - 0.27) / 0.11) ** 2 + ((y - 0.19) / 0.085) ** 2)
    rose = skin * torch.tensor([1.0, 0.52, 0.50], device=x.device, dtype=x.dtype)[None, :, None, None]
    colour = colour + (rose - colour) * (0.55 * cheek)[:, None]
    scene.paint(scene.inside(head), colour, "skin")


def _mouth(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    w, gape, lip = f["mouth_width"], f["mouth_openness"], f["lip_fullness"]
    t = x / w
    arch = (1 - t * t).clamp_min(0)
    soft = (arch + 1e-4).sqrt()
    line = y - 0.37 + f["mouth_curve"] * (0.062 * t * t - 0.02)  # 0 on the line between closed lips
    dent = 1 - 0.30 * bump(t / 0.16)
    upper_in, lower_in = -0.25 * gape * arch, 0.95 * gape * arch
    upper_out = upper_in - (0.85 * lip * soft * dent)
    lower_out = lower_in + 1.05 * lip * soft
    ends = x.abs() - w * 1.0
    lips = torch.maximum(torch.maximum(upper_out - line, line - lower_out), ends)
    skin = palette(SKIN, raw["skin_tone"])
    red = torch.tensor([0.80, 0.26, 0.30], device=x.device, dtype=x.dtype)[None, :, None, None]
    tint = f["lip_colour"][:, None]
    base = skin * 0.80 * (1 - tint) + (0.35 * skin + 0.65 * red) * tint
    shine = bump(((line - lower_in - 0.5 * lip) / (0.35 * lip)) ** 2 + (t / 0.45) ** 2)
    shade = 0.92 + 0.16 * smoothstep(-0.01, 0.03, line - lower_in) + 0.14 * shine
    scene.paint(scene.inside(lips), _lit(base, shade), "mouth")
    seam = torch.maximum(torch.maximum(upper_in - 0.007 * soft - line, line - lower_in - 0.007 * soft), ends)
    inside = scene.inside(seam)
    dark = torch.tensor([0.34, 0.09, 0.11], device=x.device, dtype=x.dtype)[None, :, None, None]
    scene.paint(inside, dark, "mouth")
    tongue = torch.tensor([0.80, 0.36, 0.38], device=x.device, dtype=x.dtype)[None, :, None, None]
    scene.paint(
        inside * scene.inside(ellipse(x, line - lower_in - 0.012, w * 0.55, 0.45 * gape + 0.004)), tongue, "mouth"
    )
    teeth = torch.tensor([0.98, 0.97, 0.94], device=x.device, dtype=x.dtype)[None, :, None, None]
    bite = torch.maximum(line - upper_in - 0.42 * gape * soft, x.abs() - 0.86 * w)
    scene.paint(inside * scene.inside(bite) * smoothstep(0.006, 0.022, gape), teeth, "mouth")


def _nose(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    tip, w, light = f["nose_length"], f["nose_width"], f["light"]
    skin = palette(SKIN, raw["skin_tone"])
    bridge = bump(x / (0.45 * w)) * smoothstep(-0.12, 0.02, y) * smoothstep(tip + 0.04, tip - 0.04, y)
    scene.paint(0.75 * bridge, _lit(skin, 1.07 + 0.06 * light * torch.sin(x / w)), "nose")
    ball = union(
        ellipse(x, y - tip, w * 0.62, 0.050), ellipse(x.abs() - w * 0.68, y - tip - 0.010, w * 0.34, 0.034), 0.035
    )
    shade = (
        0.93
        + 0.17 * bump(((x - 0.02 * light) / (0.42 * w)) ** 2 + ((y - tip + 0.015) / 0.030) ** 2)
        + 0.10 * light * x / w
    )
    shade = shade - 0.24 * smoothstep(tip + 0.005, tip + 0.055, y)
    scene.paint(torch.sigmoid(-ball / 0.008), _lit(skin, shade), "nose")
    nostrils = ellipse(x.abs() - 0.42 * w, y - tip - 0.028, 0.24 * w, 0.013)
    scene.paint(0.8 * scene.inside(nostrils), skin * 0.42, "nose")


def _eyes_and_brows(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    size, light = f["eye_size"], f["light"]
    skin, iris, hair = (
        palette(SKIN, raw["skin_tone"]),
        palette(IRIS, raw["iris_colour"]),
        palette(HAIR, raw["hair_colour"]),
    )
    white = torch.tensor([0.98, 0.98, 0.99], device=x.device, dtype=x.dtype)[None, :, None, None]
    black = torch.tensor([0.05, 0.04, 0.06], device=x.device, dtype=x.dtype)[None, :, None, None]
    ye = y + 0.045
    xm = x.abs() - f["eye_spacing"]  # both eyes at once: outward is positive
    arch = 1 - (xm / (1.12 * size)) ** 2
    slope = (1 + (1.2 * f["eye_openness"] * xm / size) ** 2).sqrt()
    upper, lower = -0.95 * size * f["eye_openness"] * arch, 0.60 * size * f["eye_openness"] * arch
    yl = ye + 0.10 * xm  # the outer corner a little higher
    eye = torch.maximum(upper - yl, yl - lower) / slope
    open_ = scene.inside(eye)
    crease = bump((yl - upper + 0.30 * size) / (0.12 * size)) * smoothstep(1.5, 0.6, xm.abs() / size)
    scene.paint(0.35 * crease, skin * 0.62, "eyes")
    shade = 1.0 - 0.22 * smoothstep(0.45 * size, -0.1 * size, yl - upper) - 0.10 * (xm / size) ** 2
    scene.paint(open_, _lit(white, shade), "eyes")
    xi = xm - f["gaze"] * size * torch.sign(x)
    ri = (xi**2 + (ye - 0.02 * size) ** 2 + 1e-9).sqrt()
    ring = 1.12 - 0.55 * smoothstep(0.36 * size, 0.58 * size, ri) + 0.25 * smoothstep(-0.3 * size, 0.5 * size, ye)
    scene.paint(open_ * scene.inside(ri - 0.56 * size), _lit(iris, ring), "eyes")
    scene.paint(open_ * scene.inside(ri - 0.27 * size), black, "eyes")
    xg = xi - 0.20 * size * torch.tanh(4 * light) * torch.sign(x)  # the highlight lies towards the light in both eyes
    glint = (xg**2 + (ye + 0.22 * size) ** 2 + 1e-9).sqrt()
    scene.paint(open_ * scene.inside(glint - 0.15 * size), white, "eyes")
    lid = torch.maximum((yl - upper).abs() / slope - 0.13 * size, xm.abs() - 1.16 * size)
    scene.paint(0.92 * scene.inside(lid), 0.25 * skin + 0.25 * hair, "eyes")
    below = torch.maximum((yl - lower).abs() / slope - 0.03 * size, xm.abs() - 1.0 * size)
    scene.paint(0.5 * scene.inside(below), skin * 0.55, "eyes")

    t = (xm + 0.02) / (1.45 * size)
    thick = f["brow_thickness"] * (1.05 - 0.5 * t.clamp(-1, 1)) * (1 - t**4).clamp_min(0.0).add(1e-4).sqrt()
    centre = y + 0.045 + f["brow_height"] - f["brow_tilt"] * xm + 0.045 * t * t
    brow = torch.maximum(centre.abs() - thick, t.abs() - 1)
    scene.paint(scene.inside(brow), 0.62 * hair + 0.06 * skin, "brows")


def _front_hair(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict, hair: dict) -> None:
    end = hair["length"].clamp_min(0.04)
    front = torch.maximum(torch.maximum(hair["outline"], -hair["opening"]), y - end)
    scene.paint(scene.inside(front), _hair_colour(x, y, f, raw), "hair")


def _glasses(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    there = _present(raw["glasses"])
    xm, ye = x.abs() - f["eye_spacing"] - 0.005, y + 0.035
    lens = box(xm, ye, 0.165, 0.145, 0.11)
    bridge = torch.maximum((ye + 0.03 - 0.6 * x * x).abs() - 0.014, x.abs() - f["eye_spacing"] + 0.150)
    temple = torch.maximum((ye + 0.045).abs() - 0.014, torch.maximum(0.16 - xm, x.abs() - f["face_width"] * 1.0))
    rim = torch.minimum(torch.minimum(lens.abs() - 0.016, bridge), temple)
    white = torch.ones(1, 3, 1, 1, device=x.device, dtype=x.dtype)
    glare = bump((xm * 0.7 + ye + 0.045) / 0.035)
    scene.paint(there * scene.inside(lens) * (0.10 + 0.22 * glare), white, "glasses")
    dark = torch.tensor([0.16, 0.13, 0.17], device=x.device, dtype=x.dtype)[None, :, None, None]
    scene.paint(there * scene.inside(rim), dark, "glasses")


def _hat(scene: Scene, x: Tensor, y: Tensor, f: dict, raw: dict) -> None:
    """A knitted hat with a turned-up brim."""
    there = _present(raw["hat"])
    a = f["face_width"] + 0.9 * f["hair_volume"]
    colour = palette(HAT, raw["hat_colour"])
    crown = torch.maximum(ellipse(x, y + 0.28, a * 1.02, 0.54), y + 0.34)
    shade = (
        1.0
        + 0.22 * x * f["light"] / a
        - 0.25 * (x / a) ** 2
        + 0.035 * torch.sin(34 * x)
        - 0.10 * smoothstep(-0.55, -0.40, y)
    )
    scene.paint(there * scene.inside(crown), _lit(colour, shade), "hat")
    bobble = ellipse(x, y + 0.80, 0.10, 0.09)
    scene.paint(there * scene.inside(bobble), _lit(colour, 1.12 - 0.5 * (y + 0.80)), "hat")
    brim = box(x, y + 0.385 - 0.10 * (x / a) ** 2, a * 1.05, 0.085, 0.06)
    rib = 0.93 + 0.18 * x * f["light"] / a - 0.22 * (x / a) ** 2 + 0.05 * torch.sin(46 * x)
    scene.paint(there * scene.inside(brim), _lit(colour * 0.90, rib), "hat")


def portraits_of_seeds(seeds: list[int], z_dim: int, size: int = 128) -> Portraits:
    """The true portraits that a generator trained on this world should draw for these seeds."""
    z = np.stack([np.random.RandomState(seed).randn(z_dim) for seed in seeds]).astype(np.float32)
    return render(factors_of_latents(torch.from_numpy(z)), size)
