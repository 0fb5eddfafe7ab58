"""Rewritings (II 5.5) that make up for a wanted change: which appearance is replaced by which, everywhere."""

from itertools import permutations

import torch
from torch import Tensor

from panda_core.factors import Factors
from panda_core.generators.split import SplitGenerator
from panda_core.method.rewriting import rewrite_concept
from panda_core.method.saliency import saliency
from tools.truth import Task, errors, made_up_for

SOURCES, TARGETS = 6, 24  # appearances tried: those that the pictures show most of, and the leading ones


def rewritten(factors: Factors, Z: Tensor, source: int, target: int, alphas: Tensor) -> Tensor:
    """Z of one picture, [1, C, H, W], rewritten everywhere at several strengths, [n, C, H, W]."""
    a = factors.appearances
    return rewrite_concept(Z.expand(len(alphas), -1, -1, -1), a[:, source], a[:, target], alphas)


@torch.inference_mode()
def best_rewriting(generator: SplitGenerator, factors: Factors, task: Task, alphas: Tensor) -> tuple[int, int, float]:
    """(source, target, share made up for) of the rewriting that makes up for most, one strength a picture."""
    layer = factors.info.layer
    Z = task.cuts[layer].features
    count = min(TARGETS, factors.appearances.shape[1])
    shown = [float(saliency(Z, factors.appearances[:, j]).clamp_min(0).mean()) for j in range(count)]
    sources = sorted(range(count), key=lambda j: -shown[j])[:SOURCES]
    tried = [(j, k) for j, k in permutations(range(count), 2) if j in sources]

    def share(pair: tuple[int, int]) -> float:
        return made_up_for(task, errors(generator, task, layer, lambda i, Z: rewritten(factors, Z, *pair, alphas)))

    best = max(tried, key=share)
    return *best, share(best)
