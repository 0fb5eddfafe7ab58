"""Named changes ("smile", "no hat") on the picture in hand: which can be seen in it, and at which place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from panda_core.images import difference
from panda_core.ops import Edit
from panda_core.popular import Change, popular

from .panel import Panel
from .pictures import origin
from .session import Session
from .words import SEEN, strongest

SHRINK, FINEST, LARGEST = 4, 64, 128  # a change is looked for in pictures of a quarter of the size, of so many pixels
CLEAR = 0.5  # standard deviations from the mean at which a thing is clearly there, or not: what may help is not hidden
NEAR = 0.06  # of the picture's side: how far round a click counts as clicked
AIMED = 0.25  # of what it does where it does most, that a change must do where it was clicked
HERE = 0.2  # share of all that a change does that must be at a place for it to be offered there


@dataclass(frozen=True)
class Shown:
    """A change, and what it does to this picture: mean |after - before| over the channels, [h, w] in [-1, 1] units."""

    change: Change
    difference: Tensor

    @property
    def is_seen(self) -> bool:
        return strongest(self.difference) >= 2 * SEEN

    def amount(self, where: Tensor) -> float:
        """Mean change in a region, [h, w] in [0, 1]."""
        return float((self.difference * where).sum() / where.sum())

    def share(self, where: Tensor) -> float:
        """How much of what it does lies in a region, [h, w] in [0, 1]."""
        return float((self.difference * where).sum() / self.difference.sum().clamp_min(1e-6))


class Changes(Panel):
    """The named changes of each generator."""

    def known(self, session: Session) -> tuple[Change, ...]:
        """All that have a name, in the order of what they make up for."""
        name = session.recipe.generator
        weights = self.renderer.catalogue.generator(name).weights
        return self.pictures.kept.get(("popular", name, weights), lambda: popular(self.renderer.catalogue, name))

    def shown(self, session: Session) -> list[Shown]:
        """What each does to the picture without edits; drawn once a picture."""
        bare = replace(session.recipe, edits=())
        return (
            self.pictures.kept.get(("shown", origin(bare)), lambda: self._draw(session)) if self.known(session) else []
        )

    def _draw(self, session: Session) -> list[Shown]:
        bare, known, made = replace(session.recipe, edits=()), self.known(session), {}
        side = self.renderer.generator(bare).resolution
        shrink = max(1, min(SHRINK, side // FINEST), side // LARGEST)
        for layer in dict.fromkeys(change.edit.layer for change in known):
            group = [change.edit for change in known if change.edit.layer == layer]
            trials, one = [replace(group[0], on=False), *group], replace(bare, edits=(group[0],))
            images = self.renderer.variants(one, 0, trials, shrink=shrink)
            made |= dict(zip(group, difference(images[1:], images[:1])))
        return [Shown(change, made[change.edit]) for change in known]

    def here(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """The changes that can be seen at the chosen place, or are on there: those first that act most there, or where
        it was clicked, `at`."""
        region, shown = session.region(), self.shown(session)
        if region is None or not shown:
            return []
        size = shown[0].difference.shape
        where = interpolate(self.pictures.region_map(session, region)[None, None], size, mode="area")[0, 0]
        clicked = where
        if at is not None:  # what can be seen elsewhere only is not what was meant
            clicked = around(at, size)
            shown = [s for s in shown if s.amount(clicked) >= max(SEEN, AIMED * strongest(s.difference))]
        found = [s for s in shown if (s.is_seen or session.has(s.change.edit)) and s.share(where) >= HERE]
        found = [s for s in found if not self.is_there(session, s.change.edit) and not self.lacks(session, s.change)]
        return [s.change.edit for s in sorted(found, key=lambda s: -s.share(clicked))]

    def is_there(self, session: Session, edit: Edit, clear: float = CLEAR) -> bool:
        """Whether the picture without edits is at this end already, of a thing that is there or is not ("no hat").

        clear: standard deviations from the mean at which it counts as such.
        """
        if session.has(edit):
            return False
        ends = self.pictures.ends(session, edit)
        if ends is None or ("no " + ends.high != ends.low and "no " + ends.low != ends.high):
            return False
        where = edit.layer, edit.factors, edit.region
        key = "scores", origin(session.recipe), *where

        def scores() -> list[float]:
            features = self.renderer.features(session.recipe, edit.layer).features
            return self.renderer.variations(session.recipe, *where).scores(features)[0].tolist()

        return self.pictures.kept.get(key, scores)[edit.variation] * edit.strength > clear * abs(edit.strength)

    def lacks(self, session: Session, change: Change) -> bool:
        """Whether what this changes ("blue hat") is a thing that the picture has not ("no hat")."""
        others = [c for c in self.known(session) if change.name not in (c.name, c.opposite)]
        gone = [c for c in others if c.name == f"no {c.opposite}"]
        return not session.has(change.edit) and any(
            f" {c.opposite} " in f" {change.name} " and self.is_there(session, c.edit, clear=0.0) for c in gone
        )

    def toggle(self, session: Session, edit: Edit) -> Session:
        """The session with this edit, in place of an opposite one; without it, if it was there."""
        if session.find_like(edit) is None:
            ends = self.pictures.ends(session, edit)
            opposite = ends and (ends.high if edit.strength < 0 else ends.low)
            for i, other in enumerate(session.recipe.edits):
                if opposite == self.pictures.edit_words(session, other):
                    return session.put(i, edit).take_up(i)
        return session.toggle(edit)

    def pairs(self, session: Session, count: int) -> list[tuple[Change, bool]]:
        """Of each pair of opposites the change that shows more in this picture, and whether it can be seen."""
        pairs: dict[frozenset, list[Shown]] = {}
        for shown in self.shown(session):
            pairs.setdefault(frozenset({shown.change.name, shown.change.opposite}), []).append(shown)
        best = [max(pair, key=lambda shown: strongest(shown.difference)) for pair in list(pairs.values())[:count]]
        return [(shown.change, shown.is_seen and not self.lacks(session, shown.change)) for shown in best]


def around(at: tuple[float, float], size: Sequence[int]) -> Tensor:
    """A spot round a point (x, y), as shares of the picture's sides, [h, w] in [0, 1]."""
    y, x = ((torch.arange(n) + 0.5) / n for n in size)
    return torch.exp(-((x - at[0]).square() + (y - at[1]).square()[:, None]) / (2 * NEAR**2))
