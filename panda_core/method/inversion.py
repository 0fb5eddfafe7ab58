"""Find a given picture in a generator: latents first, then what the features of one layer lack.

Four stages, each from where the one before ended: a start, from the pictures of seeds; w; a w for every layer (W+); and
the head frozen, Z = Z_W+ + σ ∗ δ at one layer. Families without a style space look for z and have no third stage. The
prior is a Gaussian over w with the last leaky ReLU undone, as in II2S (Zhu et al., 2020) and BDInvert (Kang et al.,
ICCV 2021), which has δ too. That every step is taken in coordinates whitened by it, and the start, are our own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..generators.split import Cut, Latents, SplitGenerator
from ..progress import Cancelled, Progress, Report
from ..runtime.tensor_files import write_tensors
from ..shapes import check_shape

SLOPE = 0.2  # of the leaky ReLU that ends every mapping network
MAPPED = 4096  # latents that the Gaussian is measured on
LEAST = 1e-4  # of the largest variance: what every whitened direction has at least
THUMBNAIL = 16  # pixels at which seeds are compared
FAITHFUL = 25.0  # dB: how like the picture shrunk a preview must be to stand for it
SMALLEST = 32, 8  # pixels of the smallest preview, and of the smallest size in the loss
BATCH = 8  # pictures of seeds drawn at once
STEPS = 30, 30, 100  # of w, W+ and δ, at most
ENOUGH = 35.0  # dB of all pictures: on to the next size, or stage
RATES = 0.2, 0.1, 0.1  # Adam's, in standard deviations
PRIOR, NEAR, SMALL = 1e-3, 1e-2, 1e-3  # weights of mean p², mean (p+ - p)² and mean δ² beside `distance`


def psnr(images: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of pictures [N, 3, h, w] in [-1, 1], [N] in dB."""
    error = (images.detach().float().clamp(-1, 1) - target.float()) / 2
    return -10 * error.square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()


def first_cut(generator: SplitGenerator, latents: Tensor, psi: float = 1.0, classes: Tensor | None = None) -> Cut:
    """Where pictures start: from ws [N, n_styles, w_dim], or from z [N, z_dim] in a family without a style space."""
    latents = latents.to(next(generator.parameters()).dtype)
    if latents.ndim == 3:
        return generator.from_styles(latents)
    return generator.start(Latents(latents, psi, None if classes is None else classes.expand(len(latents), -1)))


@dataclass(frozen=True)
class Space:
    """What must be known of a generator before pictures can be looked for in it; measured once, used for all.

    A point is p, [N, d], or [N, n_styles, d] for W+, of which samples have mean 0 and covariance 1: z, or w with its
    leaky ReLU undone, is mean + p root.

    psi, classes: of z, in families without a style space; classes [1, n_classes]. n_styles: 0 in those. thumbnails: of
    seeds 0, 1, ..., [n, 3 · 16²]; points: theirs, [n, d]. sigma: layer -> standard deviation of every channel, [C].
    shrink: how much smaller previews may be and still show the picture. It holds no generator, so that it can be kept
    and sent; all that uses it must be given the same one.
    """

    psi: float
    classes: Tensor | None
    n_styles: int
    mean: Tensor
    root: Tensor
    thumbnails: Tensor
    points: Tensor
    sigma: dict[int, Tensor]
    shrink: int

    @classmethod
    def measure(
        cls,
        generator: SplitGenerator,
        psi: float = 1.0,
        class_index: int | str | None = None,
        seeds: int = 512,
        report: Report | None = None,
    ) -> Self:
        """Measure on the pictures of so many seeds. psi counts only where there is no style space.

        Raises: ValueError for ψ or a class that the generator has not; Cancelled once report(Progress) is False.
        """
        with torch.inference_mode(False), torch.no_grad():
            return cls._measure(generator, psi, class_index, seeds, report)

    @classmethod
    def _measure(cls, generator, psi, class_index, seeds, report) -> Self:
        dtype = next(generator.parameters()).dtype
        one = generator.sample([0], psi, class_index)
        classes = None if one.classes is None else one.classes.to(dtype)
        styled = generator.styles(Latents(one.z.to(dtype), 1.0, classes)) is not None
        psi = 1.0 if styled else psi

        def latents(first: int, count: int) -> Tensor:
            z = generator.sample(range(first, first + count), psi, class_index).z.to(dtype)
            every = None if classes is None else classes.expand(count, -1)
            return generator.styles(Latents(z, psi, every)) if styled else z

        def draw(first: int, count: int) -> Cut:
            return first_cut(generator, latents(first, count), psi, classes)

        many = torch.cat([_undone(latents(first, 256)) for first in range(0, MAPPED, 256)]).double()
        if styled:
            mean = many.mean(dim=0)
            variance, V = torch.linalg.eigh((many - mean).t() @ (many - mean) / len(many))
            std = variance.clamp_min(LEAST * variance.max()).sqrt()
            root, whiten = std[:, None] * V.t(), V / std
        else:
            mean, std, same = many.new_zeros(many.shape[1]), many.std(), torch.eye(many.shape[1]).to(many)
            root, whiten = same * std, same / std
        points = torch.cat([_undone(latents(first, 256)) for first in range(0, seeds, 256)])[:seeds].double()
        points = (points - mean) @ whiten

        sigma, shrink, thumbnails = {}, 1, []
        for first in range(0, seeds, BATCH):
            cut = draw(first, min(BATCH, seeds - first))
            if first == 0:
                shrink, at = _faithful(generator, cut[:2]), cut
                for layer in generator.layers:
                    at = generator.advance(at, layer)
                    sigma[layer] = at.features.float().std(dim=(0, 2, 3))
            small = F.adaptive_avg_pool2d(look(generator, cut, shrink).float(), THUMBNAIL)
            thumbnails.append(small.flatten(1))
            if report is not None and report(Progress("sampling", first + len(small), seeds)) is False:
                raise Cancelled
        measured = (t.float() for t in (mean, root, torch.cat(thumbnails), points))
        n_styles = latents(0, 1).shape[1] if styled else 0
        return cls(psi, classes, n_styles, *measured, sigma, shrink)

    def save(self, path: Path, weights: str) -> None:
        """Write one safetensors file, of a generator with a style space and without classes, whose hash is `weights`.

        Raises: ValueError for any other generator: what is measured there holds for one ψ or class.
        """
        if not self.n_styles or self.classes is not None:
            raise ValueError("Only what holds for every picture of a generator is kept in a file.")
        tensors = {name: getattr(self, name).half() for name in ("mean", "root", "points")}
        tensors["thumbnails"] = ((self.thumbnails.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        tensors |= {f"sigma.{layer}": sigma.half() for layer, sigma in self.sigma.items()}
        about = {"weights": weights, "n_styles": str(self.n_styles), "shrink": str(self.shrink)}
        write_tensors(path, tensors, about)

    @classmethod
    def load(cls, path: Path, weights: str) -> Self:
        """Read what `save` wrote for these weights.

        Raises: ValueError if it is damaged, or of other weights.
        """
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name).float() for name in sorted(file.keys())}
            if about.get("weights") != weights:
                raise ValueError(f"it was measured with weights {about.get('weights')}, not {weights}")
            sigma = {int(name[6:]): tensors.pop(name) for name in list(tensors) if name.startswith("sigma.")}
            tensors["thumbnails"] = tensors["thumbnails"] / 127.5 - 1
            return cls(1.0, None, int(about["n_styles"]), sigma=sigma, shrink=int(about["shrink"]), **tensors)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name} cannot be used: {error}.") from error

    @cached_property
    def readout(self) -> Tensor:
        """From thumbnails to points, [3 · 16², d]: ridge regression on the seeds."""
        X, Y = self.thumbnails.double(), self.points.double()
        return _ridge(X - X.mean(dim=0), Y - Y.mean(dim=0)).float()

    def to(self, device: torch.device) -> Self:
        if self.mean.device == device:
            return self
        moved = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **moved, sigma={layer: sigma.to(device) for layer, sigma in self.sigma.items()})

    def latents(self, points: Tensor) -> Tensor:
        """ws [N, n_styles, w_dim] or z [N, z_dim] of points."""
        x = self.mean + points @ self.root
        if not self.n_styles:
            return x
        w = F.leaky_relu(x, SLOPE)
        return w if w.ndim == 3 else w[:, None].expand(-1, self.n_styles, -1)

    def begin(self, generator: SplitGenerator, points: Tensor) -> Cut:
        return first_cut(generator, self.latents(points), self.psi, self.classes)

    def nearest(self, pictures: Tensor) -> Tensor:
        """The points of the seeds whose pictures are nearest at 16 pixels, [N, d]."""
        small = F.adaptive_avg_pool2d(pictures, THUMBNAIL).flatten(1)
        return self.points[torch.cdist(small, self.thumbnails).argmin(dim=1)]

    def guess(self, pictures: Tensor) -> Tensor:
        """Points read linearly from pictures at 16 pixels, by ridge regression on the seeds, [N, d]."""
        small = F.adaptive_avg_pool2d(pictures, THUMBNAIL).flatten(1)
        return self.points.mean(dim=0) + (small - self.thumbnails.mean(dim=0)) @ self.readout


def look(generator: SplitGenerator, cut: Cut, shrink: int) -> Tensor:
    """Pictures at 1/shrink of their size."""
    return generator.preview(cut, shrink) if shrink > 1 else generator.tail(cut)


def _undone(latents: Tensor) -> Tensor:
    """w before its leaky ReLU, up to a factor, or z as it is: [N, d] of ws or z."""
    return latents if latents.ndim == 2 else F.leaky_relu(latents[:, 0], 1 / SLOPE)


def _faithful(generator: SplitGenerator, cut: Cut) -> int:
    """How far previews can be shrunk: published StyleGAN2 shows its colours at full size only, ours at a quarter.

    1 where a preview is the picture shrunk, for then it was drawn whole and saves nothing.
    """
    full, shrink = generator.tail(cut).float(), 1
    while generator.resolution // (2 * shrink) >= SMALLEST[0]:
        small, preview = F.avg_pool2d(full, 2 * shrink), generator.preview(cut, 2 * shrink).float()
        near = psnr(preview, small.clamp(-1, 1))
        if torch.allclose(preview, small) or not bool((near >= FAITHFUL).all()):
            break
        shrink *= 2
    return shrink


def _ridge(X: Tensor, Y: Tensor) -> Tensor:
    """B, [D, d], with X B ≈ Y for centred X [n, D] and Y [n, d]; the penalty of least leave-one-out error."""
    s, U = torch.linalg.eigh(X @ X.t())
    best, kept = math.inf, None
    for penalty in s.max() * torch.logspace(-6, 0, 13).to(s):
        weights = 1 / (s.clamp_min(0) + penalty)
        dual = U @ (weights[:, None] * (U.t() @ Y))  # [n, d]
        left_out = dual / (U.square() @ weights)[:, None]  # what each row would miss, were it not there
        if (error := float(left_out.square().mean())) < best:
            best, kept = error, dual
    return X.t() @ kept


@dataclass(frozen=True)
class Inversion:
    """Pictures as a generator draws them.

    latents: ws [N, n_styles, w_dim], or z [N, z_dim]; delta: δ, [N, C, H, W], in units of sigma, σ [C], at `layer`.
    images: [N, 3, h, w]. psnr: by stage, [N] in dB: start, latents, styles (only with a style space), features.
    """

    latents: Tensor
    layer: int
    delta: Tensor
    sigma: Tensor
    images: Tensor
    psnr: dict[str, Tensor]


def pyramid(pictures: Tensor) -> dict[int, Tensor]:
    """Pictures at their size, halved again and again down to 8 pixels: by number of rows."""
    levels = {pictures.shape[-1]: pictures}
    while min(levels) >= 2 * SMALLEST[1]:
        levels[min(levels) // 2] = F.avg_pool2d(levels[min(levels)], 2)
    return levels


def distance(images: Tensor, target: dict[int, Tensor]) -> Tensor:
    """Σ over sizes of mean |x - y| + mean |∂x - ∂y| along both axes, [N]; from the size of the images downwards."""
    total = 0.0
    for size, level in pyramid(images.float()).items():
        error = level - target[size]
        total = total + sum(e.abs().mean(dim=(1, 2, 3)) for e in (error, error.diff(dim=-1), error.diff(dim=-2)))
    return total


def invert(
    generator: SplitGenerator,
    space: Space,
    pictures: Tensor,
    layer: int,
    steps: Sequence[int] = STEPS,
    report: Report | None = None,
) -> Inversion:
    """Find pictures in a generator, side by side.

    min over p of D(G(p)) + λ mean p²; over p+, from p, of D(G(p+)) + μ mean (p+ - p)²; over δ, from 0, of
    D(G[l:](Z + σ ∗ δ)) + ν mean δ²; D is `distance` to the picture. Small previews come first, then larger ones. No
    stage ends further away than the one before: of a picture that would, it is undone.

    Args:
        space: as measured on this generator.
        pictures: [N, 3, h, w] in [-1, 1], of the generator's size.
        layer: of δ; the edits' own.
        steps: Adam's, for w, W+ and δ, at most; W+ has none where there is no style space.
        report: called with Progress after every step, and with whole pictures after every stage; False stops, and
            what there is so far is returned.
    Raises: ValueError if the pictures have another size, or there is no such layer.
    """
    side = generator.resolution
    check_shape("pictures", pictures, N=None, channels=3, h=side, w=side)
    generator.check_layer(layer)
    with torch.inference_mode(False), torch.enable_grad():
        pictures = pictures.to(generator.device).float().clone()
        return _Search(generator, space.to(generator.device), pictures, report).run(layer, *steps)


class _Search:
    """One call of `invert`: the pictures looked for, how near the best found are, and whether it was told to stop."""

    def __init__(self, generator: SplitGenerator, space: Space, pictures: Tensor, report: Report | None):
        self.generator, self.space, self.pictures, self.report = generator, space, pictures, report
        self.target, self.psnr, self.stopped = pyramid(pictures), {}, False

    def run(self, layer: int, w_steps: int, wplus_steps: int, delta_steps: int) -> Inversion:
        generator, space = self.generator, self.space
        begin, coarse, middle = partial(space.begin, generator), space.shrink, max(1, space.shrink // 2)
        nearest, p = space.nearest(self.pictures), space.guess(self.pictures)
        with torch.no_grad():
            self.images = generator.tail(begin(nearest)).float()
            self.distance = distance(self.images, self.target)
        p = self.settle("start", 1, nearest, p, begin)
        p = self.descend("latents", p, begin, lambda p: PRIOR * _mean(p.square()), RATES[0], [(w_steps, coarse)])
        if space.n_styles:
            near, half = p[:, None].expand(-1, space.n_styles, -1), wplus_steps // 2
            sizes = [(wplus_steps - half, coarse), (half, middle)]
            p = self.descend("styles", near, begin, lambda p: NEAR * _mean((p - near).square()), RATES[1], sizes)
        with torch.no_grad():
            latents, cut = space.latents(p), generator.advance(begin(p), layer)
        sigma = space.sigma[layer][:, None, None]

        def with_delta(delta: Tensor) -> Cut:
            return cut.with_features(cut.features + (sigma * delta).to(cut.features))

        delta, last = torch.zeros_like(cut.features, dtype=torch.float32), delta_steps // 4
        sizes = [(delta_steps - last, middle), (last, 1)]
        delta = self.descend("features", delta, with_delta, lambda d: SMALL * _mean(d.square()), RATES[2], sizes)
        return Inversion(latents, layer, delta, space.sigma[layer], self.images, self.psnr)

    def descend(
        self,
        stage: str,
        start: Tensor,
        cut_of: Callable[[Tensor], Cut],
        penalty: Callable[[Tensor], Tensor],
        rate: float,
        sizes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Adam's steps of one stage, so many at each size, (steps, shrink); where it ends, or the start if nearer."""
        total, done = sum(steps for steps, _ in sizes), 0
        if self.stopped or not total:
            return start
        v = start.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([v], betas=(0.9, 0.99))
        for steps, shrink in sizes:
            for i in range(done, done + steps):
                decay = 0.05 + 0.95 * (1 + math.cos(math.pi * i / total)) / 2
                optimiser.param_groups[0]["lr"] = rate * min(1.0, (i + 1) / 3) * decay
                images = look(self.generator, cut_of(v), shrink)
                optimiser.zero_grad()
                (distance(images, self.target) + penalty(v)).sum().backward()  # pictures do not see each other
                optimiser.step()
                if i + 1 < total and self.tell(stage, i + 1, total, images):
                    return self.settle(stage, total, start, v.detach(), cut_of)
                if bool((psnr(images, self.target[images.shape[-1]]) >= ENOUGH).all()):
                    break
            done += steps
        return self.settle(stage, total, start, v.detach(), cut_of)

    @torch.no_grad()
    def settle(self, stage: str, total: int, old: Tensor, new: Tensor, cut_of: Callable[[Tensor], Cut]) -> Tensor:
        """The new of the pictures that it brings nearer, the old of the others; seen at full size."""
        images = self.generator.tail(cut_of(new)).float()
        found = distance(images, self.target)
        nearer = found < self.distance  # not where it is no number

        def pick(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(nearer.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        self.images, self.distance = pick(images, self.images), pick(found, self.distance)
        self.psnr[stage] = psnr(self.images, self.pictures)
        if not self.stopped:
            self.tell(stage, total, total, self.images)
        return pick(new, old)

    def tell(self, stage: str, done: int, total: int, images: Tensor) -> bool:
        """Whether to stop."""
        if self.report is not None:
            images = images.detach().float()
            near = psnr(images, self.target[images.shape[-1]])
            self.stopped = self.report(Progress(stage, done, total, images=images, psnr=near)) is False
        return self.stopped


def _mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(dim=1)
