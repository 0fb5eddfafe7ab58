"""A picture of somebody's own: brought, cropped, found in the generator; then everything works on it."""

import secrets
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..method.inversion import STEPS, Space, invert
from ..own_picture import OwnPicture
from ..reading import read_field
from ..recipes import Recipe
from ..runtime.kept import Kept
from ..uploads import Crop, lighter, prepare_picture
from .opening import Opening
from .pictures import Pictures
from .room import Room
from .session import Session

SEEDS = range(32)  # whose mean picture is the guide
CROP = {  # field -> what it is called, and its ends
    "x": ("Across", 0.0, 1.0),
    "y": ("Down", 0.0, 1.0),
    "zoom": ("Zoom", 0.5, 8.0),
    "turn": ("Turn", -180.0, 180.0),
}


@dataclass(frozen=True)
class Brought:
    """A file of a picture, and what is to be taken of it. ticket: by which its search is told to end early."""

    data: bytes
    crop: Crop
    ticket: str


class Bringing(Room):
    def __init__(self, pictures: Pictures, opening: Opening):
        super().__init__(pictures, opening)
        self.spaces, self._enough = Kept(4), set()

    # ---- bringing and cropping ----

    def take_in(self, session: Session, data: bytes) -> Session:
        """The session holds a file. Raises: ValueError if it is no picture."""
        prepare_picture(data, self.renderer.generator(session.recipe).resolution)
        return session.put_aside("brought", Brought(lighter(data), Crop(), secrets.token_hex(16)))

    def cut(self, session: Session, name: str, value: float) -> Session:
        brought, (words, low, high) = self.brought(session), CROP[name]
        crop = replace(brought.crop, **{name: read_field(words, value, low, high)})
        return session.put_aside("brought", replace(brought, crop=crop))

    def brought(self, session: Session) -> Brought:
        brought = session.aside("brought")
        if brought is None:
            raise ValueError("There is no picture of yours yet; drop, paste or take one first.")
        return brought

    def picture(self, session: Session) -> Tensor:
        """The crop at the generator's size, [1, 3, h, w]."""
        brought = self.brought(session)
        return prepare_picture(brought.data, self.renderer.generator(session.recipe).resolution, brought.crop)

    def usual(self, recipe: Recipe) -> Tensor:
        """The mean of some seeds' pictures, [1, 3, h', w']."""
        plain = replace(recipe, edits=(), source=None)
        key = "usual", plain.generator, plain.class_index
        return self.pictures.kept.get(
            key, lambda: self.renderer.small_pictures(plain, SEEDS).clamp(-1, 1).mean(dim=0, keepdim=True)
        )

    # ---- finding ----

    def find(self, session: Session, report) -> str:
        """Search for the crop in the generator, at the layer in hand; the id of what was found."""
        picture, ticket = self.picture(session), self.brought(session).ticket
        return self.renderer.add_own_picture(self.search(session.recipe, session.layer, picture, report, ticket))

    def search(self, recipe: Recipe, layer: int, picture: Tensor, report, ticket: str = "") -> OwnPicture:
        space = self.space(recipe, report)
        generator, weights = self.renderer.catalogue.generator(recipe.generator)
        self._enough.discard(ticket)

        def told(progress) -> bool:
            return report(progress) is not False and ticket not in self._enough

        found = invert(generator, space, picture, layer, STEPS, told)
        self._enough.discard(ticket)
        return OwnPicture.of(found, 0, picture, space, recipe.generator, weights)

    def space(self, recipe: Recipe, report) -> Space:
        """What is known of a generator, read or measured once."""
        name, kind, catalogue = recipe.generator, recipe.class_index, self.renderer.catalogue
        key = catalogue.generator(name).weights, kind
        return self.spaces.get(key, lambda: catalogue.space(name, kind, report=report).to(torch.device("cpu")))

    def end(self, session: Session) -> None:
        """The search in hand ends with what there is."""
        if brought := session.aside("brought"):
            self._enough.add(brought.ticket)

    # ---- using ----

    def use(self, session: Session, found: str) -> Session:
        """This own picture is the picture in hand, without edits; the old one can be had back."""
        plain = self.renderer.known_picture(found).recipe()
        return self.use_edited(session, replace(plain, psi=session.recipe.psi))

    def use_edited(self, session: Session, recipe: Recipe) -> Session:
        """A recipe of an own picture is in hand; without its edits, and a sentence says why, where they do not work."""
        self.renderer.own_picture(recipe)  # refuses one that has gone meanwhile
        # nothing but what this visit has found or brought opens a recipe of an own picture
        mine = session.aside("mine", frozenset()) | {recipe.source}
        recipe = replace(recipe, weights=None)
        if recipe.generator == session.recipe.generator and not recipe.edits:
            return replace(session.change(recipe), active=None).put_aside("mine", mine)
        known = (*mine, *(factors_id for *_, factors_id in session.factors))
        try:
            opened = self.opening.opened(recipe, known)
        except ValueError as error:
            if not recipe.edits:
                raise
            plain = self.use_edited(session, replace(recipe, edits=()))
            return replace(plain, notice=f"Your picture is here without its edits: {error}")
        return opened.after(session).put_aside("mine", mine)

    def forget(self, sources: frozenset[str]) -> None:
        """These own pictures go from memory, with all that was drawn of them."""
        for source in sources:
            self.renderer.forget_own_picture(source)
            self.pictures.kept.discard(lambda key, source=source: source in repr(key))
