"""Popular changes: single edits with a name, "no glasses" or "longer hair", to begin with."""

from dataclasses import dataclass

from .catalogue import Catalogue
from .ops import Edit
from .regions import Region

STRENGTH = 3.0  # standard deviations of an end
SHARE = 0.4  # of the wanted change that an end must make up for, or its name promises too much


@dataclass(frozen=True)
class Change:
    """A named edit. opposite: the name of the other end, which excludes it; note: where it is from."""

    name: str
    edit: Edit
    opposite: str | None = None
    note: str = ""


def popular(catalogue: Catalogue, generator: str) -> tuple[Change, ...]:
    """The ends of named variations that ship with a generator, each name once, by what it makes up for; best first.

    Of one name that several regions or layers have, the one that makes up for most; of what was named by eye the first
    region and variation that has it. A generator with the factors of the
    papers' authors has the edits that they published.
    """
    best: dict[str, tuple[float, Change]] = {}
    for layer, factors_id in catalogue.bundled(generator).items():
        factors = catalogue.factors(generator, factors_id)
        for parts in dict.fromkeys(region for thing in factors.things for region in factors.around(thing)):
            for m in range(len(factors.variations.get(parts, ()))):
                ends = factors.ends(parts, m)
                if ends is None:
                    continue
                sides = (ends.low, ends.high, -STRENGTH), (ends.high, ends.low, STRENGTH)
                note = "found without labels, named " + ("with them" if ends.shares else "by eye")
                for (name, opposite, strength), share in zip(sides, ends.shares or (SHARE, SHARE)):
                    edit = Edit("vary", layer, factors_id, Region(parts), variation=m, strength=strength)
                    if share >= SHARE and share > best.get(name, (0.0,))[0]:
                        best[name] = share, Change(name, edit, opposite, note)
    found = [change for _, change in sorted(best.values(), key=lambda row: -row[0])]
    return tuple(found) + _authors(catalogue, generator)


def _authors(catalogue: Catalogue, generator: str) -> tuple[Change, ...]:
    spec = catalogue.spec(generator)
    pairs = {pair.layer: pair.id for pair in spec.pairs}
    edits = {e.name: Edit("add", e.layer, pairs[e.layer], Region((e.part,)), e.appearance, alpha=e.alpha)
             for e in spec.edits}  # fmt: skip
    return tuple(Change(name, edit, note="from the papers' authors") for name, edit in edits.items())
