"""Somebody's own picture as a generator draws it: the crop, latents and δ, and edits of it, in one .panda file."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .generators.split import Cut, SplitGenerator
from .method.blending import blend
from .method.inversion import Inversion, Space, first_cut
from .origin import ORIGIN_READERS
from .reading import Reader, read_number, read_object, read_whole
from .recipes import Recipe, parse_recipe
from .runtime.tensor_files import write_tensors

FORMAT = 1
MAX_FILE = 64 * 2**20  # bytes
STAGES = "start", "latents", "styles", "features"
TENSORS = {  # name -> dtype, the numbers of dimensions that it may have, and most values of each
    "picture": (torch.uint8, (3,), 2048),
    "latents": (torch.float32, (1, 2), 8192),
    "delta": (torch.float16, (3,), 8192),
    "sigma": (torch.float32, (1,), 8192),
}


@dataclass(frozen=True, eq=False)
class OwnPicture:
    """A picture and where a generator has it.

    picture: the crop, [3, h, w], 8 bits. latents: ws [n_styles, w_dim], or z [z_dim] in a family without a style space,
    which psi and class_index go with. delta: δ, [C, H, W] in units of sigma, σ [C], added to the features at `layer`.
    generator, weights: name and hash. psnr: dB by stage of the inversion.

    Raises: ValueError if the values do not hold together.
    """

    picture: Tensor
    latents: Tensor
    delta: Tensor
    sigma: Tensor
    layer: int
    generator: str
    weights: str
    psi: float
    class_index: int | None
    psnr: dict[str, float]

    def __post_init__(self) -> None:
        for name, (dtype, ndims, most) in TENSORS.items():
            tensor = getattr(self, name)
            if (
                tensor.dtype != dtype
                or tensor.ndim not in ndims
                or not 1 <= min(tensor.shape) <= max(tensor.shape) <= most
            ):
                raise ValueError(
                    f"{name} has shape {list(tensor.shape)} of {tensor.dtype}; it must have {ndims[-1]} dimensions "
                    f"of at most {most} in {dtype}."
                )
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} holds a value that is not a finite number.")
        if len(self.picture) != 3 or len(self.sigma) != len(self.delta) or bool((self.sigma < 0).any()):
            raise ValueError("the picture must have three channels, and sigma one value >= 0 for each of delta's.")

    @classmethod
    def of(cls, inversion: Inversion, row: int, picture: Tensor, space: Space, generator: str, weights: str) -> Self:
        """One row of what `invert` found for `picture`, [1, 3, h, w] in [-1, 1]."""
        pixels = ((picture[0] + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
        latents, sigma = inversion.latents[row].float().cpu().contiguous(), inversion.sigma.float().cpu()
        delta = inversion.delta[row].to("cpu", torch.float16)
        class_index = None if space.classes is None else int(space.classes.argmax())
        reached = {stage: round(float(values[row]), 2) for stage, values in inversion.psnr.items()}
        return cls(pixels, latents, delta, sigma, inversion.layer, generator, weights, space.psi, class_index, reached)

    @cached_property
    def id(self) -> str:
        """32 hex digits that everything in it decides: what a recipe names as its source."""
        made = hashlib.sha256(self._about().encode())
        for name in TENSORS:
            tensor = getattr(self, name)
            made.update(f"{name} {list(tensor.shape)}".encode())
            made.update(tensor.contiguous().numpy().tobytes())
        return made.hexdigest()[:32]

    @property
    def image(self) -> Tensor:
        """The crop, [1, 3, h, w] in [-1, 1]."""
        return self.picture[None].float() / 127.5 - 1

    def check_fits(self, generator: SplitGenerator, weights: str) -> None:
        """Raise a ValueError that says what does not match this generator, whose weights have this hash."""
        if self.weights != weights:
            raise ValueError(
                f"The file was made with weights {self.weights} of {self.generator}; this generator has {weights}."
            )
        generator.check_layer(self.layer)
        own = generator.styles(generator.sample([0], 1.0, self.class_index))
        latents = (generator.z_dim,) if own is None else tuple(own.shape[1:])
        side = generator.resolution
        wanted = {"picture": (3, side, side), "latents": latents, "delta": generator.layers[self.layer]}
        for name, shape in wanted.items():
            if (found := tuple(getattr(self, name).shape)) != shape:
                raise ValueError(f"{name} in the file has shape {found}; this generator needs {shape}.")

    def cut(self, generator: SplitGenerator, layer: int) -> Cut:
        """The cut at a layer, with σ ∗ δ in it if the layer is δ's own or a later one."""
        classes = None
        if self.class_index is not None:
            classes = torch.zeros(1, generator.n_classes, device=generator.device)
            classes[:, self.class_index] = 1.0
        cut = first_cut(generator, self.latents[None].to(generator.device), self.psi, classes)
        return self.advance(generator, self._with_delta(cut) if cut.layer == self.layer else cut, layer)

    def advance(self, generator: SplitGenerator, cut: Cut, layer: int) -> Cut:
        """generator.advance, but σ ∗ δ is added where the way reaches its layer: for edits before that layer.

        Before a tail or a preview, go at least to `layer`: generator.tail(own.advance(generator, cut,
        max(cut.layer, own.layer))).
        """
        if cut.layer < self.layer <= layer:
            cut = self._with_delta(generator.advance(cut, self.layer))
        return generator.advance(cut, layer)

    def _with_delta(self, cut: Cut) -> Cut:
        return cut.with_features(cut.features + (self.sigma[:, None, None] * self.delta.float()).to(cut.features))

    @torch.inference_mode()
    def reconstruction(self, generator: SplitGenerator) -> Tensor:
        """As the generator draws it, [1, 3, h, w]."""
        return generator.tail(self.cut(generator, self.layer)).cpu()

    def show(self, before: Tensor, after: Tensor) -> Tensor:
        """The picture with an edit: `before` is the reconstruction, `after` what the edit makes of it (`blend`)."""
        return blend(self.image, before, after)

    def _about(self) -> str:
        about = {"generator": self.generator, "weights": self.weights, "class": self.class_index, "psi": self.psi}
        return json.dumps(about | {"layer": self.layer, "psnr": self.psnr}, sort_keys=True, allow_nan=False)

    def recipe(self) -> Recipe:
        """Of this picture, without edits."""
        return Recipe(self.generator, self.weights, self.class_index, psi=self.psi, source=self.id)

    def save(self, path: Path, recipe: Recipe | None = None) -> None:
        """Write one safetensors file, whole or not at all; with a recipe of this picture, its edits too."""
        recipe = self.recipe() if recipe is None else recipe
        self._check_recipe(recipe)
        tensors = {name: getattr(self, name) for name in TENSORS}
        metadata = {"format": f"panda-picture/{FORMAT}", "about": self._about(), "recipe": recipe.to_json()}
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The picture in what `save` wrote; raises as `load_edited`."""
        return cls.load_edited(path)[0]

    @classmethod
    def load_edited(cls, path: Path) -> tuple[Self, Recipe]:
        """What `save` wrote: the picture, and its recipe, of which no factors have been looked for yet.

        Raises: ValueError, in one sentence, if the file is too large, not one of ours, or does not hold together.
        """
        try:
            if (size := path.stat().st_size) > MAX_FILE:
                raise ValueError(f"it has {size / 1e6:.0f} MB; at most {MAX_FILE / 1e6:.0f} are accepted")
            with safe_open(path, "pt") as file:
                metadata, names = file.metadata() or {}, set(file.keys())
                if metadata.get("format") != f"panda-picture/{FORMAT}" or names != set(TENSORS):
                    raise ValueError("it is not a .panda file that this page, or a page as new, has made")
                about = read_object(
                    "the file", " of the file", json.loads(metadata.get("about", "")), ABOUT, set(ABOUT)
                )
                tensors = {name: file.get_tensor(name) for name in TENSORS}
            about["class_index"] = about.pop("class")
            own = cls(**tensors, **about)
            recipe = parse_recipe(metadata["recipe"]) if "recipe" in metadata else own.recipe()
            own._check_recipe(recipe)
            return own, recipe
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path.name[:80]} cannot be opened: it is not a readable .panda file.") from error
        except (ValueError, TypeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise ValueError(f"{path.name[:80]} cannot be opened: {reason}.") from error

    def _check_recipe(self, recipe: Recipe) -> None:
        if (recipe.source, recipe.generator) != (self.id, self.generator):
            raise ValueError("the recipe in the file is of another picture")


def _read_psnr(what: str, given: Any) -> dict[str, float]:
    read = partial(read_number, low=-100, high=200)
    return read_object(what, " of psnr", given, dict.fromkeys(STAGES, read), {"start"})


ABOUT: dict[str, Reader] = {
    **{name: ORIGIN_READERS[name] for name in ("generator", "weights", "class", "psi")},
    "layer": partial(read_whole, low=0, high=99),
    "psnr": _read_psnr,
}
