"""What the edits in hand do elsewhere: on other pictures, and at every strength."""

from dataclasses import replace

import torch

from ..effects import SEEN
from ..images import animation, difference, to_pil
from ..jpegs import FRAME_SIDE, resized, small
from ..ops import OPS
from ..progress import tell
from ..recipes import Recipe
from ..rendering import Renderer
from .pictures import seeds_from
from .room import Room
from .session import Session

OTHERS, STRENGTHS = 16, 13  # pictures; frames from one end of the slider to the other


class Trying(Room):
    def try_others(self, session: Session, report) -> tuple:
        """Makes the next pictures with the edits in hand; returns their key. Raises: Cancelled."""
        recipe = session.recipe
        if not recipe.ordered():
            raise ValueError("There is no edit to try yet; choose a change first.")
        key = ("others", recipe)
        self.pictures.kept.get(key, lambda: self._others(recipe, report))
        return key

    def _others(self, recipe: Recipe, report) -> list[dict]:
        """Before and after of the OTHERS seeds that follow, and whether the edits can be seen there."""
        renderer, made = Renderer(self.renderer.catalogue, cached=8), []  # others' heads stay in the page's own
        for i, seed in enumerate(seeds_from(recipe.seed + 1, OTHERS)):
            tell(report, "Trying other pictures", i, OTHERS)
            other = replace(recipe, seed=seed, source=None)
            before, after = renderer.base(other), renderer.image(other)
            change = difference(after, before)[0].cpu()
            where = [renderer.region_map(other, recipe.edits[k]).cpu() for k in recipe.ordered()]
            inside = [float(change[m >= min(0.5, float(m.max()))].mean()) for m in where]
            pair = small(torch.cat([before, after]))
            made.append({"seed": seed, "seen": min(inside) >= SEEN, "before": pair[0], "image": pair[1]})
        return made

    def tried(self, session: Session) -> list[dict]:
        key = session.made(self.try_others)
        return (key and key[1].generator == session.recipe.generator and self.pictures.kept.get(key)) or []

    def make_film(self, session: Session, report) -> tuple:
        """Makes the animation of the edit in hand, from one end of its slider to the other and back; returns its key,
        whose last is its title. Raises: Cancelled."""
        edit = session.edit
        if edit is None:
            raise ValueError("No edit is chosen; choose a change, or an edit from the list, first.")
        if not edit.on:
            session = session.switch(session.active)
        low, high, *_ = OPS[edit.op].slider
        low, high = min(low, edit.size), max(high, edit.size)
        session = session.set_strength(low)
        title = f"{self.pictures.slider_words(session, session.edit)}: from {low:+.1f} to {high:+.1f}"
        key = ("film", session.recipe, session.active, title)

        def make() -> bytes:
            frames = []
            for i in range(STRENGTHS):
                tell(report, "Drawing pictures", i, STRENGTHS)
                strength = round(low + (high - low) * i / (STRENGTHS - 1), 3)
                picture = self.pictures.picture(session.set_strength(strength))
                frames += to_pil(resized(picture, min(max(picture.shape[-1], 256), FRAME_SIDE)))
            return animation(frames + frames[-2:0:-1])

        self.pictures.kept.get(key, make)
        return key

    def film(self, session: Session) -> bytes | None:
        key = session.made(self.make_film)
        return self.pictures.kept.get(key) if key else None
