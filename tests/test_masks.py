import io
import itertools
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from panda_core.images import read_recipe_json, to_arrays
from panda_core.masks import REACH, ConceptMask, otsu_threshold, picture_masks, write_pairs
from panda_core.progress import Cancelled
from panda_core.recipes import parse_recipe
from panda_core.rendering import Renderer
from tests.helpers import add_edit, tiny_catalogue, tiny_recipe

WHERE = 5, "bundled:five"


@pytest.fixture(scope="module")
def renderer():
    return Renderer(tiny_catalogue())


def mask(renderer, *choice) -> torch.Tensor:
    chosen = ConceptMask(*choice)
    return chosen.of(chosen.above(renderer, tiny_recipe(), *WHERE))


@pytest.mark.parametrize("appearance", range(6))
def test_without_an_offset_it_is_the_papers_mask(renderer, appearance):
    factors = renderer.catalogue.factors("tiny", "bundled:five")
    m = renderer.saliency(tiny_recipe(), 5, "bundled:five", appearance)
    assert torch.equal(mask(renderer, appearance), m >= factors.threshold(appearance))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_higher_threshold_keeps_less_of_the_same_places(renderer, sign):
    masks = [mask(renderer, 1, sign, offset) for offset in (-REACH, -1.0, -0.2, 0.0, 0.2, 1.0, REACH)]
    assert all(bool((low | ~high).all()) for low, high in itertools.pairwise(masks))
    assert masks[0].sum() > masks[-1].sum()


@pytest.mark.parametrize("offset", [-0.7, 0.0, 1.3])
def test_the_rest_is_everything_else_and_less_is_more_seen_from_the_other_side(renderer, offset):
    assert torch.equal(mask(renderer, 1, 1, offset, True), ~mask(renderer, 1, 1, offset))
    assert torch.equal(mask(renderer, 1, -1, -offset), mask(renderer, 1, 1, offset, True))


def test_one_step_of_the_threshold_is_one_standard_deviation_over_samples(renderer):
    factors = renderer.catalogue.factors("tiny", "bundled:five")
    above = [ConceptMask(2, 1, offset).above(renderer, tiny_recipe(), *WHERE) for offset in (0.0, 1.0)]
    m = renderer.saliency(tiny_recipe(), 5, "bundled:five", 2)
    torch.testing.assert_close(above[0] - above[1], torch.ones_like(m))
    torch.testing.assert_close(
        above[1] * factors.alpha_anywhere(2), m - factors.threshold(2) - factors.alpha_anywhere(2)
    )


@pytest.mark.parametrize(
    "choice",
    [
        (1.5,),
        (True,),
        (1, 0),
        (1, None),
        (1, 1, REACH + 0.1),
        (1, 1, float("nan")),
        (1, 1, "1"),
        (1, 1, True),
        (1, 1, 0.0, 1),
    ],
)
def test_a_mask_that_cannot_be_is_refused_in_a_sentence(choice):
    with pytest.raises(ValueError, match=r"\.$"):
        ConceptMask(*choice)


def test_pairs_hold_the_edited_pictures_their_masks_and_their_recipes(renderer, tmp_path):
    recipe, chosen, told = tiny_recipe(add_edit()), ConceptMask(1, -1, 0.4, True), []
    write_pairs(
        tmp_path / "x.zip", chosen, renderer, recipe, *WHERE, [8, 3], lambda progress: told.append(progress) or True
    )
    assert [(p.done, p.total) for p in told] == [(0, 2), (1, 2)]
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        assert file.namelist() == ["8.png", "8-mask.png", "3.png", "3-mask.png"]
        for name in file.namelist():
            there = parse_recipe(read_recipe_json(file.read(name)))
            assert (there.edits, there.seed) == (recipe.edits, int(name[0]))
            shown = np.asarray(Image.open(io.BytesIO(file.read(name))))
            if "mask" in name:
                above = renderer.to_image_size(there, 5, chosen.above(renderer, there, *WHERE))
                assert np.array_equal(shown, chosen.of(above)[0].numpy() * 255)
            else:
                assert np.array_equal(shown, to_arrays(renderer.image(there))[0])


def test_pictures_that_nobody_waits_for_are_not_made(renderer):
    made = picture_masks(ConceptMask(1), renderer, tiny_recipe(), *WHERE, list(range(9)), lambda p: p.done < 2)
    seeds = []
    with pytest.raises(Cancelled):
        for recipe, _, _ in made:
            seeds.append(recipe.seed)
    assert seeds == [0, 1]


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=40), st.integers(1, 9))
def test_values_are_parted_where_the_groups_differ_most(values, scale):
    x = torch.tensor(values, dtype=torch.float64) * scale

    def apart(threshold: float) -> float:
        low, high = x[x < threshold], x[x >= threshold]
        return len(low) * len(high) * float((low.mean() - high.mean()) ** 2) if len(low) and len(high) else 0.0

    best = max(apart(float(t)) for t in x)
    assert apart(otsu_threshold(x)) == pytest.approx(best)
    assert apart(-otsu_threshold(-x)) == pytest.approx(best)
