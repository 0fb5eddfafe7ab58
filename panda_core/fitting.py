"""Learn the factors of a generator's layer: samples are drawn for the fit, and what it learned becomes Factors."""

import platform
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

import torch
from torch import Tensor

from .factors import Factors, FactorsInfo, suggest_by_size
from .generators.split import SplitGenerator
from .loading import Loaded
from .method.factorization import fit
from .progress import Progress
from .runtime.devices import in_batches

SAMPLE_SEEDS = 2**31  # samples of a fit take their seeds from here up, away from those that people choose
SOLVER = "accelerated projected gradient, measured step, restarts"


def feature_source(
    generator: SplitGenerator, layer: int, psi: float, class_index: int | None = None, seed: int | None = 0
) -> Callable[[int, int], Tensor]:
    """(first, count) -> Z of samples first ... first + count - 1 at a layer, [count, C, H, W]; the `draw` of a fit.

    Sample i of `seed` has the picture seed 2³¹ + (seed · 10⁶ + i) mod 2³¹; with seed None it has i itself. Without a
    class_index a generator with classes takes class i mod n_classes: all of them in turn.
    """
    generator.check_layer(layer)

    def some(first: int, count: int) -> Tensor:
        numbers = range(first, first + count)
        seeds = numbers if seed is None else [SAMPLE_SEEDS + (seed * 10**6 + i) % 2**31 for i in numbers]
        all_classes = generator.n_classes > 0 and class_index is None
        latents = generator.sample(seeds, psi, 0 if all_classes else class_index)
        if all_classes:
            classes = torch.zeros_like(latents.classes)
            classes[range(count), [i % generator.n_classes for i in numbers]] = 1.0
            latents = replace(latents, classes=classes)
        with torch.inference_mode():
            features = generator.head(latents, layer).features
        if not features.isfinite().all():
            raise ValueError(
                f"Layer {layer} of this generator has values that are not finite at ψ = {psi:g}; nothing is learned "
                "from them. A coarser layer may be sound; else its weights are damaged."
            )
        return features

    return lambda first, count: in_batches(lambda done, n: some(first + done, n), count, max(count, 1))


def batch_for(shape: tuple[int, int, int]) -> int:
    """How many feature maps of this shape one batch takes: 1 to 32, at most 64 MB of float32."""
    C, H, W = shape
    return max(1, min(32, 2**26 // (4 * C * H * W)))


def fit_layer(
    name: str,
    loaded: Loaded,
    layer: int,
    R_C: int | None = None,
    R_S: int = 8,
    samples: int | None = None,
    seed: int = 0,
    psi: float = 0.8,
    class_index: int | None = None,
    report: Callable[[Progress], bool | None] | None = None,
) -> Factors:
    """Learn the factors of one layer of a generator, from samples drawn for it. R_C None: as many as channels."""
    generator = loaded.generator
    draw = feature_source(generator, layer, psi, class_index, seed)
    C, H, W = shape = generator.layers[layer]
    frame = generator.frame(layer)
    inside = None if frame == (0, 0, H, W) else frame
    ranks = C if R_C is None else R_C, R_S
    learned = fit(draw, *ranks, samples, seed, frame=inside, batch=batch_for(shape), report=report)
    made_with = {"torch": torch.__version__, "safetensors": version("safetensors"), "python": platform.python_version()}
    measured = {
        key: getattr(learned, key)
        for key in ("samples", "loss", "energy", "bound", "stability", "things", "background")
    }
    info = FactorsInfo(name, loaded.weights, layer, H, W, class_index, psi, seed=seed, solver=SOLVER,
                       versions=made_with, **measured)  # fmt: skip
    tensors = (learned.appearances, learned.parts, learned.mean, learned.second_moment, learned.sigma)
    return Factors(*(t.cpu() for t in tensors), suggest_by_size(learned.sigma).cpu(), info)


def fit_id(factors: Factors) -> str:
    """The id under which these factors can be fitted again: fit:<layer>,<R_C>,<R_S>,<N>,<seed>,<psi>,<class>."""
    info, (R_C, R_S) = factors.info, factors.sigma.shape
    cls = "all" if info.class_index is None else info.class_index
    return f"fit:{info.layer},{R_C},{R_S},{info.samples},{info.seed},{info.psi:g},{cls}"
