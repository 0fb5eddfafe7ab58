"""What programs and assistants call; nothing of it is seen on the page. Numbers are those that the page shows."""

import hmac
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args, get_origin

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from panda_core.fitting import fit_id
from panda_core.images import cut_out, mask_image, overlay_map, to_pil
from panda_core.masks import REACH, ConceptMask
from panda_core.ops import Edit
from panda_core.popular import popular
from panda_core.progress import Cancelled
from panda_core.reading import as_whole
from panda_core.recipes import Recipe, parse_recipe
from panda_core.regions import Region
from panda_core.studio.opening import Opening, until
from panda_core.uploads import prepare_picture

from .given import uploaded
from .panels.factors import FactorsPanel
from .panels.gallery import gallery
from .panels.own_picture import OwnPicturePanel
from .server import gpu
from .server.events import BUDGETS, JOBS, asking, counted, plainly
from .tabs.rank import RankTab

MAX_FIT = 120.0  # seconds that a program may ask for
# op of `edit` -> whether it is for the thing that a part belongs to, what its number is, and its strength
EDITS = {
    "vary": (True, "variation", "strength"),
    "add": (False, "appearance", "strength"),
    "transfer": (True, "seed", "share"),
    "remove": (False, None, "strength"),
}
FIT = {"concurrency_id": "fit", "concurrency_limit": 1}


class Api:
    """The first argument of each endpoint is a recipe as JSON text; where there is a picture, it comes first, and then
    the new recipe."""

    def __init__(self, opening: Opening, factors: FactorsPanel, ranking: RankTab, own: OwnPicturePanel):
        self.opening, self.renderer, self.factors, self.ranking = opening, opening.renderer, factors, ranking
        self.own, self._found = own, gpu.job(self.find)
        self._seeds_in_order = gpu.job(self.order_seeds)

    def lay_out(self) -> None:
        for function in (self.generate, self.named, self.edit, self.saliency):
            with_picture(function)
        gr.api(plainly(self.fit), api_name="fit", **FIT)
        gr.api(self.rank, api_name="rank", **JOBS)
        given = [gr.Textbox(label="recipe", visible=False), gr.File(type="filepath", label="picture", visible=False),
                 gr.Number(label="layer", visible=False)]  # fmt: skip
        made = [gr.File(label="own picture", visible=False), gr.Number(label="psnr", visible=False)]
        gr.Button(visible=False).click(self.invert, given, made, api_name="invert", **JOBS)
        gr.api(plainly(self.unpublish), api_name="unpublish", api_visibility="undocumented")
        gr.api(plainly(self.reported), api_name="reported", api_visibility="undocumented")

    # ---- pictures ----

    def generate(self, recipe: str) -> tuple[Image.Image, str]:
        """The picture of a recipe: JSON text such as {"v": 2, "generator": "portraits", "seed": 7}, perhaps with edits.

        Returns the picture and the recipe with its weights.
        """
        return self.answer(self.read(recipe))

    def named(self, recipe: str, name: str) -> tuple[Image.Image, str]:
        """The recipe (JSON text) with one of its generator's popular changes more, such as "no glasses".

        An unknown name is answered with the names that there are. Returns the picture and the new recipe.
        """
        made = parse_recipe(recipe)
        found = {change.name: change.edit for change in popular(self.renderer.catalogue, made.generator)}
        if name not in found:
            raise ValueError(f"There is no popular change {name!r:.60}; there are: {', '.join(found) or 'none'}.")
        return self.answer_with(made, found[name])

    def edit(
        self,
        recipe: str,
        op: Literal["vary", "add", "transfer", "remove"],
        part: float,
        number: float = 0,
        strength: float = 1.0,
    ) -> tuple[Image.Image, str]:
        """The recipe (JSON text) with one more edit, at a part (a number from 0) of its generator's default layer.

        op: "vary" moves the thing that the part belongs to along its variation `number`, "add" adds appearance `number`
        to the part (strength about -4 to 4); "transfer" takes the thing from the picture of seed `number`, "remove"
        covers the part with background (strength 0 to 1). Other edits can be written into a recipe for `generate`.
        Returns the picture and the new recipe.
        """
        if op not in EDITS:
            raise ValueError(f"op is {op!r:.20}; it must be one of {', '.join(EDITS)}.")
        made, (of_thing, what, how_much) = parse_recipe(recipe), EDITS[op]
        layer, factors_id = self.opening.default(made)
        parts = (as_whole(part),)
        if of_thing and type(parts[0]) is int:
            parts = self.renderer.catalogue.factors(made.generator, factors_id).thing_of(parts[0])
        numbers = {how_much: strength} | ({what: as_whole(number)} if what else {})
        return self.answer_with(made, Edit(op, layer, factors_id, Region(parts), **numbers))

    def saliency(
        self,
        recipe: str,
        appearance: float,
        threshold: float = 0.0,
        sign: Literal["more", "less"] = "more",
        result: Literal["heat map", "mask", "cut-out", "rest"] = "cut-out",
    ) -> tuple[Image.Image, str]:
        """Where an appearance of the default layer is in a recipe's picture with its edits; and the recipe.

        The mask is where there is `sign` ("more" or "less") of it, from `threshold` standard deviations above its mean
        on. result: "heat map" over the picture, "mask" (white is in it), "cut-out" with transparency, or the "rest".
        """
        if sign not in ("more", "less") or result not in ("heat map", "mask", "cut-out", "rest"):
            raise ValueError("sign must be more or less; result one of heat map, mask, cut-out, rest.")
        made = self.read(recipe)
        (layer, factors_id), image = self.opening.default(made), self.renderer.image(made)
        chosen = ConceptMask(as_whole(appearance), 1 if sign == "more" else -1, threshold, result == "rest")
        above = chosen.above(self.renderer, made, layer, factors_id)
        above = self.renderer.to_image_size(made, layer, above)[0]
        mask = chosen.of(above)
        if result == "heat map":
            shown = overlay_map(to_pil(image)[0], above + chosen.offset, REACH, mask)
        else:
            shown = mask_image(mask) if result == "mask" else cut_out(image, mask)
        return shown, self.renderer.pin(made).to_json()

    # ---- numbers ----

    def fit(
        self, recipe: str, layer: float, parts: float = 8, appearances: float = 0, samples: float = 0, seed: float = 0
    ) -> tuple[str, dict]:
        """Learn parts and appearances of one layer of a recipe's generator, at the recipe's ψ and class.

        recipe: JSON text. parts: 1 to 64. appearances, samples: 0 is as many as there are, and as many as needed (at
        most 4,096). Returns the factors id for the edits of a recipe, and what was measured: samples, energy (the share
        explained), bound (what no P of this rank exceeds), stability (|cos| of every part with that of other samples).
        """
        made = parse_recipe(recipe)
        self.opening.check(made)
        try:
            factors = self.factors.fitted(made, layer, parts, appearances, samples, seed, until(MAX_FIT))
        except Cancelled as error:
            raise ValueError(
                f"The fit took more than {MAX_FIT:.0f} seconds; ask for fewer parts or samples."
            ) from error
        info = factors.info
        measured = {"layer": info.layer, "samples": info.samples, "loss": info.loss, "energy": info.energy}
        return fit_id(factors), measured | {"bound": info.bound, "stability": list(info.stability)}

    def rank(self, recipe: str, appearance: float, part: float, count: float) -> Iterator[dict | None]:
        """The seeds, of 0 to count - 1, of the pictures with the most and the least of an appearance, twelve of each.

        {"most": [...], "least": [...]}, the most extreme first. recipe: JSON text; its ψ and class count, its edits do
        not. appearance: 0 to 63, of its generator's default layer. part: a number, or -1 for anywhere. count: 1 to
        10,000; those that nobody has asked about before are looked at first, which takes seconds to minutes.
        """
        with counted("rank"), BUDGETS.one_job(asking()):
            for _, found in self._seeds_in_order(recipe, appearance, part, count):
                yield found  # here gradio notices a caller who has left

    def order_seeds(self, recipe: str, appearance: float, part: float, count: float, report) -> dict:
        session = self.opening.opened(parse_recipe(recipe))
        found = self.ranking.of_numbers(session, as_whole(appearance), as_whole(part), as_whole(count), report)
        return {"most": found.most, "least": found.least}

    def invert(self, recipe: str, picture: str, layer: float | None) -> Iterator[tuple]:
        """Find a picture of one's own in the generator of a recipe (JSON text; its class counts, its edits do not).

        The picture's largest square is taken. layer: of what is added to the features; null is the generator's own
        choice. Returns a .panda file, which the page opens, and how near the generator comes, in dB.
        """
        with counted("invert"), BUDGETS.one_job(asking()):
            for _, found in self._found(recipe, picture, layer):
                yield found or (None, None)

    def find(self, recipe: str, picture: str, layer: float | None, report) -> tuple[str, float]:
        made = self.read(recipe)
        generator = self.renderer.generator(made)
        number = self.opening.default(made)[0] if layer is None else as_whole(layer)
        generator.check_layer(number)
        with uploaded(picture) as file:
            pixels = prepare_picture(file, generator.resolution)
        own = self.own.search(made, number, pixels, report)
        path = Path(tempfile.mkdtemp(dir=get_upload_folder())) / "own.panda"  # which gradio serves and removes
        own.save(path)
        return str(path), max(own.psnr.values())

    def unpublish(self, name: str, token: str) -> str:
        """Take a picture out of the gallery; for the owner, who has set PANDA_OWNER_TOKEN. Returns those that stay."""
        check_owner(token)
        gallery().delete(name)
        return " ".join(gallery().names())

    def reported(self, token: str, keep: str = "") -> dict:
        """The cards that visitors reported, and by how many each; for the owner, who has set PANDA_OWNER_TOKEN.

        keep: the name of a card that stays, whoever reports it; `unpublish` takes one out.
        """
        check_owner(token)
        if keep:
            gallery().keep(keep)
        return gallery().reported()

    # ---- recipes ----

    def read(self, text: str) -> Recipe:
        """The recipe of an endpoint's first argument, with factors that this page has."""
        made = parse_recipe(text)
        self.opening.check(made)
        return replace(made, weights=None)

    def answer(self, recipe: Recipe) -> tuple[Image.Image, str]:
        """What an endpoint gives back: the picture, and the recipe with its weights."""
        return to_pil(self.renderer.image(recipe))[0], self.renderer.pin(recipe).to_json()

    def answer_with(self, recipe: Recipe, edit: Edit) -> tuple[Image.Image, str]:
        """As `answer`, with one more edit: a stranger's recipe and numbers, checked as one recipe."""
        return self.answer(self.read(replace(recipe, edits=(*recipe.edits, edit)).to_json()))


def check_owner(token: str) -> None:
    owner = os.environ.get("PANDA_OWNER_TOKEN", "")
    if not owner or not isinstance(token, str) or not hmac.compare_digest(token.encode(), owner.encode()):
        raise ValueError("That is not the owner's token; nothing was changed.")


def with_picture(function: Callable) -> None:
    """An endpoint whose first result is a picture, which gr.api has no type for: hidden components say the types."""
    inputs = []
    for parameter in inspect.signature(function).parameters.values():
        label, kind = parameter.name, parameter.annotation
        value = None if parameter.default is parameter.empty else parameter.default
        if get_origin(kind) is Literal:
            inputs.append(gr.Radio(get_args(kind), value=value, visible=False, label=label))
        else:
            field = gr.Textbox if kind is str else gr.Number
            inputs.append(field(value, visible=False, label=label))
    image = gr.Image(visible=False, format="png", type="pil", label="picture")
    recipe = gr.Textbox(visible=False, label="recipe")
    gr.Button(visible=False).click(plainly(function), inputs, [image, recipe], api_name=function.__name__)
