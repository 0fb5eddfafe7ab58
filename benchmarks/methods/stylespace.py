"""StyleSpace (Wu et al., CVPR 2021): one channel of one layer's style.

As published: single channels, ranked by how much of their change falls inside a region; RGB layers left alone. Adapted:
the authors rank by gradients within segmented regions; here each channel is really moved by two standard deviations on
a few pictures, and its squared change in the region of the wish is compared with that in the whole picture. Of the
tenth of the channels that change the region most, the 36 that change the least else are candidates.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import functional_call

from panda_core.generators.split import Cut, SplitGenerator
from panda_core.generators.stylegan2 import upsample_fir

from .base import Aim, Candidate, Candidates, Ground

STEP, BATCH = 2.0, 32


def move_styles(generator: SplitGenerator, i: int, offsets: Callable[[Tensor], Tensor]) -> Callable[[Cut, Tensor], Cut]:
    """Convolution i with its style moved, s + offsets(strengths) [n, C]; a cut at layer i -> one at layer i + 1.

    The styles of all other layers stay, those of the RGB layer that shares this w too.
    """
    conv = generator.convs[i]

    def edit(cut: Cut, strengths: Tensor) -> Cut:
        n = len(strengths)
        bias = conv.affine.bias + offsets(strengths) / conv.affine.bias_gain
        x, w = cut.features.expand(n, -1, -1, -1), cut.carry["ws"].expand(n, -1, -1)[:, i]
        moved = functional_call(conv, {"affine.bias": bias.to(x.dtype)}, (x, w))
        rgb = cut.carry["rgb"]
        if i % 2 == 0:
            rgb = upsample_fir(rgb) + generator.to_rgb[i // 2](moved, cut.carry["ws"][:, i + 1])
        return Cut(moved, i + 1, {"ws": cut.carry["ws"], "rgb": rgb})

    return edit


def channel(generator: SplitGenerator, i: int, c: int, deviation: float) -> Callable[[Cut, Tensor], Cut]:
    def offsets(strengths: Tensor) -> Tensor:
        found = strengths.new_zeros(len(strengths), generator.convs[i].affine.weight.shape[0])
        found[:, c] = strengths * deviation
        return found

    return move_styles(generator, i, offsets)


def learn(ground: Ground) -> Candidates:
    generator, n = ground.generator, max(1, ground.pictures // 2)
    deviations = [conv.affine(ground.w).std(dim=0) for conv in generator.convs[: ground.last]]
    energy: list[Tensor] = []  # of every channel's change, [C, h, w] for every layer
    for i, sizes in enumerate(deviations):
        moves = move_styles(generator, i, lambda rows, sizes=sizes: STEP * torch.diag(sizes)[rows.long()])
        cuts = ground.cuts(n, i)
        total: Tensor | float = 0.0
        for row in range(n):
            cut = cuts[row : row + 1]
            before = generator.preview(cut, ground.shrink)
            changes = [
                (generator.preview(moves(cut, rows.float()), ground.shrink) - before).square().sum(dim=1)
                for rows in torch.arange(len(sizes)).split(BATCH)
            ]
            total = total + torch.cat(changes)
        energy.append(total)

    def candidates(aim: Aim) -> Iterator[Candidate]:
        inside = torch.cat([(e * aim.region).sum(dim=(1, 2)) for e in energy])
        whole = torch.cat([e.sum(dim=(1, 2)) for e in energy])
        names = [(i, c) for i, e in enumerate(energy) for c in range(len(e))]
        share = torch.where(inside >= inside.quantile(0.9), inside / whole.clamp_min(1e-12), -1.0)
        for number in share.topk(min(36, len(share))).indices.tolist():
            i, c = names[number]
            yield Candidate(f"channel {c} of layer {i}", i, channel(generator, i, c, float(deviations[i][c])), 20.0)

    return candidates
