"""LELSD (Pajouheshgar et al., ICASSP 2022): directions in w learned so that features change inside a region only.

As published: maximise the share of the squared change of features that lies inside the region, summed over layers, by
Adam, with several directions at once kept apart. Adapted: features of the layers up to 32 x 32 cells, 16 steps of two
pictures each (theirs: many more), the region of the wish in place of a segmentation, one w for all layers; each of the
four directions is tried in three ranges of layers.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.generators.split import Cut, SplitGenerator

from .base import LEARNED_ON, Aim, Candidate, Candidates, Ground, along_each_style, directions_as_candidates

DIRECTIONS, STEPS, PICTURES = 4, 16, 2


def share_inside(generator: SplitGenerator, before: Cut, after: Cut, region: Tensor, layers: list[int]) -> Tensor:
    """Of the squared change of features the share inside the region [h, w], mean over layers; [N]. Cuts at layer 0."""
    shares = []
    for layer in layers:
        before, after = generator.advance(before, layer), generator.advance(after, layer)
        change = (after.features - before.features).square().sum(dim=1)
        M = F.interpolate(region[None, None], change.shape[1:], mode="area")[0, 0]
        shares.append((change * M).sum(dim=(1, 2)) / change.sum(dim=(1, 2)).clamp_min(1e-12))
    return torch.stack(shares).mean(dim=0)


@torch.inference_mode(False)
def directions(ground: Ground, region: Tensor, count: int = DIRECTIONS, steps: int = STEPS) -> Tensor:
    """Unit directions, the columns of [w_dim, count]."""
    generator, region, w = ground.generator, region.clone(), ground.w.clone()
    layers = [l for l, (_, height, _) in generator.layers.items() if l % 2 and 8 <= height <= 32]
    size = w.std(dim=0).norm()
    rng = torch.Generator().manual_seed(LEARNED_ON)
    V = torch.randn(count, w.shape[1], generator=rng).requires_grad_()
    adam = torch.optim.Adam([V], lr=0.1)
    with torch.enable_grad():
        for _ in range(steps):
            unit = F.normalize(V, dim=1)
            gain = 0.0
            for row in torch.randint(len(w), (PICTURES,), generator=rng).tolist():
                cut = generator.from_styles(w[row].expand(1, len(generator.convs) + 1, -1))
                sign = 1 - 2 * float(torch.rand((), generator=rng) < 0.5)
                gain = (
                    gain
                    + share_inside(generator, cut, along_each_style(sign * size * unit)(cut), region, layers).mean()
                )
            alike = (unit @ unit.t() - torch.eye(count)).square().mean()
            loss = alike - gain / PICTURES
            adam.zero_grad()
            loss.backward()
            adam.step()
    return F.normalize(V.detach(), dim=1).t()


def learn(ground: Ground) -> Candidates:
    known: dict[bytes, Tensor] = {}

    def candidates(aim: Aim) -> Iterator[Candidate]:
        key = aim.region.numpy().tobytes()
        if key not in known:
            known[key] = directions(ground, aim.region)
        yield from directions_as_candidates(ground, known[key], "direction")

    return candidates
