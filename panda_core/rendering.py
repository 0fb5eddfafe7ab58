"""Recipes -> pictures: heads shared between edits, variants in one batch, only the tail for a slider's tick."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .catalogue import Catalogue
from .factors import Factors, scale_parts
from .fitting import feature_source
from .generators.split import Cut, SplitGenerator
from .method.editing import add_appearance, background_cells, combine_parts, cover_alphas, extend_from_frame
from .method.refinement import refine_parts
from .method.rewriting import rewrite_concept
from .method.saliency import find_background, saliency
from .presets import LOOKS
from .recipes import Edit, Recipe, Region
from .runtime.devices import in_batches
from .runtime.lru import LRUCache

SMALL = 128  # pixels; a picture up to this size is its own thumbnail


@dataclass(frozen=True)
class Step:
    """One edit with everything looked up: what it does to features, ready to repeat on many."""

    edit: Edit
    factors: Factors
    region: Tensor | None  # p̂, [S]; None is everywhere
    alpha: float

    def apply(self, features: Tensor) -> Tensor:
        A = self.factors.appearances
        if self.edit.op == "rewrite":
            return rewrite_concept(features, A[:, self.edit.source], A[:, self.edit.target], self.alpha, self.region)
        region = features.new_ones(features[0, 0].numel()) if self.region is None else self.region
        return add_appearance(features, A[:, self.edit.appearance], region, self.alpha)


class Renderer:
    """Runs recipes. Everything follows from the recipe alone; the cache of heads only saves time and may be empty.

    memory: bytes of features that one batch of variants may take at its widest layer; cached: how many heads are kept,
    and half as many pictures.
    """

    def __init__(self, catalogue: Catalogue | None = None, memory: int = 2**25, cached: int = 16):
        self.catalogue = Catalogue() if catalogue is None else catalogue
        self._memory, self._cache, self._pictures = memory, LRUCache(cached), LRUCache(cached // 2)
        self._backgrounds: dict[Hashable, tuple[int, int]] = {}

    def generator(self, recipe: Recipe) -> SplitGenerator:
        """The recipe's generator.

        Raises: ValueError if its weights are not those that the recipe was made with.
        """
        loaded = self.catalogue.generator(recipe.generator)
        if recipe.weights not in (None, loaded.weights):
            raise ValueError(
                f"The recipe was made with weights {recipe.weights} of {recipe.generator}; "
                f"here they are {loaded.weights}."
            )
        return loaded.generator

    def pin(self, recipe: Recipe) -> Recipe:
        """The recipe with the hash of the weights in it."""
        return replace(recipe, weights=self.catalogue.generator(recipe.generator).weights)

    @torch.inference_mode()
    def base(self, recipe: Recipe) -> Tensor:
        """The picture without its edits, [1, 3, h, w] in [-1, 1]."""
        return self.image(replace(recipe, edits=()))

    @torch.inference_mode()
    def image(self, recipe: Recipe) -> Tensor:
        """The edited picture, [1, 3, h, w]; the head of the last edit that is on is kept for its next strength."""
        order = recipe.ordered()

        def make() -> Tensor:
            if not order:
                return self._tail(recipe, self._start(recipe))
            return self.finish(self.prepare(recipe, order[-1]), recipe, order[-1])

        self.generator(recipe)  # refuses other weights
        return self._pictures.get((*_origin(self.pin(recipe)), *(recipe.edits[i] for i in order)), make)

    @torch.inference_mode()
    def prepare(self, recipe: Recipe, index: int) -> Cut:
        """The cut at the layer of edit `index`, with the edits before it done: what its slider needs, once."""
        if not 0 <= index < len(recipe.edits):
            raise ValueError(f"edit is {index}; the recipe has {len(recipe.edits)} edits.")
        generator = self.generator(recipe)
        before = [i for i in recipe.ordered() if _position(recipe, i) < _position(recipe, index)]
        layer = recipe.edits[index].layer
        key = ("cut", *_origin(recipe), layer, tuple(recipe.edits[i] for i in before))

        def make() -> Cut:
            cut = self.prepare(recipe, before[-1]) if before else self._start(recipe)
            return generator.advance(self._edit(cut, recipe, before[-1:]), layer)

        return self._cache.get(key, make)

    @torch.inference_mode()
    def finish(self, cut: Cut, recipe: Recipe, index: int) -> Tensor:
        """From `prepare(recipe, index)` to the picture: edit `index`, those after it, and the tail. A slider's tick."""
        rest = [i for i in recipe.ordered() if _position(recipe, i) >= _position(recipe, index)]
        return self._tail(recipe, self._edit(cut, recipe, rest))

    def _edit(self, cut: Cut, recipe: Recipe, numbers: Sequence[int]) -> Cut:
        """From a cut on, with these edits done, which are in the order of their layers."""
        for i in numbers:
            cut = self.generator(recipe).advance(cut, recipe.edits[i].layer)
            cut = cut.with_features(self.step(recipe, i).apply(cut.features))
        return cut

    @torch.inference_mode()
    def variants(
        self, recipe: Recipe, index: int, edits: Sequence[Edit | tuple[Edit, ...]], half_size: bool = False
    ) -> Tensor:
        """The picture with edit `index` replaced by each of `edits`, of the same layer, [n, 3, h, w].

        One of them may be several edits, done one after the other.

        They share one head, and one set of styles in the tail: the edits differ in features only. Run in as many
        batches as the memory bound asks for. half_size: thumbnails of [n, 3, h/2, w/2], at about half the cost.
        """
        choices = [e if isinstance(e, tuple) else (e,) for e in edits]
        if any(e.layer != recipe.edits[index].layer for choice in choices for e in choice):
            raise ValueError("Variants of an edit must be at its own layer.")
        cut, generator = self.prepare(recipe, index), self.generator(recipe)
        rest = [i for i in recipe.ordered() if _position(recipe, i) > _position(recipe, index)]

        def some(first: int, count: int) -> Tensor:
            batch = []
            for choice in choices[first : first + count]:
                features = cut.features
                for e in choice:
                    if e.on:
                        features = self.step(recipe.with_edit(index, e), index).apply(features)
                batch.append(features)
            edited = self._edit(cut.with_features(torch.cat(batch)), recipe, rest)
            return (generator.preview(edited) if half_size else generator.tail(edited)).cpu()

        return in_batches(some, len(edits), self._batch_size(generator))

    @torch.inference_mode()
    def small_pictures(self, recipe: Recipe, seeds: Sequence[int]) -> Tensor:
        """The pictures of other seeds, without edits, [n, 3, h, w]; large ones at half size, at about half the cost."""
        generator = self.generator(recipe)
        finish = generator.preview if generator.resolution > SMALL else generator.tail

        def some(first: int, count: int) -> Tensor:
            latents = generator.sample(seeds[first : first + count], recipe.psi, recipe.class_index)
            return finish(generator.start(latents)).cpu()

        return in_batches(some, len(seeds), self._batch_size(generator))

    def suggestions(self, recipe: Recipe, template: Edit, count: int = 12) -> list[Edit]:
        """What can change at the template's region: `count` edits with the appearances suggested for its first part.

        To show them: append the template to the recipe and pass the edits to `variants`.
        """
        factors = self.factors(recipe, template)
        part = template.region.parts[0] if template.region.parts else 0
        factors.check_choice(0, [part])
        template = replace(template, op="add", strength=3.0, alpha=None, on=True)
        return [replace(template, appearance=j) for j in factors.offered(part, count)]

    def removal(
        self, recipe: Recipe, layer: int, factors_id: str, region: Region, count: int = LOOKS
    ) -> tuple[Edit, ...]:
        """The edits that cover what is in the region with this picture's background: ordinary ones, with raw α.

        Adding the background appearance (I 4.1.1) leaves what else the object is made of. So there are `count`, of the
        appearances in which region and background differ most, largest α first; that they are several is our own, and
        benchmarks/removal.py compares it with one.

        Raises: ValueError if the region is empty, or nothing outside it is background (method.md, "Object removal").
        """
        found = self.background(recipe, layer, factors_id)
        alphas = self._cover(recipe, layer, factors_id, region, *found, columns=slice(None))
        leading, edit = alphas.abs().topk(min(count, len(alphas))).indices, Edit("add", layer, factors_id, region)
        return tuple(replace(edit, appearance=j, alpha=float(alphas[j])) for j in leading.tolist())

    def coverings(
        self, recipe: Recipe, layer: int, factors_id: str, region: Region, count: int = 6, among: int = 24
    ) -> list[tuple[Edit, ...]]:
        """At most `count` ways to cover what is in the region: `removal`, then single edits.

        First of these the background's; then those of the others of the first `among` appearances, of either sign,
        largest α first: what the picture has elsewhere and the region lacks most. That order is our own;
        benchmarks/removal.py compares it with the order of likeness to the border. An appearance that would add nothing
        is left out, and so is what the picture has nowhere else.

        Raises: ValueError if the region is empty, or nothing outside it could cover it.
        """
        found = self.background(recipe, layer, factors_id)
        available = min(among, self.catalogue.factors(recipe.generator, factors_id).appearances.shape[1])
        edit, several, singles, mistakes = Edit("add", layer, factors_id, region), [], [], []
        try:
            several.append(self.removal(recipe, layer, factors_id, region))
        except ValueError as error:
            mistakes.append(error)
        for number, sign in [found, *((j, s) for j in range(available) for s in (1, -1) if (j, s) != found)]:
            try:
                alpha = sign * float(self._cover(recipe, layer, factors_id, region, number, sign, [number]))
                singles.append(replace(edit, appearance=number, alpha=sign * max(0.0, alpha)))
            except ValueError as error:
                mistakes.append(error)
        if not singles:
            raise mistakes[0]
        singles.sort(key=lambda e: ((e.appearance, 1 if e.alpha > 0 else -1) != found, -abs(e.alpha)))
        return [*several, *((e,) for e in singles if e.alpha)][:count]

    def _cover(self, recipe: Recipe, layer: int, factors_id: str, region: Region, number: int, sign: int, columns):
        """α of the appearances `columns` that bring the region to where `sign` times appearance `number` is outside."""
        factors, generator = self.catalogue.factors(recipe.generator, factors_id), self.generator(recipe)
        where = self.region(recipe, layer, region, factors_id)
        where = torch.ones(len(factors.parts)) if where is None else where
        features, a = self.features(recipe, layer).features, sign * factors.appearances[:, number]
        cells = background_cells(features, a, where, sign * factors.threshold(number), generator.frame(layer))
        return cover_alphas(features, factors.appearances[:, columns], where, cells).cpu()

    def background(self, recipe: Recipe, layer: int, factors_id: str) -> tuple[int, int]:
        """(number, sign) of the appearance that is at the border of 100 other pictures; found once, then known."""
        key = _background_key(recipe, factors_id)
        if key not in self._backgrounds:
            generator, factors = self.generator(recipe), self.catalogue.factors(recipe.generator, factors_id)
            draw = feature_source(generator, layer, factors.info.psi, recipe.class_index)
            with torch.inference_mode():
                Z = torch.cat([draw(first, 10).cpu() for first in range(0, 100, 10)])
                found = find_background(Z, factors.appearances, factors.mean, generator.frame(layer))
            self._backgrounds[key] = found
        return self._backgrounds[key]

    def knows_background(self, recipe: Recipe, factors_id: str) -> bool:
        """Whether `background` answers at once, without drawing pictures."""
        return _background_key(recipe, factors_id) in self._backgrounds

    def factors(self, recipe: Recipe, edit: Edit) -> Factors:
        """The factors of an edit.

        Raises: ValueError if they are of another layer than the edit.
        """
        factors = self.catalogue.factors(recipe.generator, edit.factors)
        if factors.info.layer != edit.layer:
            raise ValueError(
                f"The edit is at layer {edit.layer}; its factors {edit.factors} are for {factors.info.layer}."
            )
        return factors

    def step(self, recipe: Recipe, index: int) -> Step:
        """Edit `index` with its factors, region and α looked up."""
        edit = recipe.edits[index]
        factors = self.factors(recipe, edit)
        for number in (edit.appearance, edit.source, edit.target):
            if number is not None:
                factors.check_choice(number, [])
        region = self.region(recipe, edit.layer, edit.region, edit.factors)
        return Step(edit, factors, region, edit_alpha(edit, factors))

    def region(self, recipe: Recipe, layer: int, region: Region, factors_id: str) -> Tensor | None:
        """p̂ of a region on the layer's grid, [S] in [0, 1]; None is everywhere."""
        generator = self.generator(recipe)
        if region.all:
            return None
        frame, shape = generator.frame(layer), generator.layers[layer][1:]
        drawn = region.mask if region.mask is not None else region.keep
        if drawn is not None and drawn.size != shape:
            raise ValueError(
                f"The mask is {drawn.size[0]} x {drawn.size[1]}; layer {layer} has {shape[0]} x {shape[1]} cells."
            )
        painted = None if drawn is None else extend_from_frame(drawn.tensor(), frame).flatten().to(generator.device)
        if region.mask is not None:
            return painted
        parts = self.parts(recipe, layer, factors_id, region.refine, region.k)
        return combine_parts(parts, region.parts, painted)

    @torch.inference_mode()
    def parts(self, recipe: Recipe, layer: int, factors_id: str, refine: str = "none", k: int = 32) -> Tensor:
        """P, [S, R_S]: as learned, or refined to the picture as it is without edits."""
        factors = self.catalogue.factors(recipe.generator, factors_id)
        generator = self.generator(recipe)
        if refine == "none":
            return factors.parts.to(generator.device)
        key = ("parts", *_origin(recipe), layer, factors_id, refine, k if refine == "graph" else None)
        neighbours = min(k, len(factors.parts) - 1) if refine == "graph" else None

        def make() -> Tensor:
            cut = self.features(recipe, layer)
            A, P = factors.appearances.to(generator.device), factors.parts.to(generator.device)
            return refine_parts(cut.features, A, P, neighbours)[0]

        return self._cache.get(key, make)

    def features(self, recipe: Recipe, layer: int) -> Cut:
        """The cut of the picture without edits."""
        return self.edited_features(replace(recipe, edits=()), layer)

    @torch.inference_mode()
    def part_maps(self, recipe: Recipe, layer: int, factors_id: str, refine: str = "none", k: int = 32) -> Tensor:
        """The scaled parts at image size, [R_S, h, w] in [0, 1]: overlays and clicks (argmax, nothing below 0.2)."""
        parts = scale_parts(self.parts(recipe, layer, factors_id, refine, k))
        return self.to_image_size(recipe, layer, parts.t())

    @torch.inference_mode()
    def region_map(self, recipe: Recipe, edit: Edit) -> Tensor:
        """M: the edit's region at image size, [h, w] in [0, 1]; ones for everywhere."""
        region = self.region(recipe, edit.layer, edit.region, edit.factors)
        if region is None:
            side = self.generator(recipe).resolution
            return torch.ones(side, side)
        return self.to_image_size(recipe, edit.layer, region[None])[0]

    def edited_features(self, recipe: Recipe, layer: int) -> Cut:
        """The cut of the edited picture: edits at this layer and before it are in, those at later layers are not."""
        after = Edit("add", layer, "", Region(all=True), on=False)  # what would follow them
        return self.prepare(replace(recipe, edits=(*recipe.edits, after)), len(recipe.edits))

    @torch.inference_mode()
    def saliency(self, recipe: Recipe, layer: int, factors_id: str, appearance: int) -> Tensor:
        """a_jᵀZ of the edited picture on the layer's grid, [1, S], in feature units; a mask is >= its threshold."""
        factors = self.catalogue.factors(recipe.generator, factors_id)
        factors.check_choice(appearance, [])
        return saliency(self.edited_features(recipe, layer).features, factors.appearances[:, appearance]).flatten(1)

    def to_image_size(self, recipe: Recipe, layer: int, maps: Tensor) -> Tensor:
        """Maps on the grid, [n, S], cropped to the frame and enlarged bilinearly: [n, h, w]."""
        generator = self.generator(recipe)
        top, left, bottom, right = generator.frame(layer)
        grid = maps.reshape(len(maps), 1, *generator.layers[layer][1:])[:, :, top:bottom, left:right]
        side = generator.resolution
        return F.interpolate(grid, (side, side), mode="bilinear", align_corners=False)[:, 0].cpu()

    def _start(self, recipe: Recipe) -> Cut:
        generator = self.generator(recipe)
        return generator.start(generator.sample([recipe.seed], recipe.psi, recipe.class_index))

    def _tail(self, recipe: Recipe, cut: Cut) -> Tensor:
        return self.generator(recipe).tail(cut).cpu()

    def _batch_size(self, generator: SplitGenerator) -> int:
        widest = max(C * H * W for C, H, W in generator.layers.values())
        return max(1, self._memory // (4 * 4 * widest))  # a layer holds about four maps of its size at once

    def leave_gpu(self) -> None:
        """Go on without a GPU, whose memory is full: all that is kept on it is made again when it is asked for."""
        self._cache.clear()
        self.catalogue.leave_gpu()


def apply_recipe(recipe: Recipe, catalogue: Catalogue | None = None) -> Tensor:
    """The picture of a recipe, [1, 3, h, w] in [-1, 1]."""
    return Renderer(catalogue, cached=0).image(recipe)


def edit_alpha(edit: Edit, factors: Factors) -> float:
    """α of an edit in feature units (contracts: Strength); for a rewrite strength is α itself, a plain factor.

    One learnt part has its own unit, refined or with a kept piece too, so that neither changes how much is added.
    """
    if edit.op == "rewrite" or edit.alpha is not None:
        return edit.strength if edit.alpha is None else edit.alpha
    if len(edit.region.parts) == 1:
        return edit.strength * factors.alpha_at_part(edit.appearance, edit.region.parts[0])
    return edit.strength * factors.alpha_anywhere(edit.appearance)


def _origin(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.weights, recipe.class_index, recipe.seed, recipe.psi


def _background_key(recipe: Recipe, factors_id: str) -> tuple:
    return recipe.generator, recipe.class_index, factors_id


def _position(recipe: Recipe, index: int) -> tuple[int, int]:
    return recipe.edits[index].layer, index
