"""What can be read off a picture: its background as a mask, and how much of a factor it shows. Cells of the tables."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.evaluation import mask_iou
from benchmarks.methods.base import along_styles, in_deviations
from benchmarks.methods.ganspace import components
from panda_core.factors import Factors
from panda_core.generators.split import SplitGenerator
from panda_core.method.parts import scale_parts
from tools.worlds import World

CHOSEN_ON, LABELLED = 20_000, 50  # the pictures that appearance, sign and the supervised bound are chosen on
BATCH = 25


def in_batches(seeds: Sequence[int], make: Callable[[Sequence[int]], Tensor]) -> Tensor:
    return torch.cat([make(seeds[i : i + BATCH]) for i in range(0, len(seeds), BATCH)])


def background_truth(world: World, generator: SplitGenerator, seeds: range, size: int) -> Tensor:
    """Exact masks of the background, [N, size, size] booleans."""
    return in_batches(seeds, lambda some: world.of_seeds(some, generator.z_dim, size, 1).masks[:, 0] > 0.5)


def features_of(generator: SplitGenerator, seeds: range, layer: int) -> Tensor:
    return in_batches(seeds, lambda some: generator.head(generator.sample(some, 1.0), layer).features)


def enlarged(maps: Tensor, size: int) -> Tensor:
    """[..., h, w] -> [..., size, size]."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    return F.interpolate(flat, (size, size), mode="bilinear", align_corners=False).reshape(*maps.shape[:-2], size, size)


def best_appearance(Z: Tensor, factors: Factors, exact: Tensor, among: int = 32) -> tuple[int, int]:
    """(number, sign) of the appearance whose mask, at μ, has the largest mean IoU with the exact ones."""
    found = {
        (j, sign): float(mask_iou(appearance_mask(Z, factors, j, sign, exact.shape[-1]), exact).mean())
        for j in range(min(among, factors.appearances.shape[1]))
        for sign in (1, -1)
    }
    return max(found, key=found.__getitem__)


def appearance_mask(Z: Tensor, factors: Factors, number: int, sign: int, size: int) -> Tensor:
    maps = torch.einsum("nchw,c->nhw", Z, factors.appearances[:, number]) - factors.threshold(number)
    return enlarged(sign * maps, size) >= 0


def logistic(fibres: Tensor, labels: Tensor, penalty: float = 1e-3, steps: int = 12) -> Tensor:
    """Weights [C + 1], the last the bias, of a logistic regression by Newton's method; fibres [n, C], labels [n]."""
    X = torch.cat([fibres, torch.ones(len(fibres), 1)], dim=1).double()
    scale = X.square().mean(dim=0).sqrt().clamp_min(1e-9)
    X, y = X / scale, labels.double()
    b = torch.zeros(X.shape[1], dtype=torch.float64)
    ridge = penalty * torch.eye(len(b), dtype=torch.float64)
    for _ in range(steps):
        p = torch.sigmoid(X @ b)
        H = X.t() @ (X * (p * (1 - p))[:, None]) / len(X) + ridge
        b = b - torch.linalg.solve(H, X.t() @ (p - y) / len(X) + penalty * b)
    return (b / scale).float()


@torch.inference_mode()
def background(world: World, generator: SplitGenerator, factors: dict[int, Factors], n: int, shrink: int) -> list[dict]:
    """Rows of the background's table: IoU on n pictures, from seed 0; everything chosen on 50 others."""
    size = generator.resolution // shrink
    labelled, shown = range(CHOSEN_ON, CHOSEN_ON + LABELLED), range(n)
    exact, truth = (background_truth(world, generator, seeds, size) for seeds in (labelled, shown))
    rows = []

    def add(words: str, masks: Tensor) -> None:
        iou = mask_iou(masks, truth)
        rows.append({"words": words, "mean": float(iou.mean()), "median": float(iou.median())})

    for layer, f in factors.items():
        Z, Z_shown = (features_of(generator, seeds, layer) for seeds in (labelled, shown))
        number, sign = best_appearance(Z, f, exact)
        add(f"appearance {number}, layer {layer}", appearance_mask(Z_shown, f, number, sign, size))
        small = F.interpolate(exact[:, None].float(), Z.shape[2:], mode="area")[:, 0] >= 0.5
        b = logistic(Z.flatten(2).mT.reshape(-1, Z.shape[1]), small.flatten())
        bound = torch.einsum("nchw,c->nhw", Z_shown, b[:-1]) + b[-1]
        add(f"logistic regression on the exact masks of the 50, layer {layer}", enlarged(bound, size) >= 0)
    add("latent direction (after Voynov & Babenko)", by_latents(generator, labelled, exact, shown, shrink))
    return rows


def by_latents(generator: SplitGenerator, labelled: range, exact: Tensor, shown: range, shrink: int) -> Tensor:
    """Masks after Voynov & Babenko (2021): where a picture grows lighter along a direction in w, [N, size, size].

    They chose their direction by eye; here it is that of 24 principal components, and the sign, that fits the exact
    masks of 50 pictures best.
    """
    w = generator.styles(generator.sample(range(30_000, 32_000), 1.0))[:, 0]
    V = components(w)[:, :24]

    def lighter(seeds: range, v: Tensor) -> Tensor:
        edit, made = along_styles(in_deviations(v, w), 0, None), []
        for seed in seeds:
            cut = generator.start(generator.sample([seed], 1.0))
            less, more = generator.preview(edit(cut, torch.tensor([-3.0, 3.0])), shrink).clamp(-1, 1).mean(dim=1)
            made.append(more - less)
        return torch.stack(made)

    few = labelled[:8]  # of the 50: 24 directions are drawn on each
    found = {}
    for number, v in enumerate(V.t()):
        grey = lighter(few, v)
        for sign in (1, -1):
            found[number, sign] = float(mask_iou(sign * grey > 0, exact[: len(few)]).mean())
    number, sign = max(found, key=found.__getitem__)
    return sign * lighter(shown, V[:, number]) > 0


def spearman(scores: Tensor, values: Tensor) -> Tensor:
    """Rank correlation of every column of scores [N, n] with values [N]; values without ties."""
    ranks = scores.argsort(dim=0).argsort(dim=0).double()
    other = values.argsort().argsort().double()
    ranks, other = ranks - ranks.mean(dim=0), other - other.mean()
    return ranks.t() @ other / (ranks.norm(dim=0) * other.norm())


@torch.inference_mode()
def ranking(
    world: World, generator: SplitGenerator, factors: dict[int, Factors], n: int, names: list[str]
) -> list[dict]:
    """Rows of the ranking's table: of each kind of score the best with a factor on 200 pictures, |ρ| on n others."""
    chosen, shown = range(CHOSEN_ON, CHOSEN_ON + 200), range(n)
    scores = {
        kind: ([], []) for kind in ("appearance at a part", "appearance anywhere", "variation", "latent direction")
    }
    for which, seeds in enumerate((chosen, shown)):
        latents = generator.sample(seeds, 1.0)
        w = generator.styles(latents)[:, 0]
        if not which:
            V = components(w)[:, :64]
        scores["latent direction"][which].append(w @ V)
        for i in range(0, len(seeds), BATCH):
            cut = generator.start(generator.sample(seeds[i : i + BATCH], 1.0))
            for layer, f in sorted(factors.items()):
                cut = generator.advance(cut, layer)
                Z, A = cut.features, f.appearances[:, :64]
                at = torch.einsum("cj,ncs,sk->njk", A, Z.flatten(2), scale_parts(f.parts))
                found = {
                    "appearance at a part": at.flatten(1),
                    "appearance anywhere": Z.flatten(2).mean(dim=2) @ A,
                    "variation": torch.cat([varied.scores(Z)[:, :8] for varied in f.variations.values()], dim=1),
                }
                for kind, table in found.items():
                    scores[kind][which].append((layer, table))
    rows = []
    u = [world.factors_of_latents(generator.sample(seeds, 1.0).z) for seeds in (chosen, shown)]
    tables = {kind: [_columns(held) for held in pair] for kind, pair in scores.items()}
    for name in names:
        number, row = world.factor_names.index(name), {"factor": name}
        for kind, (known, other) in tables.items():
            best = int(spearman(known, u[0][:, number]).abs().argmax())
            row[kind] = float(spearman(other[:, best : best + 1], u[1][:, number]).abs())
        rows.append(row)
    return rows


def _columns(held: list) -> Tensor:
    """Scores that came layer by layer in batches as one table, [N, n]."""
    if isinstance(held[0], Tensor):
        return held[0]
    layers = dict.fromkeys(layer for layer, _ in held)
    return torch.cat([torch.cat([found for l, found in held if l == layer]) for layer in layers], dim=1)
