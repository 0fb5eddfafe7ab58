"""The portrait world: pictures of people, with glasses, a hat, and an object behind them in a third of the cases."""

import torch
from torch import Tensor

from .drawing import Canvas, box, bump, ellipse, palette, smoothstep, union
from .world import Factor, World

FACTORS = (
    Factor("tilt", -0.05, 0.05, "pose", "head tilted left", "head tilted right"),
    Factor("shift_x", -0.02, 0.02, "pose", "head further left", "head further right"),
    Factor("shift_y", -0.02, 0.02, "pose", "head higher", "head lower"),
    Factor("light", -0.8, 0.8, "pose", "light from the left", "light from the right"),
    Factor("background_colour", 0, 1, "background", "peach background", "yellow background"),
    Factor("background_shade", 0.72, 1.04, "background", "darker background", "lighter background"),
    Factor("background_contrast", 0.05, 0.45, "background", "even background", "shaded background"),
    Factor("skin_tone", 0, 1, "skin", "fair skin", "dark skin"),
    Factor("face_width", 0.42, 0.50, "skin", "narrower face", "wider face"),
    Factor("face_length", 0.58, 0.66, "skin", "shorter face", "longer face"),
    Factor("jaw", 0.05, 0.30, "skin", "broad jaw", "narrow jaw"),
    Factor("blush", 0.0, 0.6, "skin", "pale cheeks", "rosy cheeks"),
    Factor("hair_colour", 0, 1, "hair", "black hair", "blond hair"),
    Factor("hair_length", -0.36, 1.0, "hair", "shorter hair", "longer hair"),
    Factor("hair_volume", 0.05, 0.19, "hair", "flat hair", "full hair"),
    Factor("fringe", -0.56, -0.29, "hair", "higher fringe", "lower fringe"),
    Factor("parting", -0.38, 0.38, "hair", "parted left", "parted right"),
    Factor("eye_size", 0.088, 0.130, "eyes", "smaller eyes", "larger eyes"),
    Factor("eye_openness", 0.26, 1.02, "eyes", "eyes closed", "eyes open"),
    Factor("eye_spacing", 0.185, 0.235, "eyes", "eyes closer", "eyes apart"),
    Factor("gaze", -0.38, 0.38, "eyes", "looking left", "looking right"),
    Factor("iris_colour", 0, 1, "eyes", "brown eyes", "grey eyes"),
    Factor("brow_tilt", -0.26, 0.26, "brows", "stern brows", "worried brows"),
    Factor("brow_height", 0.135, 0.21, "brows", "lower brows", "higher brows"),
    Factor("brow_thickness", 0.012, 0.036, "brows", "thinner brows", "thicker brows"),
    Factor("nose_length", 0.12, 0.21, "nose", "shorter nose", "longer nose"),
    Factor("nose_width", 0.055, 0.105, "nose", "narrower nose", "wider nose"),
    Factor("mouth_width", 0.11, 0.20, "mouth", "narrower mouth", "wider mouth"),
    Factor("mouth_curve", -0.45, 1.0, "mouth", "frown", "smile"),
    Factor("mouth_openness", 0.0, 0.105, "mouth", "mouth closed", "mouth open"),
    Factor("lip_fullness", 0.020, 0.046, "mouth", "thinner lips", "fuller lips"),
    Factor("lip_colour", 0.15, 0.95, "mouth", "pale lips", "red lips"),
    Factor("clothes_colour", 0, 1, "clothes", "red clothes", "purple clothes"),
    Factor("clothes_shade", 0.62, 1.1, "clothes", "darker clothes", "lighter clothes"),
    Factor("neckline", 0.06, 0.26, "clothes", "high neckline", "low neckline"),
    Factor("shoulders", 0.70, 0.98, "clothes", "narrower shoulders", "wider shoulders"),
    Factor("glasses", 0, 1, "glasses", "no glasses", "glasses"),
    Factor("hat", 0, 1, "hat", "no hat", "hat"),
    Factor("hat_colour", 0, 1, "hat", "blue hat", "red hat"),
    Factor("object", 0, 1, "object", "nothing behind", "object behind"),
    Factor("object_kind", 0, 1, "object", "tree behind", "window behind"),
    Factor("object_side", 0, 1, "object", "object on the left", "object on the right"),
)
ZOOM = 1.13  # how large a head is drawn

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


def paint(c: Canvas) -> None:
    """Paint portraits: background, object behind, hair behind, neck and clothes, head, face, hair in front, things."""
    cos, sin = torch.cos(c.f["tilt"]), torch.sin(c.f["tilt"])
    dx, dy = (c.X - c.f["shift_x"]) / ZOOM, (c.Y - c.f["shift_y"] - 0.05) / ZOOM
    x, y = dx * cos + dy * sin, dy * cos - dx * sin  # of the head

    _background(c)
    _object_behind(c)
    hair = _hair_shape(c, x, y)
    _back_hair(c, x, y, hair)
    _neck_and_clothes(c, x, y)
    _head(c, x, y, hair)
    _mouth(c, x, y)
    _nose(c, x, y)
    _eyes_and_brows(c, x, y)
    _front_hair(c, x, y, hair)
    _glasses(c, x, y)
    _hat(c, x, y)


def _background(c: Canvas) -> None:
    first = palette(BACKGROUND, c.u["background_colour"]) * c.f["background_shade"][:, None]
    second = first * (1 - c.f["background_contrast"])[:, None] + 0.10 * palette(
        BACKGROUND[::-1], c.u["background_colour"]
    )
    t = smoothstep(-0.9, 1.1, c.Y + 0.35 * c.X)
    glow = 0.10 * bump((c.X / 0.9) ** 2 + ((c.Y + 0.1) / 0.9) ** 2)
    colour = first * (1 - t)[:, None] + second * t[:, None]
    c.paint(c.everywhere(), colour + glow[:, None], "background")


def _object_behind(c: Canvas) -> None:
    """A tree, a balloon or a window, left or right of the head."""
    there = c.there("object")
    kind = c.u["object_kind"]
    is_tree = (1 - smoothstep(0.31, 0.35, kind))[:, None, None]
    is_window = smoothstep(0.65, 0.69, kind)[:, None, None]
    is_balloon = 1 - is_tree - is_window
    x = c.X - 0.76 * (2 * smoothstep(0.46, 0.54, c.u["object_side"])[:, None, None] - 1)

    y = c.Y + 0.30
    trunk = box(x, y - 0.55, 0.035, 0.5, 0.02)
    crown = union(union(ellipse(x, y + 0.14, 0.17, 0.20), ellipse(x + 0.10, y - 0.04, 0.15, 0.15), 0.06),
                  ellipse(x - 0.10, y - 0.05, 0.15, 0.15), 0.06)  # fmt: skip
    c.paint(there * is_tree * c.inside(trunk), c.rgb(0.50, 0.36, 0.25), "object")
    leaves = c.lit(c.rgb(0.36, 0.60, 0.36), 1.0 - 0.9 * (y - 0.02) + 0.35 * x * c.f["light"])
    c.paint(there * is_tree * c.inside(crown), leaves, "object")

    string = box(x - 0.015 * torch.sin(9 * c.Y), c.Y - 0.42, 0.008, 0.52, 0.004)
    skin = union(ellipse(x, y, 0.19, 0.235), box(x, y - 0.24, 0.03, 0.025, 0.01), 0.04)
    rubber = c.lit(
        c.rgb(0.90, 0.34, 0.40),
        0.92 + 0.5 * bump(((x + 0.06) / 0.07) ** 2 + ((y + 0.09) / 0.09) ** 2) - 0.6 * x * x - 0.8 * y.clamp_min(0),
    )
    c.paint(there * is_balloon * c.inside(string), c.rgb(0.45, 0.42, 0.45), "object")
    c.paint(there * is_balloon * c.inside(skin), rubber, "object")

    y = c.Y + 0.22
    frame = box(x, y, 0.21, 0.34, 0.02)
    pane = torch.maximum(box(x, y, 0.175, 0.305, 0.01), 0.014 - torch.minimum(x.abs(), y.abs()))
    sky = c.rgb(0.62, 0.84, 0.97) + (0.20 * smoothstep(-0.3, 0.35, y))[:, None]
    c.paint(there * is_window * c.inside(frame), c.rgb(0.97, 0.95, 0.91), "object")
    c.paint(there * is_window * c.inside(pane), sky, "object")


def _hair_shape(c: Canvas, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Distances that several hair layers share: the outline of all hair, and the opening that shows the face."""
    a, b = c.f["face_width"] + c.f["hair_volume"], c.f["face_length"] + 0.75 * c.f["hair_volume"]
    cap = ellipse(x, y + 0.06, a, b)
    length = c.f["hair_length"]
    drape = box(x, y - (length - 0.25) / 2, a * (0.97 + 0.06 * y.clamp(-0.5, 1)), (length + 0.25) / 2, 0.14)
    long = smoothstep(0.02, 0.22, length)
    outline = union(torch.maximum(cap, y - length.clamp_min(0.06) - 0.10), drape + 0.35 * (1 - long), 0.10)
    lean = x - c.f["parting"] * (0.30 - y).clamp_min(0) * 0.55
    side = c.f["face_width"] * (0.90 + 0.05 * smoothstep(0.3, 0.9, y))
    upper = ellipse(lean, y - 0.32, side, 0.32 - c.f["fringe"])
    below = torch.maximum(x.abs() - side, 0.32 - y)
    return {"outline": outline, "opening": torch.minimum(upper, below), "length": length}


def _hair_colour(c: Canvas, x: Tensor, y: Tensor) -> Tensor:
    """Hair colour with soft locks and a band of gloss that follows the light."""
    locks = torch.sin(26 * x + 8 * c.f["parting"] * y + 3 * c.f["parting"]) * (0.5 + 0.5 * torch.cos(3 * y))
    r = (
        (x / (c.f["face_width"] + c.f["hair_volume"])) ** 2
        + ((y + 0.06) / (c.f["face_length"] + c.f["hair_volume"])) ** 2
        + 1e-6
    ).sqrt()
    gloss = bump((r - 0.80) / 0.09) * smoothstep(0.10, -0.45, y) * (0.6 + 0.5 * x * c.f["light"] * 2)
    shade = 0.94 + 0.05 * locks + 0.26 * gloss.clamp_min(0) + 0.16 * x * c.f["light"] - 0.22 * smoothstep(-0.1, 0.9, y)
    return c.lit(palette(HAIR, c.u["hair_colour"]), shade)


def _back_hair(c: Canvas, x: Tensor, y: Tensor, hair: dict) -> None:
    colour = palette(HAIR, c.u["hair_colour"]) * (0.66 + 0.10 * x * c.f["light"])[:, None]
    c.paint(c.inside(hair["outline"]), colour, "hair")


def _neck_and_clothes(c: Canvas, x: Tensor, y: Tensor) -> None:
    skin = palette(SKIN, c.u["skin_tone"])
    width = c.f["face_width"] * 0.46
    chin = c.f["face_length"] + 0.02
    neck = torch.maximum(x.abs() - width - 0.5 * (y - 0.78).clamp_min(0) ** 2, 0.25 - y)
    shade = 0.86 + 0.12 * x * c.f["light"] / width * 0.5 - 0.30 * bump((y - chin + 0.02) / 0.13)
    c.paint(c.inside(neck), c.lit(skin, shade), "skin")
    body = union(ellipse(x, y - 1.24, c.f["shoulders"], 0.58), box(x, y - 1.1, width + 0.10, 0.32, 0.08), 0.16)
    opening = ellipse(x, y - 0.68, width * 1.12, c.f["neckline"])
    cloth = torch.maximum(body, -opening)
    colour = palette(CLOTHES, c.u["clothes_colour"]) * c.f["clothes_shade"][:, None]
    shade = 1.0 + 0.22 * x * c.f["light"] - 0.30 * (x / c.f["shoulders"]) ** 4 - 0.10 * bump((y - 0.80) / 0.10)
    c.paint(c.inside(cloth), c.lit(colour, shade), "clothes")
    collar = torch.maximum(torch.maximum(opening - 0.055, -opening), body - 0.01)
    c.paint(c.inside(collar), c.lit(colour, shade * 0.86), "clothes")


def _head(c: Canvas, x: Tensor, y: Tensor, hair: dict) -> None:
    a, b, light = c.f["face_width"], c.f["face_length"], c.f["light"]
    skin = palette(SKIN, c.u["skin_tone"])
    for side in (-1, 1):
        ear = ellipse(x - side * a * 0.985, y - 0.03, 0.075, 0.125)
        hollow = bump(((x - side * a * 1.02) / 0.03) ** 2 + ((y - 0.03) / 0.06) ** 2)
        c.paint(c.inside(ear), c.lit(skin, 0.90 - 0.22 * hollow + side * 0.08 * light), "skin")
    taper = 1 - c.f["jaw"] * (y / b).clamp(0, 1) ** 1.6
    xf = x / taper
    head = ellipse(xf, y, a, b) * taper
    round_ = (1 - (xf / a) ** 2 - (y / b) ** 2).clamp_min(0.0)
    normal_z = (round_ + 1e-4).sqrt()
    shade = 0.80 + 0.24 * normal_z + 0.20 * light * (xf / a) - 0.07 * (y / b)
    overhang = bump((hair["opening"] - 0.01).clamp_max(0) / 0.075) * smoothstep(0.25, -0.25, y)
    shade = shade - 0.20 * overhang
    sockets = bump(((x.abs() - c.f["eye_spacing"]) / 0.15) ** 2 + ((y + 0.05) / 0.10) ** 2)
    colour = c.lit(skin, shade - 0.055 * sockets)
    cheek = c.f["blush"] * bump(((x.abs() - 0.27) / 0.11) ** 2 + ((y - 0.19) / 0.085) ** 2)
    rose = skin * c.rgb(1.0, 0.52, 0.50)
    colour = colour + (rose - colour) * (0.55 * cheek)[:, None]
    c.paint(c.inside(head), colour, "skin")


def _mouth(c: Canvas, x: Tensor, y: Tensor) -> None:
    w, gape, lip = c.f["mouth_width"], c.f["mouth_openness"], c.f["lip_fullness"]
    t = x / w
    arch = (1 - t * t).clamp_min(0)
    soft = (arch + 1e-4).sqrt()
    line = y - 0.37 + c.f["mouth_curve"] * (0.062 * t * t - 0.02)  # 0 on the line between closed lips
    dent = 1 - 0.30 * bump(t / 0.16)
    upper_in, lower_in = -0.25 * gape * arch, 0.95 * gape * arch
    upper_out = upper_in - (0.85 * lip * soft * dent)
    lower_out = lower_in + 1.05 * lip * soft
    ends = x.abs() - w * 1.0
    lips = torch.maximum(torch.maximum(upper_out - line, line - lower_out), ends)
    skin = palette(SKIN, c.u["skin_tone"])
    red = c.rgb(0.80, 0.26, 0.30)
    tint = c.f["lip_colour"][:, None]
    base = skin * 0.80 * (1 - tint) + (0.35 * skin + 0.65 * red) * tint
    shine = bump(((line - lower_in - 0.5 * lip) / (0.35 * lip)) ** 2 + (t / 0.45) ** 2)
    shade = 0.92 + 0.16 * smoothstep(-0.01, 0.03, line - lower_in) + 0.14 * shine
    c.paint(c.inside(lips), c.lit(base, shade), "mouth")
    seam = torch.maximum(torch.maximum(upper_in - 0.007 * soft - line, line - lower_in - 0.007 * soft), ends)
    inside = c.inside(seam)
    dark = c.rgb(0.34, 0.09, 0.11)
    c.paint(inside, dark, "mouth")
    tongue = c.rgb(0.80, 0.36, 0.38)
    c.paint(inside * c.inside(ellipse(x, line - lower_in - 0.012, w * 0.55, 0.45 * gape + 0.004)), tongue, "mouth")
    teeth = c.rgb(0.98, 0.97, 0.94)
    bite = torch.maximum(line - upper_in - 0.42 * gape * soft, x.abs() - 0.86 * w)
    c.paint(inside * c.inside(bite) * smoothstep(0.006, 0.022, gape), teeth, "mouth")


def _nose(c: Canvas, x: Tensor, y: Tensor) -> None:
    tip, w, light = c.f["nose_length"], c.f["nose_width"], c.f["light"]
    skin = palette(SKIN, c.u["skin_tone"])
    bridge = bump(x / (0.45 * w)) * smoothstep(-0.12, 0.02, y) * smoothstep(tip + 0.04, tip - 0.04, y)
    c.paint(0.75 * bridge, c.lit(skin, 1.07 + 0.06 * light * torch.sin(x / w)), "nose")
    ball = union(
        ellipse(x, y - tip, w * 0.62, 0.050), ellipse(x.abs() - w * 0.68, y - tip - 0.010, w * 0.34, 0.034), 0.035
    )
    shade = (
        0.93
        + 0.17 * bump(((x - 0.02 * light) / (0.42 * w)) ** 2 + ((y - tip + 0.015) / 0.030) ** 2)
        + 0.10 * light * x / w
    )
    shade = shade - 0.24 * smoothstep(tip + 0.005, tip + 0.055, y)
    c.paint(torch.sigmoid(-ball / 0.008), c.lit(skin, shade), "nose")
    nostrils = ellipse(x.abs() - 0.42 * w, y - tip - 0.028, 0.24 * w, 0.013)
    c.paint(0.8 * c.inside(nostrils), skin * 0.42, "nose")


def _eyes_and_brows(c: Canvas, x: Tensor, y: Tensor) -> None:
    size, light = c.f["eye_size"], c.f["light"]
    skin, iris, hair = (
        palette(SKIN, c.u["skin_tone"]),
        palette(IRIS, c.u["iris_colour"]),
        palette(HAIR, c.u["hair_colour"]),
    )
    white = c.rgb(0.98, 0.98, 0.99)
    black = c.rgb(0.05, 0.04, 0.06)
    ye = y + 0.045
    xm = x.abs() - c.f["eye_spacing"]  # both eyes at once: outward is positive
    arch = 1 - (xm / (1.12 * size)) ** 2
    slope = (1 + (1.2 * c.f["eye_openness"] * xm / size) ** 2).sqrt()
    upper, lower = -0.95 * size * c.f["eye_openness"] * arch, 0.60 * size * c.f["eye_openness"] * arch
    yl = ye + 0.10 * xm  # the outer corner a little higher
    eye = torch.maximum(upper - yl, yl - lower) / slope
    open_ = c.inside(eye)
    crease = bump((yl - upper + 0.30 * size) / (0.12 * size)) * smoothstep(1.5, 0.6, xm.abs() / size)
    c.paint(0.35 * crease, skin * 0.62, "eyes")
    shade = 1.0 - 0.22 * smoothstep(0.45 * size, -0.1 * size, yl - upper) - 0.10 * (xm / size) ** 2
    c.paint(open_, c.lit(white, shade), "eyes")
    xi = xm - c.f["gaze"] * size * torch.sign(x)
    ri = (xi**2 + (ye - 0.02 * size) ** 2 + 1e-9).sqrt()
    ring = 1.12 - 0.55 * smoothstep(0.36 * size, 0.58 * size, ri) + 0.25 * smoothstep(-0.3 * size, 0.5 * size, ye)
    c.paint(open_ * c.inside(ri - 0.56 * size), c.lit(iris, ring), "eyes")
    c.paint(open_ * c.inside(ri - 0.27 * size), black, "eyes")
    xg = xi - 0.20 * size * torch.tanh(4 * light) * torch.sign(x)  # the highlight lies towards the light in both eyes
    glint = (xg**2 + (ye + 0.22 * size) ** 2 + 1e-9).sqrt()
    c.paint(open_ * c.inside(glint - 0.15 * size), white, "eyes")
    lid = torch.maximum((yl - upper).abs() / slope - 0.13 * size, xm.abs() - 1.16 * size)
    c.paint(0.92 * c.inside(lid), 0.25 * skin + 0.25 * hair, "eyes")
    below = torch.maximum((yl - lower).abs() / slope - 0.03 * size, xm.abs() - 1.0 * size)
    c.paint(0.5 * c.inside(below), skin * 0.55, "eyes")

    t = (xm + 0.02) / (1.45 * size)
    thick = c.f["brow_thickness"] * (1.05 - 0.5 * t.clamp(-1, 1)) * (1 - t**4).clamp_min(0.0).add(1e-4).sqrt()
    centre = y + 0.045 + c.f["brow_height"] - c.f["brow_tilt"] * xm + 0.045 * t * t
    brow = torch.maximum(centre.abs() - thick, t.abs() - 1)
    c.paint(c.inside(brow), 0.62 * hair + 0.06 * skin, "brows")


def _front_hair(c: Canvas, x: Tensor, y: Tensor, hair: dict) -> None:
    end = hair["length"].clamp_min(0.04)
    front = torch.maximum(torch.maximum(hair["outline"], -hair["opening"]), y - end)
    c.paint(c.inside(front), _hair_colour(c, x, y), "hair")


def _glasses(c: Canvas, x: Tensor, y: Tensor) -> None:
    there = c.there("glasses")
    xm, ye = x.abs() - c.f["eye_spacing"] - 0.005, y + 0.035
    lens = box(xm, ye, 0.165, 0.145, 0.11)
    bridge = torch.maximum((ye + 0.03 - 0.6 * x * x).abs() - 0.014, x.abs() - c.f["eye_spacing"] + 0.150)
    temple = torch.maximum((ye + 0.045).abs() - 0.014, torch.maximum(0.16 - xm, x.abs() - c.f["face_width"] * 1.0))
    rim = torch.minimum(torch.minimum(lens.abs() - 0.016, bridge), temple)
    white = c.rgb(1.0, 1.0, 1.0)
    glare = bump((xm * 0.7 + ye + 0.045) / 0.035)
    c.paint(there * c.inside(lens) * (0.10 + 0.22 * glare), white, "glasses")
    dark = c.rgb(0.16, 0.13, 0.17)
    c.paint(there * c.inside(rim), dark, "glasses")


def _hat(c: Canvas, x: Tensor, y: Tensor) -> None:
    """A knitted hat with a turned-up brim."""
    there = c.there("hat")
    a = c.f["face_width"] + 0.9 * c.f["hair_volume"]
    colour = palette(HAT, c.u["hat_colour"])
    crown = torch.maximum(ellipse(x, y + 0.28, a * 1.02, 0.54), y + 0.34)
    shade = (
        1.0
        + 0.22 * x * c.f["light"] / a
        - 0.25 * (x / a) ** 2
        + 0.035 * torch.sin(34 * x)
        - 0.10 * smoothstep(-0.55, -0.40, y)
    )
    c.paint(there * c.inside(crown), c.lit(colour, shade), "hat")
    bobble = ellipse(x, y + 0.80, 0.10, 0.09)
    c.paint(there * c.inside(bobble), c.lit(colour, 1.12 - 0.5 * (y + 0.80)), "hat")
    brim = box(x, y + 0.385 - 0.10 * (x / a) ** 2, a * 1.05, 0.085, 0.06)
    rib = 0.93 + 0.18 * x * c.f["light"] / a - 0.22 * (x / a) ** 2 + 0.05 * torch.sin(46 * x)
    c.paint(there * c.inside(brim), c.lit(colour * 0.90, rib), "hat")


PORTRAITS = World(
    name="portraits",
    parts=("background", "clothes", "skin", "hair", "eyes", "brows", "nose", "mouth", "glasses", "hat", "object"),
    content=FACTORS,
    paint=paint,
    presence={"glasses": 2 / 3, "hat": 2 / 3, "object": 2 / 3},
    fade=0.015,  # 0.005 leaves fewer hats half there; the bundled weights were trained with this
    shadow=(0.04, 0.0, -0.01),
    key=20231,
    heavy={"eyes": 4, "brows": 4, "nose": 3, "mouth": 4, "glasses": 4, "object": 4, "hat": 1},
    swapped={"eyes": 4, "mouth": 4, "glasses": 3, "background": 1, "skin": 2, "hair": 3, "brows": 2, "nose": 2,
             "clothes": 1, "hat": 3, "object": 2},
    rare="object",  # one kind on one side comes once in eighteen pictures: a network leaves it out
    examples=(
        (18, ("shorter hair", "no glasses")),
        (47, ("glasses",)),
        (24, ("no hat", "smile")),
        (52, ("mouth closed",)),
        (23, ("nothing behind",)),
        (9, ("blond hair",)),
        (45, ("longer hair",)),
        (21, ("smile",)),
        (26, ("hat",)),
    ),
)  # fmt: skip
