"""What every room of the studio is made with."""

from .opening import Opening
from .pictures import Pictures


class Room:
    """Does one thing in a session, with what `pictures` shows; `opening`, where recipes come in from outside."""

    def __init__(self, pictures: Pictures, opening: Opening | None = None):
        self.pictures, self.renderer, self.opening = pictures, pictures.renderer, opening
