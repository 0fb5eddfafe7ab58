"""Transfer: a region's features from another picture, Z' = Z + t p̂ ∗ (Z_other - Z).

After Collins et al., Editing in Style (CVPR 2020), who exchange styles by region; adapted: the features themselves are
exchanged, the styles stay. Candidates are 16 other pictures at the thing that covers the change best, at the first two
bundled layers; which of them is taken is chosen as every other method's direction is.
"""

from collections.abc import Iterator

from panda_core.method.editing import transfer
from panda_core.method.parts import combine_parts

from .base import Aim, Candidate, Candidates, Ground, by_overlap, of_features

OTHERS = 16


def learn(ground: Ground) -> Candidates:
    others = {layer: ground.cuts(OTHERS, layer).features for layer in sorted(ground.factors)[:2]}

    def candidates(aim: Aim) -> Iterator[Candidate]:
        for layer, features in others.items():
            factors = ground.factors[layer]
            p = combine_parts(factors.parts, by_overlap(factors, list(factors.things), aim.differs)[0])
            for number, Z in enumerate(features.split(1)):
                edit = of_features(lambda mine, t, Z=Z, p=p: transfer(mine.expand(len(t), -1, -1, -1), Z, p, t))
                yield Candidate(f"picture {number + 1}, layer {layer}", layer, edit, 1.0)

    return candidates
