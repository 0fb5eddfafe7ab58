"""Popular changes: single edits with names."""

import dataclasses

from panda_core.factors import Ends
from panda_core.method.variations import learn_variations
from panda_core.popular import SHARE, popular
from panda_core.recipes import Recipe, parse_recipe
from panda_core.rendering import Renderer
from tests.helpers import GENERATOR, fit_tiny, tiny_catalogue


class Shelf:
    """A catalogue whose generator ships with factors whose variations have these names."""

    def __init__(self, ends: dict[int, list[Ends | None]]):
        self._catalogue = tiny_catalogue()
        self._ends, self._factors = ends, {}

    def bundled(self, name: str) -> dict[int, str]:
        return {layer: f"bundled:{layer}" for layer in self._ends}

    def factors(self, name: str, factors_id: str):
        layer = int(factors_id.removeprefix("bundled:"))
        if layer not in self._factors:
            made = fit_tiny(layer)
            Z = GENERATOR.head(GENERATOR.sample(range(16), 1.0), layer).features
            found = learn_variations(lambda: [Z], made.scaled_parts[:, 0], 2)
            made = dataclasses.replace(made, variations={(0,): found})
            self._factors[layer] = made.with_info(ends={"0": self._ends[layer]}, things=((0,), (1, 2, 3)))
        return self._factors[layer]

    def spec(self, name: str):
        return self._catalogue.spec("portraits")


def test_each_name_once_best_first_and_none_that_does_little():
    shelf = Shelf(
        {
            3: [Ends("no hat", "hat", 0.8, (0.9, 0.5)), Ends("short", "long", 0.6, (SHARE / 2, 0.95))],
            5: [Ends("hat", "no hat", 0.7, (0.8, 0.6)), None],
        }
    )
    found = popular(shelf, "tiny")
    assert [change.name for change in found] == ["long", "no hat", "hat"]
    by_name = {change.name: change for change in found}
    assert [(by_name[name].edit.layer, by_name[name].edit.strength) for name in ("no hat", "hat")] == [
        (3, -3.0),
        (5, -3.0),
    ]
    assert by_name["no hat"].opposite == "hat"
    for change in found:
        recipe = Recipe("tiny", edits=(change.edit,))
        assert parse_recipe(recipe.to_json()) == recipe


def test_names_given_by_eye_are_offered_as_such_the_first_of_each():
    shelf = Shelf({3: [Ends("frown", "smile", shares=None), Ends("smile", "frown", shares=None)]})
    found = popular(shelf, "tiny")
    assert [(c.name, c.edit.variation, c.edit.strength) for c in found] == [("frown", 0, -3.0), ("smile", 0, 3.0)]
    assert {change.note for change in found} == {"found without labels, named by eye"}


def test_the_bundled_generator_has_changes_that_show():
    renderer = Renderer()
    found = {change.name: change.edit for change in popular(renderer.catalogue, "portraits")}
    assert {"no hat", "no glasses", "shorter hair", "blond hair", "mouth closed"} <= set(found)
    recipe = Recipe("portraits", seed=18, edits=(found["no glasses"],))
    assert float((renderer.image(recipe) - renderer.base(recipe)).abs().mean()) > 0.005


def test_the_authors_edits_are_one_add_each():
    renderer = Renderer(tiny_catalogue())
    shelf = Shelf({})
    shelf.spec = lambda name: renderer.catalogue.spec("panda-ffhq")
    found = popular(shelf, "panda-ffhq")
    assert len(found) == 18 and all(c.edit.op == "add" and c.edit.alpha is not None for c in found)
