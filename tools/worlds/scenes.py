"""The world of scenes: a house in a landscape, by day, at sunset or at night.

Around it are mountains, hills, lake and path; sun, clouds, balloon, trees and fence come and go.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .drawing import Canvas, box, bump, ellipse, palette, smoothstep, union
from .world import Factor, World

FACTORS = (
    Factor("shift_x", -0.05, 0.05, "pose", "moved left", "moved right"),
    Factor("horizon", 0.12, 0.26, "pose", "higher horizon", "lower horizon"),
    Factor("light", -0.8, 0.8, "pose", "light from the left", "light from the right"),
    Factor("sky_colour", 0, 1, "sky", "sunset", "night"),
    Factor("sky_glow", 0.0, 0.5, "sky", "plain sky", "glowing sky"),
    Factor("sky_shade", 0.82, 1.03, "sky", "darker sky", "lighter sky"),
    Factor("sun", 0, 1, "sun", "no sun", "sun"),
    Factor("sun_x", -0.75, 0.75, "sun", "sun on the left", "sun on the right"),
    Factor("sun_y", -0.80, -0.50, "sun", "higher sun", "lower sun"),
    Factor("sun_size", 0.08, 0.14, "sun", "smaller sun", "larger sun"),
    Factor("clouds", 0, 1, "clouds", "no clouds", "clouds"),
    Factor("cloud_x", -0.3, 0.3, "clouds", "clouds farther left", "clouds farther right"),
    Factor("cloud_size", 0.75, 1.25, "clouds", "smaller clouds", "larger clouds"),
    Factor("cloud_tone", 0.80, 1.0, "clouds", "darker clouds", "lighter clouds"),
    Factor("balloon", 0, 1, "balloon", "no balloon", "balloon"),
    Factor("balloon_side", 0, 1, "balloon", "balloon on the left", "balloon on the right"),
    Factor("balloon_colour", 0, 1, "balloon", "red balloon", "purple balloon"),
    Factor("mountain_height", 0.08, 0.78, "mountains", "lower mountains", "higher mountains"),
    Factor("mountain_x", -0.5, 0.5, "mountains", "mountains farther left", "mountains farther right"),
    Factor("snow", 0.0, 1.0, "mountains", "less snow on top", "more snow on top"),
    Factor("mountain_colour", 0, 1, "mountains", "grey mountains", "brown mountains"),
    Factor("hill_height", 0.02, 0.20, "hills", "lower hills", "higher hills"),
    Factor("hill_colour", 0, 1, "hills", "green hills", "brown hills"),
    Factor("grass_colour", 0, 1, "grass", "snow", "dry grass"),
    Factor("grass_shade", 0.85, 1.06, "grass", "darker ground", "lighter ground"),
    Factor("path_width", 0.0, 0.16, "path", "no path", "wide path"),
    Factor("path_bend", -0.35, 0.35, "path", "path to the left", "path to the right"),
    Factor("lake", 0, 1, "lake", "no lake", "lake"),
    Factor("lake_width", 0.55, 1.1, "lake", "narrower lake", "wider lake"),
    Factor("house_width", 0.30, 0.48, "house", "narrower house", "wider house"),
    Factor("house_height", 0.36, 0.58, "house", "lower house", "higher house"),
    Factor("wall_colour", 0, 1, "house", "white walls", "brown walls"),
    Factor("roof_colour", 0, 1, "roof", "red roof", "blue roof"),
    Factor("roof_pitch", 0.22, 0.52, "roof", "flatter roof", "steeper roof"),
    Factor("chimney", 0, 1, "roof", "no chimney", "chimney"),
    Factor("door_colour", 0, 1, "windows", "brown door", "blue door"),
    Factor("window_light", 0, 1, "windows", "dark windows", "lit windows"),
    Factor("window_size", 0.055, 0.090, "windows", "smaller windows", "larger windows"),
    Factor("tree_left", 0, 1, "trees", "no tree on the left", "tree on the left"),
    Factor("tree_right", 0, 1, "trees", "no tree on the right", "tree on the right"),
    Factor("tree_size", 0.95, 1.40, "trees", "smaller trees", "larger trees"),
    Factor("tree_kind", 0, 1, "trees", "round trees", "conifers"),
    Factor("tree_colour", 0, 1, "trees", "green trees", "red trees"),
    Factor("fence", 0, 1, "fence", "no fence", "fence"),
)

SKY = (
    (0.98, 0.62, 0.44),
    (0.99, 0.80, 0.66),
    (0.72, 0.88, 0.97),
    (0.45, 0.71, 0.95),
    (0.30, 0.45, 0.72),
    (0.13, 0.16, 0.34),
)
SKY_LOW = (
    (1.0, 0.86, 0.60),
    (1.0, 0.91, 0.80),
    (0.93, 0.97, 0.98),
    (0.80, 0.92, 0.99),
    (0.86, 0.66, 0.66),
    (0.33, 0.30, 0.50),
)
ROCK = ((0.45, 0.42, 0.52), (0.38, 0.46, 0.58), (0.50, 0.44, 0.40), (0.58, 0.48, 0.44))
HILL = ((0.30, 0.48, 0.40), (0.42, 0.58, 0.36), (0.56, 0.55, 0.32), (0.62, 0.46, 0.34))
GRASS = ((0.92, 0.95, 0.98), (0.55, 0.74, 0.36), (0.40, 0.63, 0.32), (0.66, 0.70, 0.36), (0.82, 0.68, 0.38))
WALL = ((0.97, 0.94, 0.88), (0.95, 0.82, 0.58), (0.86, 0.52, 0.42), (0.62, 0.74, 0.82), (0.60, 0.46, 0.36))
ROOF = ((0.72, 0.28, 0.24), (0.55, 0.34, 0.26), (0.36, 0.38, 0.46), (0.24, 0.42, 0.48))
DOOR = ((0.52, 0.26, 0.18), (0.20, 0.42, 0.38), (0.78, 0.24, 0.24), (0.24, 0.30, 0.52))
TREE = ((0.24, 0.48, 0.32), (0.38, 0.60, 0.28), (0.72, 0.64, 0.24), (0.86, 0.50, 0.20), (0.78, 0.32, 0.26))
BALLOON = ((0.88, 0.28, 0.28), (0.96, 0.62, 0.22), (0.30, 0.55, 0.80), (0.62, 0.34, 0.66))
PAINT = (0.96, 0.94, 0.90)  # of the frames of door and windows


@dataclass
class Setting:
    """What the things of a scene share."""

    x: Tensor  # to the right, from the middle of the scene
    foot: Tensor  # height at which the house stands
    night: Tensor  # [B, 1, 1] in [0, 1]
    warm: Tensor  # how much of a sunset it is, [B, 1, 1] in [0, 1]
    day: Tensor  # how much light falls on things, [B, 1, 1]
    tint: Tensor  # colour of that light, [B, 3, 1, 1]
    top: Tensor  # sky high up, [B, 3, 1, 1]
    low: Tensor  # sky at the horizon
    green: Tensor  # the ground


def paint(c: Canvas) -> None:
    """Paint scenes: sky, mountains, ground, trees, house, and what is in front."""
    night = smoothstep(0.78, 1.0, c.u["sky_colour"])[:, None, None]
    warm = smoothstep(0.35, 0.05, c.u["sky_colour"])[:, None, None]
    at = Setting(
        x=c.X - c.f["shift_x"],
        foot=c.f["horizon"] + 0.22,
        night=night,
        warm=warm,
        day=1 - 0.30 * night,
        tint=1 - night[:, None] * c.rgb(0.24, 0.16, 0.0) - warm[:, None] * c.rgb(0.0, 0.10, 0.20),
        top=palette(SKY, c.u["sky_colour"]),
        low=palette(SKY_LOW, c.u["sky_colour"]),
        green=palette(GRASS, c.u["grass_colour"]) * c.f["grass_shade"][:, None],
    )
    _sky(c, at)
    _clouds(c, at)
    _mountains_and_hills(c, at)
    _ground_and_path(c, at)
    _lake(c, at)
    _trees(c, at)
    _walls(c, at)
    _roof(c, at)
    _door_and_windows(c, at)
    _fence(c, at)
    _balloon(c, at)


def _sky(c: Canvas, at: Setting) -> None:
    t = smoothstep(-1.0, 0.25, c.Y)[:, None]
    sky = at.top + (at.low - at.top) * t
    x, y = c.X - c.f["sun_x"], c.Y - c.f["sun_y"]
    glow = c.f["sky_glow"] * bump((x / 0.8) ** 2 + (y / 0.7) ** 2)
    sky = sky * c.f["sky_shade"][:, None] + glow[:, None] * c.rgb(0.35, 0.28, 0.12)
    c.paint(c.everywhere(), sky, "sky")
    disc = c.rgb(1.0, 0.95, 0.72) * (1 - at.night[:, None]) + c.rgb(0.93, 0.94, 0.98) * at.night[:, None]
    c.paint(c.there("sun") * c.inside(ellipse(x, y, c.f["sun_size"], c.f["sun_size"])), disc, "sun")


def _clouds(c: Canvas, at: Setting) -> None:
    s = c.f["cloud_size"]
    for centre_x, centre_y, k in ((-0.52, -0.62, 1.0), (0.50, -0.40, 0.8)):
        x, y = (c.X - centre_x - c.f["cloud_x"]) / s, (c.Y - centre_y) / s
        cloud = ellipse(x, y, 0.24 * k, 0.075 * k)
        cloud = union(cloud, ellipse(x + 0.08 * k, y + 0.06 * k, 0.11 * k, 0.10 * k), 0.04)
        cloud = union(cloud, ellipse(x - 0.09 * k, y + 0.04 * k, 0.10 * k, 0.08 * k), 0.04) * s
        tone = c.f["cloud_tone"] * (1 - 0.45 * at.night) - 0.14 * smoothstep(-0.06, 0.08, y)
        colour = tone[:, None] * (1 - at.warm[:, None] * c.rgb(0.0, 0.10, 0.16))
        c.paint(c.there("clouds") * torch.sigmoid(-cloud / 0.006), colour, "clouds")


def _mountains_and_hills(c: Canvas, at: Setting) -> None:
    base, x, h = c.f["horizon"], at.x - c.f["mountain_x"], c.f["mountain_height"]
    ridge = None
    for centre, k in ((0.0, 1.0), (-0.55, 0.72), (0.60, 0.80), (1.25, 0.6), (-1.2, 0.6)):
        peak = base - h * k + (x - centre).abs() * (0.95 * h * k + 0.08) / 0.55
        ridge = peak if ridge is None else torch.minimum(ridge, peak)
    ridge = ridge + 0.012 * torch.sin(31 * x) * h
    facet = 0.10 * torch.tanh(5 * torch.sin(5.7 * x + 0.6)) * c.f["light"]
    rock = c.lit(palette(ROCK, c.u["mountain_colour"]), at.day * (0.98 + facet + 0.25 * (c.Y - base)))
    line = base - h * (1.05 - 0.75 * c.f["snow"]) + 0.045 * torch.sin(19 * x) + 0.03 * torch.sin(43 * x)
    cap = torch.sigmoid((line - c.Y) / 0.012)[:, None]
    rock = rock + (c.lit(c.rgb(0.97, 0.98, 1.0), at.day * (0.97 + facet)) - rock) * cap
    haze = 0.25 * smoothstep(-0.5, 0.2, c.Y - base + 0.25)[:, None]
    c.paint(c.inside(ridge - c.Y), (rock + (at.low - rock) * haze) * at.tint, "mountains")
    roll = base - c.f["hill_height"] * (0.55 + 0.45 * torch.sin(2.6 * at.x + 1.2)) + 0.01
    colour = c.lit(palette(HILL, c.u["hill_colour"]), at.day * (0.95 + 0.4 * (c.Y - base)))
    c.paint(c.inside(roll - c.Y), colour * at.tint, "hills")


def _ground_and_path(c: Canvas, at: Setting) -> None:
    ground = c.f["horizon"] - 0.015 * torch.cos(2.2 * at.x)
    depth = (c.Y - ground).clamp_min(0)
    blades = 0.035 * torch.sin(60 * c.Y + 9 * torch.sin(5 * at.x)) * smoothstep(0.05, 0.5, depth)
    c.paint(c.inside(ground - c.Y), c.lit(at.green, at.day * (0.92 + 0.16 * depth + blades)) * at.tint, "grass")
    down = ((c.Y - at.foot) / (1.0 - at.foot)).clamp(0, 1)
    middle = c.f["path_bend"] * down * down + 0.02
    trail = (at.x - middle).abs() - c.f["path_width"] * (0.35 + 1.25 * down)
    trail = torch.maximum(trail, at.foot - c.Y)
    stone = c.lit(c.rgb(0.86, 0.78, 0.64), at.day * (0.95 + 0.05 * torch.sin(40 * c.Y)))
    c.paint(smoothstep(0.01, 0.03, c.f["path_width"]) * c.inside(trail), stone * at.tint, "path")


def _lake(c: Canvas, at: Setting) -> None:
    there, shore = c.there("lake"), ellipse(at.x - 0.10, c.Y - 0.98, c.f["lake_width"], 0.21)
    ripple = 0.05 * torch.sin(70 * (c.Y + 0.01 * torch.sin(9 * at.x)))
    water = (0.55 * at.low + 0.45 * at.top) * (0.86 + ripple * smoothstep(0.72, 0.95, c.Y))[:, None]
    c.paint(there * c.inside(shore - 0.025), at.green * 0.78 * at.day[:, None] * at.tint, "lake")
    c.paint(there * c.inside(shore), water * c.rgb(0.82, 0.94, 1.0), "lake")


def _trees(c: Canvas, at: Setting) -> None:
    """A tree on either side of the house, both round or both conifers."""
    conifer = smoothstep(0.47, 0.53, c.u["tree_kind"])[:, None, None]
    leaf, k = palette(TREE, c.u["tree_colour"]), c.f["tree_size"]
    for name, centre in (("tree_left", -0.74), ("tree_right", 0.76)):
        there, x, y = c.there(name), (at.x - centre) / k, (c.Y - at.foot - 0.05) / k
        bark = c.lit(c.rgb(0.42, 0.30, 0.22), at.day + 0.2 * x * c.f["light"])
        c.paint(there * c.inside(box(x, y + 0.14, 0.035, 0.17, 0.01) * k), bark * at.tint, "trees")
        crown = union(ellipse(x, y + 0.52, 0.22, 0.22), ellipse(x + 0.13, y + 0.38, 0.16, 0.15), 0.08)
        crown = union(crown, ellipse(x - 0.13, y + 0.37, 0.16, 0.15), 0.08)
        tiers = [
            torch.maximum(x.abs() - (y - top) * slope, y - bottom)
            for top, bottom, slope in ((-0.86, -0.50, 0.42), (-0.68, -0.30, 0.46), (-0.50, -0.12, 0.48))
        ]
        shape = crown * (1 - conifer) + torch.stack(tiers).amin(0) * 0.9 * conifer
        shade = at.day * (1.02 + 0.30 * x * c.f["light"] - 0.38 * (y + 0.42))
        shade = shade + 0.05 * torch.sin(24 * x + 5) * torch.sin(22 * y)
        c.paint(there * c.inside(shape * k), c.lit(leaf, shade) * at.tint, "trees")


def _house(c: Canvas, at: Setting) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x from the middle of the house; its half-width; its height; where the eaves are."""
    return at.x + 0.02, c.f["house_width"], c.f["house_height"], at.foot - c.f["house_height"]


def _walls(c: Canvas, at: Setting) -> None:
    x, w, h, _ = _house(c, at)
    shadow = ellipse(x, c.Y - at.foot, w * 1.25, 0.035)
    c.paint(c.inside(shadow), at.green * 0.62 * at.day[:, None] * at.tint, "grass")
    walls = box(x, c.Y - (at.foot - h / 2), w, h / 2, 0.006)
    shade = at.day * (0.97 + 0.14 * x / w * c.f["light"] + 0.025 * torch.sin(110 * c.Y))
    c.paint(c.inside(walls), c.lit(palette(WALL, c.u["wall_colour"]), shade) * at.tint, "house")


def _roof(c: Canvas, at: Setting) -> None:
    (x, w, _, eaves), pitch = _house(c, at), c.f["roof_pitch"]
    chimney = box(x - 0.55 * w, c.Y - (eaves - 0.62 * pitch), 0.045, 0.45 * pitch, 0.004)
    brick = c.lit(c.rgb(0.62, 0.40, 0.34), at.day * (0.95 + 0.06 * torch.sin(90 * c.Y)))
    c.paint(c.there("chimney") * c.inside(chimney), brick * at.tint, "roof")
    slopes = torch.maximum(x.abs() * pitch / (w * 1.18) - (c.Y - eaves + pitch), c.Y - eaves - 0.012) * 0.8
    tiles = 0.05 * torch.sin(75 * c.Y) + 0.02 * torch.sin(60 * x)
    shade = at.day * (0.98 + 0.16 * x / w * c.f["light"] + tiles)
    c.paint(c.inside(slopes), c.lit(palette(ROOF, c.u["roof_colour"]), shade) * at.tint, "roof")


def _door_and_windows(c: Canvas, at: Setting) -> None:
    x, w, h, eaves = _house(c, at)
    frame = c.lit(c.rgb(*PAINT), at.day) * at.tint
    door = box(x, c.Y - (at.foot - 0.125), 0.075, 0.125, 0.014)
    c.paint(c.inside(door - 0.014), frame, "windows")
    wood = c.lit(palette(DOOR, c.u["door_colour"]), at.day * (1.0 + 0.6 * x))
    c.paint(c.inside(door), wood * at.tint, "windows")
    size, y = c.f["window_size"], c.Y - (eaves + 0.42 * h)
    on = smoothstep(0.45, 0.60, c.u["window_light"])[:, None, None, None]
    glass = c.rgb(0.42, 0.55, 0.66) * at.day[:, None] * (1 - on) + c.rgb(1.0, 0.85, 0.45) * on
    for side in (-0.58, 0.58):
        pane = box(x - side * w, y, size, size * 1.15, 0.006)
        bars = torch.minimum((x - side * w).abs(), y.abs()) - 0.006
        c.paint(c.inside(pane - 0.014), frame, "windows")
        c.paint(c.inside(pane), glass, "windows")
        c.paint(c.inside(torch.maximum(pane, bars)), frame, "windows")


def _fence(c: Canvas, at: Setting) -> None:
    """A picket fence with a gap at the path."""
    foot = at.foot + 0.20
    across = (torch.remainder(at.x + 0.06, 0.12) - 0.06).abs()  # from the middle of the nearest post
    posts = torch.maximum(across - 0.018, torch.maximum(foot - 0.13 - c.Y + 0.6 * across, c.Y - foot))
    rails = torch.minimum((c.Y - foot + 0.085).abs(), (c.Y - foot + 0.035).abs()) - 0.010
    gap = 0.15 - (at.x - 0.01).abs()
    fence = torch.maximum(torch.minimum(posts, rails), gap)
    colour = c.lit(c.rgb(0.97, 0.96, 0.93), at.day * 0.98) * at.tint
    c.paint(c.there("fence") * c.inside(fence), colour, "fence")


def _balloon(c: Canvas, at: Setting) -> None:
    there, side = c.there("balloon"), 2 * smoothstep(0.46, 0.54, c.u["balloon_side"])[:, None, None] - 1
    x, y = c.X - 0.46 * side, c.Y + 0.58
    bag = union(ellipse(x, y, 0.145, 0.16), box(x, y - 0.13, 0.05, 0.04, 0.02), 0.08)
    width = 0.145 * (1 - (y / 0.22) ** 2).clamp_min(0.15)
    stripes = 0.5 + 0.5 * torch.tanh(6 * torch.sin(x / width * 6.0))
    cloth = palette(BALLOON, c.u["balloon_colour"])
    cloth = cloth + (c.rgb(0.98, 0.93, 0.84) - cloth) * stripes[:, None]
    shade = (1 - 0.25 * at.night) * (1.02 + 0.9 * x * c.f["light"] - 0.6 * y.clamp_min(0))
    basket = box(x, y - 0.245, 0.034, 0.026, 0.008)
    ropes = torch.maximum((x.abs() - 0.030 - 0.12 * (0.22 - y)).abs() - 0.004, (y - 0.195).abs() - 0.035)
    c.paint(there * c.inside(ropes), c.rgb(0.40, 0.32, 0.26), "balloon")
    c.paint(there * c.inside(basket), c.rgb(0.60, 0.42, 0.26), "balloon")
    c.paint(there * c.inside(bag), c.lit(cloth, shade), "balloon")


SCENES = World(
    name="scenes",
    parts=("sky", "sun", "clouds", "balloon", "mountains", "hills", "grass", "path", "lake", "house", "roof",
           "windows", "trees", "fence"),
    content=FACTORS,
    paint=paint,
    presence={"sun": 0.45, "clouds": 0.40, "balloon": 0.70, "lake": 0.60, "chimney": 0.5, "tree_left": 0.40,
              "tree_right": 0.40, "fence": 0.62},
    fade=0.005,
    shadow=(0.02, 0.0, 0.03),
    key=20241,
    heavy={"sun": 3, "clouds": 2, "balloon": 4, "mountains": 1, "path": 2, "lake": 1, "house": 1, "roof": 1,
           "windows": 4, "trees": 1, "fence": 4},
    swapped={"sky": 2, "sun": 2, "clouds": 2, "balloon": 2, "mountains": 2, "hills": 1, "grass": 2, "path": 2,
             "lake": 2, "house": 3, "roof": 3, "windows": 2, "trees": 4, "fence": 2},
    piece_of={"roof": "house", "windows": "house"},
    examples=(
        (41, ("no tree on the left", "lake")),
        (9, ("no fence",)),
        (13, ("no tree on the right",)),
        (23, ("no lake",)),
        (63, ("no balloon",)),
        (16, ("no clouds",)),
        (45, ("red trees",)),
        (36, ("sunset",)),
        (61, ("higher house", "lower mountains")),
        (29, ("fence", "tree on the left")),
    ),
    rewritten=((28, "snow"), (9, "dry grass"), (36, "sunset"), (26, "night"), (23, "red trees"), (63, "brown walls")),
)  # fmt: skip
