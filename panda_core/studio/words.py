"""What is said of a session's edits and of what they did."""

import math

from torch import Tensor

from ..effects import SEEN, strongest
from ..factors import Factors
from ..generators.registry import GeneratorSpec
from ..regions import Region
from .session import SHARED, Session

ABSENT = ("no ", "nothing ")  # how the names begin of changes by which something goes
LITTLE = 0.02  # share of the way from black to white that is too little to be told of as a mean


def region_words(factors: Factors, region: Region) -> str:
    if region.all:
        return "everywhere"
    if region.mask is not None:
        return "the painted area"
    names = factors.region_name(region.parts)
    return f"the painted piece of {names}" if region.keep is not None else names


def made_by(spec: GeneratorSpec) -> str:
    return f"Generator: {spec.title}. Licence of its weights: {spec.licence}."


def moment_words(session: Session, words: str) -> str:
    """What there is to say when a page has just opened, or a new picture has come; else nothing. words: of the edits
    that are on."""
    before, now = session.past[-1] if session.past else None, session.recipe
    if not words:
        return ""
    if before is None:
        return f"{'From the link' if session.tag == SHARED else 'An example'}: {words}. Click anything to change it."
    if before.edits == now.edits and before != now:
        return f"A new picture with your edits ({words}); Reset takes them off."
    return ""


def change_words(session: Session, words: str, change: Tensor, region: Tensor) -> str:
    """What changed, and how much the rest did.

    words: of the edits that are on. change: mean |after - before| over the channels, [h, w] in [-1, 1] units; region:
    of these edits, [h, w] in [0, 1]. The rest is where the region is below 0.1.
    """
    if not session.recipe.edits:
        which = "Your own picture" if session.recipe.source else "The picture as generated"
        return f"{which}. Click anything to change it."
    if not words:
        return "All edits are off."
    outside = change[region < 0.1]
    if strongest(change) < 2 * SEEN:
        return f"{words[0].upper()}{words[1:]}: no visible change yet; increase the strength."
    if not len(outside):
        return f"{words[0].upper()}{words[1:]}."
    most, mean = float(outside.max()) / 2, float(outside.mean()) / 2
    if most <= LITTLE:
        return f"{words[0].upper()}{words[1:]}; nothing else changed by more than {max(1, math.ceil(100 * most))}%."
    amount = f"{100 * mean:.1f}%" if mean >= 0.0005 else "less than 0.1%"
    return f"{words[0].upper()}{words[1:]}; everything else changed by {amount} on average."
