"""Variations (ours): the leading components of a region's features over samples, placed apart, Z' = Z + s E_m.

Not published: docs/method.md, "What varies at a place". Candidates are the stored variations of the two regions that
cover the change best, at every bundled layer.
"""

from collections.abc import Iterator

from panda_core.method.variations import vary

from .base import Aim, Candidate, Candidates, Ground, by_overlap, of_features


def learn(ground: Ground) -> Candidates:
    def candidates(aim: Aim) -> Iterator[Candidate]:
        for layer, factors in ground.factors.items():
            regions = list(dict.fromkeys(region for thing in factors.things for region in factors.around(thing)))
            for region in by_overlap(factors, [r for r in regions if r in factors.variations], aim.differs)[:2]:
                for m in range(len(factors.variations[region])):
                    E = factors.variations[region].direction(m)
                    words = f"{factors.region_name(region)} {m + 1}, layer {layer}"
                    yield Candidate(words, layer, of_features(lambda Z, s, E=E: vary(Z, E, s)))

    return candidates
