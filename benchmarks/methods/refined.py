"""PandA with parts refined for each picture (I Eq. 6): the edit of `appearance`, p̂ where things are here.

As published: dense refinement from the global parts. Adapted: 30 monotone steps instead of 100 of a chosen rate;
candidates as in `appearance`.
"""

import hashlib
from collections.abc import Iterator

from torch import Tensor

from panda_core.factors import Factors
from panda_core.method.editing import add_appearance
from panda_core.method.parts import scale_parts
from panda_core.method.refinement import refine_parts

from .base import Aim, Candidate, Candidates, Ground, of_features, single_parts


def learn(ground: Ground) -> Candidates:
    known: dict[bytes, Tensor] = {}

    def refined(factors: Factors, Z: Tensor) -> Tensor:
        """p̂ of one picture, [S, R_S]; kept, as every candidate and wish asks for the same pictures."""
        key = hashlib.sha1(Z.cpu().numpy().tobytes()).digest()
        if key not in known:
            known[key] = scale_parts(refine_parts(Z, factors.appearances, factors.parts, iterations=30)[0])
        return known[key]

    def candidates(aim: Aim) -> Iterator[Candidate]:
        for layer, factors in ground.factors.items():
            for k in single_parts(factors, aim.differs)[:2]:
                for j in factors.offered(k, 8):
                    a, unit = factors.appearances[:, j], factors.alpha_at_part(j, k)

                    def edit(Z: Tensor, s: Tensor, f=factors, a=a, k=k, unit=unit) -> Tensor:
                        return add_appearance(Z, a, refined(f, Z)[:, k], s * unit)

                    words = f"{factors.part_name(k)}, appearance {j}, layer {layer}"
                    yield Candidate(words, layer, of_features(edit), 8.0)

    return candidates
