"""What every room of the page is made with."""

from .opening import Opening
from .pictures import Pictures


class Panel:
    """A tab or panel: it shows a session by `pictures`; `opening`, for those that take recipes from outside."""

    def __init__(self, pictures: Pictures, opening: Opening | None = None):
        self.pictures, self.renderer, self.opening = pictures, pictures.renderer, opening
