"""The picture that is edited: hover, click, brush, wipe, difference."""

from .plain import Plain, read


class Picture(Plain):
    """value: {"scene": …, "frame": …}, either may be missing.

    Events: pick (part, several), place (parts or where), paint (rle), pulled (from, to, strength).
    """

    def __init__(self, value=None, **more):
        super().__init__(value, html_template=read("picture.html"), js_on_load=read("picture.js"), **more)
