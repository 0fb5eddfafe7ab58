"""Object removal (PandA, Sec. 4.1.1): a thing is covered with what the background looks like.

As published: the background's appearance added where the thing is. Adapted: its number, sign and strength come from the
rule of docs/method.md; beside it, as on the page, the whole mean feature of this picture's background cells. Only for
wishes that take something away.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from panda_core.method.editing import add_appearance, background_cells, cover
from panda_core.method.parts import combine_parts

from .base import Aim, Candidate, Candidates, Ground, by_overlap, of_features


def elsewhere(Z: Tensor, a: Tensor, p: Tensor, threshold: float, frame: tuple[int, int, int, int]) -> Tensor:
    """The picture's background cells; where it has none, all that are not in the region."""
    try:
        return background_cells(Z, a, p, threshold, frame)
    except ValueError:
        return p < 0.5


def learn(ground: Ground) -> Candidates:
    def candidates(aim: Aim) -> Iterator[Candidate]:
        for layer, factors in ground.factors.items():
            number, sign = factors.info.background
            a, threshold = sign * factors.appearances[:, number], sign * factors.threshold(number)
            regions = [r for thing in factors.things for r in factors.around(thing)]
            regions += [(k,) for k in range(factors.parts.shape[1])]
            frame = ground.generator.frame(layer)
            for region in by_overlap(factors, list(dict.fromkeys(regions)), aim.differs)[:4]:
                p = combine_parts(factors.parts, region)

                def covered(Z: Tensor, s: Tensor, p=p, a=a, threshold=threshold, frame=frame) -> Tensor:
                    cells = elsewhere(Z, a, p, threshold, frame)
                    return cover(Z.expand(len(s), -1, -1, -1), cells, p, s)

                def papers(Z: Tensor, s: Tensor, p=p, a=a, threshold=threshold, frame=frame) -> Tensor:
                    m = torch.einsum("c,chw->hw", a, Z[0]).flatten()
                    b = m[elsewhere(Z, a, p, threshold, frame)].mean()
                    alpha = (b - p @ m / p.sum()).clamp_min(0) * p.sum() / p.square().sum()
                    return add_appearance(Z, a, p, s * alpha)

                where = f"{factors.region_name(region)}, layer {layer}"
                yield Candidate(f"this picture's background at {where}", layer, of_features(covered), 1.5)
                yield Candidate(f"the background's appearance at {where}", layer, of_features(papers), 1.5)

    return candidates
