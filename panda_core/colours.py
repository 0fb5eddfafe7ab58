"""What a colour is called."""

import math
from collections.abc import Sequence

COLOURS = {  # sRGB, 0 to 255
    "black": (25, 25, 28), "dark grey": (75, 75, 78), "grey": (140, 140, 142), "light grey": (195, 195, 197),
    "white": (242, 242, 242), "dark red": (110, 30, 35), "red": (190, 45, 45), "orange": (225, 130, 50),
    "dark brown": (70, 45, 30), "brown": (120, 75, 45), "light brown": (165, 120, 80), "beige": (215, 185, 150),
    "golden": (215, 165, 60), "yellow": (225, 200, 70), "olive": (125, 120, 50), "dark green": (40, 80, 50),
    "green": (85, 155, 70), "light green": (160, 205, 140), "teal": (50, 130, 130), "dark teal": (25, 75, 80),
    "light blue": (140, 178, 218), "blue": (60, 100, 190), "steel blue": (90, 125, 160),
    "dark blue": (35, 45, 100), "purple": (120, 70, 150), "lilac": (185, 165, 210), "pink": (225, 150, 175),
    "salmon": (220, 145, 120),
}  # fmt: skip
PALER = 1.4  # times less saturated than what is seen is a mean over light and shade
COLOURFUL = 0.05  # chroma from which on a name is of a hue: "red", not "black"
TURNED, PALE = 0.8, 0.2  # cosine to that hue, and share of its chroma, below which a colour is not of it
ALIKE = 12.0  # of 255, in lightness, that nobody sees


def oklab(colour: Sequence[float]) -> tuple[float, float, float]:
    """(L, a, b) of a colour in sRGB, 0 to 255 (Ottosson 2020): equal distances look about equally far apart."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
    red, green, blue = linear
    l = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    m = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    s = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
            1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s)  # fmt: skip


KNOWN = {name: oklab(colour) for name, colour in COLOURS.items()}


def name_of(colour: Sequence[float]) -> str:
    """The nearest name of a mean colour, where a difference in hue counts for more than one in lightness."""
    L, a, b = oklab(colour)
    a, b = PALER * a, PALER * b

    def distance(name: str) -> float:
        l, x, y = KNOWN[name]
        return (L - l) ** 2 + 4 * ((a - x) ** 2 + (b - y) ** 2)

    return min(COLOURS, key=distance)


def names_hue(words: str) -> bool:
    """Whether something is called after a hue: "purple clothes"."""
    return math.hypot(*KNOWN.get(words.partition(" ")[0], (0.0,) * 3)[1:]) >= COLOURFUL


def keeps_word(words: str, colour: Sequence[float]) -> bool:
    """Whether what is called after a hue is of about that hue; true of what is called after none."""
    if not names_hue(words):
        return True
    (_, x, y), (_, a, b) = KNOWN[words.partition(" ")[0]], oklab(colour)
    along = a * x + b * y
    return along >= TURNED * math.hypot(a, b) * math.hypot(x, y) and along >= PALE * (x * x + y * y)


def became(before: Sequence[float], after: Sequence[float]) -> str:
    """What a colour has become: "yellow", or "lighter brown" where it was brown before."""
    name = name_of(after)
    lighter = (sum(after) - sum(before)) / 3
    if name != name_of(before) or abs(lighter) < ALIKE or " " in name:  # "lighter dark grey" nobody says
        return name
    return f"{'lighter' if lighter > 0 else 'darker'} {name}"
