"""PandA (ICLR 2023): one appearance added to one part, Z' = Z + α a p̂ᵀ (Sec. 3.3).

As published: the factors, the edit. Adapted: the bundled factors come from the closed solver; candidates are the eight
suggested appearances at the two parts that cover the change best, at every bundled layer (the authors looked at all).
"""

from collections.abc import Iterator

from panda_core.method.editing import add_appearance

from .base import Aim, Candidate, Candidates, Ground, of_features, single_parts


def learn(ground: Ground) -> Candidates:
    def candidates(aim: Aim) -> Iterator[Candidate]:
        for layer, factors in ground.factors.items():
            for k in single_parts(factors, aim.differs)[:2]:
                for j in factors.offered(k, 8):
                    a, p, unit = factors.appearances[:, j], factors.scaled_parts[:, k], factors.alpha_at_part(j, k)
                    words = f"{factors.part_name(k)}, appearance {j}, layer {layer}"
                    edit = of_features(lambda Z, s, a=a, p=p, u=unit: add_appearance(Z, a, p, s * u))
                    yield Candidate(words, layer, edit, 8.0)

    return candidates
