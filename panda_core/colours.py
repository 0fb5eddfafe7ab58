"""What a colour is called."""

from collections.abc import Sequence

COLOURS = {  # sRGB, 0 to 255
    "black": (25, 25, 28), "dark grey": (75, 75, 78), "grey": (140, 140, 142), "light grey": (195, 195, 197),
    "white": (242, 242, 242), "red": (185, 45, 45), "orange": (225, 130, 50), "brown": (120, 75, 45),
    "beige": (215, 185, 150), "golden": (215, 165, 60), "yellow": (225, 200, 70), "olive": (125, 120, 50),
    "green": (85, 155, 70), "dark green": (40, 80, 50), "teal": (50, 130, 130), "light blue": (150, 195, 230),
    "blue": (60, 100, 190), "dark blue": (35, 45, 100), "purple": (120, 70, 150), "pink": (225, 150, 175),
}  # fmt: skip
ALIKE = 12.0  # of 255, in lightness, that nobody sees


def name_of(colour: Sequence[float]) -> str:
    """The nearest name, by a distance weighted as the eye does: the "redmean" of sRGB."""

    def distance(other: Sequence[int]) -> float:
        red = (colour[0] + other[0]) / 512
        weights = 2 + red, 4, 3 - red
        return sum(w * (a - b) ** 2 for w, a, b in zip(weights, colour, other))

    return min(COLOURS, key=lambda name: distance(COLOURS[name]))


def became(before: Sequence[float], after: Sequence[float]) -> str:
    """What a colour has become: "yellow", or "lighter brown" where it was brown before."""
    name = name_of(after)
    lighter = (sum(after) - sum(before)) / 3
    if name != name_of(before) or abs(lighter) < ALIKE or " " in name:  # "lighter dark grey" nobody says
        return name
    return f"{'lighter' if lighter > 0 else 'darker'} {name}"
