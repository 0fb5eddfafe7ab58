"""Recipes -> pictures: heads shared between edits, variants in one batch, only the tail for a slider's tick."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .catalogue import Catalogue
from .factors import Factors
from .fitting import feature_source
from .generators.split import Cut, SplitGenerator
from .method.editing import background_cells, extend_from_frame
from .method.parts import combine_parts, scale_parts
from .method.refinement import refine_parts
from .method.saliency import find_background, saliency
from .method.variations import Variations, learn_variations
from .ops import OPS, Edit
from .origin import Origin
from .own_picture import OwnPicture
from .progress import Report
from .recipes import Recipe
from .regions import Mask, Region
from .runtime.devices import in_batches
from .runtime.lru import LRUCache
from .samples import SampleCache

MAX_LEARNED = 2**26  # bytes of variations that were learned on demand
MAX_OWN = 64  # own pictures of visitors that are kept
NEEDS_FILE = "This is a picture of somebody's own, which no link holds; open its .panda file first."
SMALL = 128  # pixels; a picture up to this size is its own thumbnail


@dataclass(frozen=True)
class _Place:
    """What an op may ask for where it acts (`ops.Place`); looked up when it is."""

    renderer: "Renderer"
    recipe: Recipe
    edit: Edit
    factors: Factors

    def region(self) -> Tensor:
        region = self.renderer.region(self.recipe, self.edit.layer, self.edit.region, self.edit.factors)
        return torch.ones(len(self.factors.parts)) if region is None else region

    def variation(self) -> Tensor:
        layer, region = self.edit.layer, self.edit.region
        E = self.renderer.direction(self.recipe, layer, self.edit.factors, region, self.edit.variation)
        return E if region.keep is None else E * self.renderer.painted(self.recipe, layer, region.keep)

    def other_features(self) -> Tensor:
        other = self.edit.picture or replace(self.recipe, seed=self.edit.seed, source=None)
        if other.generator != self.recipe.generator:
            raise ValueError(
                f"The other picture is by {other.generator}; what is taken over must be by {self.recipe.generator} too."
            )
        origin = {f.name: getattr(other, f.name) for f in fields(Origin)}
        return self.renderer.features(Recipe(**origin), self.edit.layer).features

    def background_cells(self) -> Tensor:
        return self.renderer.background_cells(self.recipe, self.edit.layer, self.edit.factors, self.region())


class Renderer:
    """Runs recipes. Everything follows from the recipe alone; the cache of heads only saves time and may be empty.

    memory: bytes of features that one batch of variants may take at its widest layer; cached: how many heads are kept,
    and half as many pictures. own: where own pictures are kept, by their ids.
    """

    def __init__(self, catalogue: Catalogue | None = None, memory: int = 2**25, cached: int = 16,
                 own: LRUCache | None = None):  # fmt: skip
        self.catalogue = Catalogue() if catalogue is None else catalogue
        self._memory, self._cache, self._pictures = memory, LRUCache(cached), LRUCache(cached // 2)
        self._backgrounds, self._directions = LRUCache(64), LRUCache(4 * cached)
        self._samples = SampleCache()
        self._own = LRUCache(MAX_OWN) if own is None else own
        self._variations = LRUCache(MAX_LEARNED, lambda key, found: found.nbytes, least=1)

    def add_own_picture(self, own: OwnPicture) -> str:
        """Make somebody's own picture known for as long as the memory goes; its id, which a recipe names as source.

        Raises: ValueError if it was made for another generator.
        """
        own.check_fits(*self.catalogue.generator(own.generator))
        self._own.put(own.id, own)
        return own.id

    def forget_own_picture(self, source: str) -> None:
        """It goes from memory, and so does all that was drawn of it."""
        for kept in (self._own, self._cache, self._pictures):
            kept.discard(lambda key: source in repr(key))

    def known_picture(self, source: str) -> OwnPicture:
        """The own picture of this id.

        Raises: ValueError if it is not here.
        """
        own = self._own.get(source)
        if own is None:
            raise ValueError(NEEDS_FILE)
        return own

    def own_picture(self, recipe: Recipe) -> OwnPicture | None:
        """The picture that a recipe's source names; None for one of a seed.

        Raises: ValueError if it is not here.
        """
        if recipe.source is None:
            return None
        own = self.known_picture(recipe.source)
        if own.generator != recipe.generator:
            raise ValueError(f"The .panda file is for {own.generator}; the recipe names {recipe.generator}.")
        return own

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
    def shown(self, recipe: Recipe) -> Tensor:
        """What a visitor sees, [1, 3, h, w]: `image`; of an own picture itself wherever no edit changes anything."""
        own = self.own_picture(recipe)
        return self.image(recipe) if own is None else own.show(self.base(recipe), self.image(recipe))

    @torch.inference_mode()
    def image(self, recipe: Recipe) -> Tensor:
        """The edited picture as the generator draws it, [1, 3, h, w]; the head of the last edit that is on is kept for
        its next strength."""
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
        before = [i for i in recipe.ordered() if _position(recipe, i) < _position(recipe, index)]
        layer = recipe.edits[index].layer
        key = ("cut", *_origin(recipe), layer, tuple(recipe.edits[i] for i in before))

        def make() -> Cut:
            cut = self.prepare(recipe, before[-1]) if before else self._start(recipe)
            return self._advance(recipe, self._edit(cut, recipe, before[-1:]), layer)

        return self._cache.get(key, make)

    @torch.inference_mode()
    def finish(self, cut: Cut, recipe: Recipe, index: int) -> Tensor:
        """From `prepare(recipe, index)` to the picture: edit `index`, those after it, and the tail. A slider's tick."""
        rest = [i for i in recipe.ordered() if _position(recipe, i) >= _position(recipe, index)]
        return self._tail(recipe, self._edit(cut, recipe, rest))

    def _edit(self, cut: Cut, recipe: Recipe, numbers: Sequence[int]) -> Cut:
        """From a cut on, with these edits done, which are in the order of their layers."""
        for i in numbers:
            cut = self._advance(recipe, cut, recipe.edits[i].layer)
            cut = cut.with_features(self._apply(cut.features, recipe, recipe.edits[i]))
        return cut

    @torch.inference_mode()
    def variants(self, recipe: Recipe, index: int, edits: Sequence[Edit], shrink: int = 1) -> Tensor:
        """The picture with edit `index` replaced by each of `edits`, of the same layer, [n, 3, h, w].

        They share one head, and one set of styles in the tail: the edits differ in features only. Run in as many
        batches as the memory bound asks for. shrink: 2 or 4 for pictures of 1/shrink of the size, at less cost.
        """
        if any(e.layer != recipe.edits[index].layer for e in edits):
            raise ValueError("Variants of an edit must be at its own layer.")
        cut, generator = self.prepare(recipe, index), self.generator(recipe)
        rest = [i for i in recipe.ordered() if _position(recipe, i) > _position(recipe, index)]

        def some(first: int, count: int) -> Tensor:
            chosen = edits[first : first + count]
            batch = [self._apply(cut.features, recipe, e) if e.on else cut.features for e in chosen]
            edited = self._edit(cut.with_features(torch.cat(batch)), recipe, rest)
            edited = self._advance(recipe, edited, edited.layer, to_the_end=True)
            return _drawn(generator, edited, shrink)

        return in_batches(some, len(edits), self._batch_size(generator))

    @torch.inference_mode()
    def small_pictures(self, recipe: Recipe, seeds: Sequence[int]) -> Tensor:
        """The pictures of other seeds, without edits, [n, 3, h, w]; large ones at half size, or 256 pixels."""
        generator = self.generator(recipe)
        shrink = 1 if generator.resolution <= SMALL else max(2, generator.resolution // 256)

        def some(first: int, count: int) -> Tensor:
            latents = generator.sample(seeds[first : first + count], recipe.psi, recipe.class_index)
            return _drawn(generator, generator.start(latents), shrink)

        return in_batches(some, len(seeds), self._batch_size(generator))

    def suggestions(self, recipe: Recipe, template: Edit, count: int = 12) -> list[Edit]:
        """What can change at the template's region: `count` edits with the appearances suggested for its first part.

        To show them: append the template to the recipe and pass the edits to `variants`.
        """
        factors = self.factors(recipe, template)
        part = template.region.parts[0] if template.region.parts else 0
        factors.check_choice(0, [part])
        template = Edit("add", template.layer, template.factors, template.region, strength=3.0)
        return [replace(template, appearance=j) for j in factors.offered(part, count)]

    def background_cells(self, recipe: Recipe, layer: int, factors_id: str, region: Tensor) -> Tensor:
        """Cells of the unedited picture outside a region, p̂ [S], that are background, [S] booleans.

        Raises: ValueError if the region is empty, or nothing outside it is background (docs/method.md, removal).
        """
        number, sign = self.background(recipe, layer, factors_id)
        factors = self.catalogue.factors(recipe.generator, factors_id)
        features, a = self.features(recipe, layer).features, sign * factors.appearances[:, number]
        frame = self.generator(recipe).frame(layer)
        return background_cells(features, a, region, sign * factors.threshold(number), frame)

    def background(self, recipe: Recipe, layer: int, factors_id: str) -> tuple[int, int]:
        """(number, sign) of the appearance at the border of pictures: what the factors say, or found once."""
        factors = self.catalogue.factors(recipe.generator, factors_id)
        if factors.info.background is not None:
            return factors.info.background

        def find() -> tuple[int, int]:  # of files that do not say it yet
            generator = self.generator(recipe)
            draw = feature_source(generator, layer, factors.info.psi, recipe.class_index)
            with torch.inference_mode():
                Z = torch.cat([draw(first, 10).cpu() for first in range(0, 100, 10)])
                return find_background(Z, factors.appearances, factors.mean, generator.frame(layer))

        return self._backgrounds.get((recipe.generator, recipe.class_index, factors_id), find)

    def variations(
        self, recipe: Recipe, layer: int, factors_id: str, region: Region, report: Report | None = None
    ) -> Variations:
        """What varies in a region: as stored with the factors, or learned from samples that are drawn once and kept.

        Parts are taken as learned, and whole: refining and `keep` change neither.

        Raises: ValueError for a region without cells; Cancelled.
        """
        factors = self.catalogue.factors(recipe.generator, factors_id)
        stored = factors.variations.get(tuple(sorted(region.parts)))
        if stored is not None:
            return stored

        def learn() -> Variations:
            where = self.region(recipe, layer, replace(region, refine="none", keep=None), factors_id)
            where = torch.ones(len(factors.parts)) if where is None else where
            self.generator(recipe)  # refuses other weights
            with torch.inference_mode():
                samples = self._samples.of(self.catalogue.generator(recipe.generator), factors.info, report)
                return learn_variations(samples, where)

        return self._variations.get(self._variations_key(recipe, layer, factors_id, region), learn)

    def knows_variations(self, recipe: Recipe, layer: int, factors_id: str, region: Region) -> bool:
        """Whether `variations` answers without drawing samples."""
        factors = self.catalogue.factors(recipe.generator, factors_id)
        if tuple(sorted(region.parts)) in factors.variations:
            return True
        known = self._variations_key(recipe, layer, factors_id, region) in self._variations
        return known or self._samples.has(self.catalogue.generator(recipe.generator), factors.info)

    def direction(self, recipe: Recipe, layer: int, factors_id: str, region: Region, number: int) -> Tensor:
        """E of one variation of a region, [C, S], on the generator's device; the latest are kept for sliders.

        Raises: ValueError if the region has no such variation.
        """
        found = self.variations(recipe, layer, factors_id, region)
        return self._directions.get(
            (id(found), number), lambda: (found, found.direction(number).to(self.generator(recipe).device))
        )[1]  # with what its key names, so that no other comes to be at that address

    def _variations_key(self, recipe: Recipe, layer: int, factors_id: str, region: Region) -> tuple:
        plain = replace(region, parts=tuple(sorted(region.parts)), refine="none", k=32, keep=None)
        return recipe.generator, recipe.weights, layer, factors_id, plain

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

    def _apply(self, features: Tensor, recipe: Recipe, edit: Edit) -> Tensor:
        return OPS[edit.op].apply(features, edit, _Place(self, recipe, edit, self.factors(recipe, edit)))

    def region(self, recipe: Recipe, layer: int, region: Region, factors_id: str) -> Tensor | None:
        """p̂ of a region on the layer's grid, [S] in [0, 1]; None is everywhere."""
        if region.all:
            return None
        if region.mask is not None:
            return self.painted(recipe, layer, region.mask)
        parts = self.parts(recipe, layer, factors_id, region.refine, region.k)
        return combine_parts(parts, region.parts, region.keep and self.painted(recipe, layer, region.keep))

    def painted(self, recipe: Recipe, layer: int, mask: Mask) -> Tensor:
        """A drawn mask on the layer's grid, [S], carried outward beyond the frame.

        Raises: ValueError if it was drawn for another grid.
        """
        generator = self.generator(recipe)
        H, W = generator.layers[layer][1:]
        if mask.size != (H, W):
            raise ValueError(f"The mask is {mask.size[0]} x {mask.size[1]}; layer {layer} has {H} x {W} cells.")
        return extend_from_frame(mask.tensor(), generator.frame(layer)).flatten().to(generator.device)

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
        """M: where an edit acts, at image size, [h, w] in [0, 1]."""
        return self.place_map(recipe, edit.layer, edit.region, edit.factors)

    def place_map(self, recipe: Recipe, layer: int, region: Region, factors_id: str) -> Tensor:
        """A region at image size, [h, w] in [0, 1]; ones for everywhere."""
        found = self.region(recipe, layer, region, factors_id)
        if found is None:
            side = self.generator(recipe).resolution
            return torch.ones(side, side)
        return self.to_image_size(recipe, layer, found[None])[0]

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
        generator, own = self.generator(recipe), self.own_picture(recipe)
        if own is not None:
            return own.cut(generator, min(generator.layers))
        return generator.start(generator.sample([recipe.seed], recipe.psi, recipe.class_index))

    def _advance(self, recipe: Recipe, cut: Cut, layer: int, to_the_end: bool = False) -> Cut:
        """On to a later layer; what an own picture's features add is added on the way, and before the tail."""
        generator, own = self.generator(recipe), self.own_picture(recipe)
        if own is None:
            return generator.advance(cut, layer)
        return own.advance(generator, cut, max(layer, own.layer) if to_the_end else layer)

    def _tail(self, recipe: Recipe, cut: Cut) -> Tensor:
        return self.generator(recipe).tail(self._advance(recipe, cut, cut.layer, to_the_end=True)).cpu()

    def _batch_size(self, generator: SplitGenerator) -> int:
        widest = max(C * H * W for C, H, W in generator.layers.values())
        return max(1, self._memory // (4 * 4 * widest))  # a layer holds about four maps of its size at once

    def leave_gpu(self) -> None:
        """Go on without a GPU, whose memory is full: all that is kept on it is made again when it is asked for."""
        self._cache.clear()
        self.catalogue.leave_gpu()


def apply_recipe(recipe: Recipe, catalogue: Catalogue | None = None) -> Tensor:
    """The picture of a recipe, [1, 3, h, w] in [-1, 1]."""
    return Renderer(catalogue, cached=0).shown(recipe)


def _origin(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.weights, recipe.class_index, recipe.seed, recipe.psi, recipe.source


def _drawn(generator: SplitGenerator, cut: Cut, shrink: int) -> Tensor:
    """The pictures of a cut at 1/shrink of their size, on the CPU."""
    return (generator.tail(cut) if shrink == 1 else generator.preview(cut, shrink)).cpu()


def _position(recipe: Recipe, index: int) -> tuple[int, int]:
    return recipe.edits[index].layer, index
