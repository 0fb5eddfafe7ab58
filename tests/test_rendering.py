import dataclasses
from dataclasses import replace

import pytest
import torch

from panda_core.links import decode_link, encode_link
from panda_core.ops import Edit, unit_alpha
from panda_core.origin import Origin
from panda_core.progress import Cancelled
from panda_core.recipes import Recipe, parse_recipe
from panda_core.regions import Mask, Region
from panda_core.rendering import Renderer, apply_recipe
from tests.helpers import GENERATOR, add_edit, tiny_catalogue, tiny_recipe
from tests.own_pictures import own_picture


@pytest.fixture(scope="module")
def catalogue():
    return tiny_catalogue()


@pytest.fixture
def renderer(catalogue):
    return Renderer(catalogue)


def plain(recipe):
    return GENERATOR(GENERATOR.sample([recipe.seed], recipe.psi))


def test_no_edit_is_the_whole_generator(renderer):
    recipe = tiny_recipe()
    assert torch.equal(renderer.image(recipe), plain(recipe))


@pytest.mark.parametrize("layers", [(3,), (5,), (3, 5), (5, 3, 3)])
def test_strength_0_changes_nothing(renderer, layers):
    recipe = tiny_recipe(*(add_edit(l, 0.0) for l in layers))
    assert torch.equal(renderer.image(recipe), plain(recipe))


def test_an_edit_that_is_off_changes_nothing(renderer):
    assert torch.equal(renderer.image(tiny_recipe(add_edit(on=False))), plain(tiny_recipe()))


def test_an_edit_changes_the_picture(renderer):
    assert not torch.allclose(renderer.image(tiny_recipe(add_edit())), plain(tiny_recipe()), atol=1e-2)


def test_plus_then_minus_cancel(renderer):
    recipe = tiny_recipe(add_edit(strength=2.0), add_edit(strength=-2.0))
    # float32: (z + d) - d differs from z in the last place, then passes through five convolutions
    torch.testing.assert_close(renderer.image(recipe), plain(recipe), atol=1e-4, rtol=0)


def test_edits_act_by_layer_then_as_listed(renderer, catalogue):
    early, late = add_edit(3, 1.5), add_edit(5, -2.0, appearance=0)
    assert torch.equal(renderer.image(tiny_recipe(late, early)), renderer.image(tiny_recipe(early, late)))
    by_hand = GENERATOR.head(GENERATOR.sample([7], 0.9), 3)
    for edit in (early, late):
        by_hand = GENERATOR.advance(by_hand, edit.layer)
        factors = catalogue.factors("tiny", edit.factors)
        p = factors.scaled_parts[:, 1].reshape(by_hand.features.shape[2:])
        change = unit_alpha(edit, factors) * factors.appearances[:, edit.appearance][:, None, None] * p
        by_hand = by_hand.with_features(by_hand.features + change)
    torch.testing.assert_close(renderer.image(tiny_recipe(early, late)), GENERATOR.tail(by_hand), atol=1e-5, rtol=1e-5)


def test_rewrite_needs_its_strength(renderer):
    edit = Edit("rewrite", 3, "bundled:three", Region(all=True), source=0, target=2, strength=1.0)
    assert not torch.allclose(renderer.image(tiny_recipe(edit)), plain(tiny_recipe()), atol=1e-2)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_variants_are_the_pictures_one_by_one(renderer, index):
    recipe = tiny_recipe(add_edit(3), add_edit(5, 1.0), add_edit(3, -1.0, appearance=4))
    edit = recipe.edits[index]
    edits = [edit.with_size(s) for s in (-3.0, 0.0, 1.0, 2.5)]
    edits += [dataclasses.replace(edit, appearance=5), dataclasses.replace(edit, region=Region(all=True))]
    one_by_one = torch.cat([renderer.image(recipe.with_edit(index, e)) for e in edits])
    # the same network on a batch: other blocking in the convolutions
    torch.testing.assert_close(renderer.variants(recipe, index, edits), one_by_one, atol=1e-4, rtol=1e-4)


def test_variants_in_small_batches_are_the_same(catalogue):
    recipe = tiny_recipe(add_edit(3))
    edits = [add_edit(3, s) for s in range(7)]
    small, large = Renderer(catalogue, memory=4 * 4 * 8 * 32 * 32 * 2), Renderer(catalogue)
    seen = []
    tail = GENERATOR.tail
    GENERATOR.tail = lambda cut: (seen.append(len(cut.features)), tail(cut))[1]
    try:
        got = small.variants(recipe, 0, edits)
    finally:
        del GENERATOR.tail
    assert seen == [2, 2, 2, 1]
    torch.testing.assert_close(got, large.variants(recipe, 0, edits), atol=1e-4, rtol=1e-4)


def test_a_tick_runs_only_the_tail(renderer):
    recipe = tiny_recipe(add_edit(3), add_edit(5))
    cut = renderer.prepare(recipe, 1)
    started = []
    start = GENERATOR.start
    GENERATOR.start = lambda latents: (started.append(1), start(latents))[1]
    try:
        ticks = [renderer.finish(cut, recipe.with_edit(1, add_edit(5, s)), 1) for s in (0.0, 1.0, 2.0)]
    finally:
        del GENERATOR.start
    assert not started
    fresh = Renderer(renderer.catalogue, cached=0)
    for s, tick in zip((0.0, 1.0, 2.0), ticks):
        assert torch.equal(tick, fresh.image(recipe.with_edit(1, add_edit(5, s))))


def test_an_empty_cache_gives_the_same_picture(renderer, catalogue):
    region = Region(parts=(0, 2), refine="dense")
    recipe = tiny_recipe(add_edit(3, region=region), add_edit(5))
    renderer.image(recipe)
    assert torch.equal(renderer.image(recipe), apply_recipe(recipe, catalogue))


def test_masks_are_not_scaled_and_keep_multiplies(renderer):
    half = torch.zeros(8, 8)
    half[:, :4] = 1
    drawn = renderer.region(tiny_recipe(), 3, Region(mask=Mask.from_tensor(half)), "bundled:three")
    assert torch.equal(drawn, half.flatten())
    whole = renderer.region(tiny_recipe(), 3, Region(parts=(1,)), "bundled:three")
    kept = renderer.region(tiny_recipe(), 3, Region(parts=(1,), keep=Mask.from_tensor(half)), "bundled:three")
    assert torch.equal(kept, whole * half.flatten())


def test_a_full_mask_is_everywhere(renderer):
    full = Mask.from_tensor(torch.ones(8, 8))
    one, other = (add_edit(region=r) for r in (Region(mask=full), Region(all=True)))
    assert torch.equal(renderer.image(tiny_recipe(one)), renderer.image(tiny_recipe(other)))


@pytest.mark.parametrize("refine", ["dense", "graph"])
def test_refined_parts_are_used_and_do_not_change_the_unit(renderer, catalogue, refine):
    region = Region(parts=(1,), refine=refine, k=5)
    refined = renderer.region(tiny_recipe(), 3, region, "bundled:three")
    assert not torch.allclose(
        refined, renderer.region(tiny_recipe(), 3, Region(parts=(1,)), "bundled:three"), atol=1e-3
    )
    factors = catalogue.factors("tiny", "bundled:three")
    assert unit_alpha(add_edit(region=region), factors) == unit_alpha(add_edit(), factors)


def test_maps_have_the_pictures_size_and_range(renderer):
    maps = renderer.part_maps(tiny_recipe(), 3, "bundled:three")
    assert maps.shape == (4, 32, 32)
    assert maps.min() >= 0 and maps.max() <= 1
    assert renderer.region_map(tiny_recipe(), add_edit()).shape == (32, 32)
    on_grid = renderer.saliency(tiny_recipe(), 5, "bundled:five", 0)
    assert renderer.to_image_size(tiny_recipe(), 5, on_grid).shape == (1, 32, 32)


def test_saliency_is_of_the_edited_picture(renderer):
    """An edit here adds α p̂ to its own appearance's map; one at an earlier layer is in the features; a later is not."""
    here, earlier = add_edit(5, appearance=2), add_edit(3, strength=8.0)
    plain = renderer.saliency(tiny_recipe(), 5, "bundled:five", 2)
    added = renderer.saliency(tiny_recipe(here), 5, "bundled:five", 2) - plain
    factors = renderer.catalogue.factors("tiny", "bundled:five")
    wanted = unit_alpha(here, factors) * factors.scaled_parts[:, 1]
    torch.testing.assert_close(added[0], wanted, atol=1e-4, rtol=0)  # float32 of maps of size 10
    assert not torch.equal(renderer.saliency(tiny_recipe(earlier), 5, "bundled:five", 2), plain)
    three = renderer.saliency(tiny_recipe(here), 3, "bundled:three", 2)
    assert torch.equal(three, renderer.saliency(tiny_recipe(), 3, "bundled:three", 2))


def test_suggestions_render(renderer):
    recipe = tiny_recipe(add_edit())
    edits = renderer.suggestions(recipe, recipe.edits[0])
    assert len(edits) == 12
    assert renderer.variants(recipe, 0, edits).shape == (12, 3, 32, 32)


def remove_edit(strength: float = 1.0, region: Region | None = None) -> Edit:
    return Edit("remove", 3, "bundled:three", region or Region(parts=(2,)), strength=strength)


def test_removal_brings_the_region_to_the_background_by_one_edit(renderer, catalogue):
    recipe, factors = tiny_recipe(remove_edit()), catalogue.factors("tiny", "bundled:three")
    assert parse_recipe(recipe.to_json()) == recipe
    before, after = (r.features.double() for r in (renderer.features(recipe, 3), renderer.edited_features(recipe, 3)))
    p = renderer.region(recipe, 3, Region(parts=(2,)), "bundled:three").double()
    number, sign = renderer.background(recipe, 3, "bundled:three")
    m = torch.einsum("c,chw->hw", sign * factors.appearances[:, number].double(), before[0]).flatten()
    cells = (p < 0.5) & (m >= sign * factors.threshold(number))
    wanted = before[0].flatten(1)[:, cells].mean(dim=1)
    torch.testing.assert_close(after[0].flatten(1) @ p / p.sum(), wanted, rtol=1e-4, atol=1e-4)
    half = renderer.edited_features(tiny_recipe(remove_edit(0.5)), 3).features.double()
    torch.testing.assert_close(half, (before + after) / 2, rtol=1e-4, atol=1e-4)


def test_removing_nothing_is_refused(renderer):
    empty = Region(mask=Mask.from_tensor(torch.zeros(8, 8)))
    with pytest.raises(ValueError, match="empty"):
        renderer.image(tiny_recipe(remove_edit(region=empty)))


def vary_edit(strength: float = 2.0, variation: int = 1, region: Region | None = None) -> Edit:
    return Edit("vary", 3, "bundled:three", region or Region(parts=(1,)), variation=variation, strength=strength)


def test_a_variation_moves_the_pictures_score_by_its_strength(renderer):
    recipe, region = tiny_recipe(vary_edit(2.0)), Region(parts=(1,))
    found = renderer.variations(recipe, 3, "bundled:three", region)
    plain, edited = renderer.features(recipe, 3).features, renderer.edited_features(recipe, 3).features
    torch.testing.assert_close(edited - plain, 2.0 * found.direction(1).reshape(1, -1, 8, 8), atol=1e-5, rtol=0)
    assert torch.equal(renderer.image(tiny_recipe(vary_edit(0.0))), renderer.base(recipe))


def test_variations_that_a_file_holds_are_those_that_a_recipe_means(renderer, catalogue):
    factors = catalogue.factors("tiny", "bundled:three")
    learned = renderer.variations(tiny_recipe(), 3, "bundled:three", Region(parts=(0, 2)))
    doubled = dataclasses.replace(learned, deviations=2 * learned.deviations)
    own = tiny_catalogue()
    own.add("tiny", "bundled:three", dataclasses.replace(factors, variations={(0, 2): doubled}))
    edit = vary_edit(1.0, 0, Region(parts=(2, 0)))  # in any order
    twice = dataclasses.replace(edit, strength=2.0)
    torch.testing.assert_close(apply_recipe(tiny_recipe(edit), own), renderer.image(tiny_recipe(twice)))


def test_samples_are_drawn_once_for_a_layer_and_can_be_cancelled(renderer):
    told, recipe, painted = [], tiny_recipe(), Region(mask=Mask.from_tensor(torch.ones(8, 8)))
    assert not renderer.knows_variations(recipe, 3, "bundled:three", painted)
    with pytest.raises(Cancelled):
        renderer.variations(recipe, 3, "bundled:three", painted, lambda step: False)
    assert not renderer.knows_variations(recipe, 3, "bundled:three", painted)
    renderer.variations(recipe, 3, "bundled:three", painted, lambda step: told.append(step.done))
    assert told == sorted(told) and told[-1] == 1024
    assert renderer.knows_variations(recipe, 3, "bundled:three", Region(all=True))
    renderer.variations(recipe, 3, "bundled:three", Region(all=True), lambda step: pytest.fail("drawn again"))


def test_a_kept_piece_of_a_part_takes_a_piece_of_its_variation(renderer):
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    whole, kept = (tiny_recipe(vary_edit(region=Region(parts=(1,), keep=keep)))
                   for keep in (None, Mask.from_tensor(left)))  # fmt: skip
    plain = renderer.features(whole, 3).features
    changes = [renderer.edited_features(recipe, 3).features - plain for recipe in (whole, kept)]
    torch.testing.assert_close(changes[1], changes[0] * left, atol=1e-6, rtol=0)


def transfer_edit(share: float = 1.0, **other) -> Edit:
    return Edit("transfer", 3, "bundled:three", Region(all=True), share=share, **(other or {"seed": 11}))


def test_a_transfer_of_everything_is_the_other_pictures_features_under_this_ones_styles(renderer):
    recipe, other = tiny_recipe(transfer_edit()), tiny_recipe(seed=11)
    there = renderer.features(other, 3).features
    torch.testing.assert_close(renderer.edited_features(recipe, 3).features, there, atol=1e-5, rtol=0)
    by_hand = GENERATOR.tail(renderer.features(recipe, 3).with_features(there))
    torch.testing.assert_close(renderer.image(recipe), by_hand, atol=1e-4, rtol=0)
    named = Origin("tiny", None, None, 11, recipe.psi)
    assert torch.equal(renderer.image(tiny_recipe(transfer_edit(picture=named))), renderer.image(recipe))
    assert torch.equal(renderer.image(tiny_recipe(transfer_edit(0.0))), renderer.base(recipe))


def test_an_own_picture_is_edited_as_any_and_kept_to_the_bit_elsewhere(catalogue):
    own, _ = own_picture()
    renderer, recipe = Renderer(catalogue), Recipe("tiny", psi=0.9, source=own.id)
    with pytest.raises(ValueError, match="no link holds"):
        renderer.image(recipe)
    assert renderer.add_own_picture(own) == recipe.source
    torch.testing.assert_close(renderer.base(recipe), own.reconstruction(GENERATOR), atol=1e-5, rtol=0)
    assert torch.equal(renderer.shown(recipe), own.image)
    for layer in (3, 5):  # before, at or after the layer of δ
        edited = replace(recipe, edits=(add_edit(layer, 2.0),))
        assert parse_recipe(edited.to_json()) == edited and decode_link(encode_link(edited)) == edited
        factors = catalogue.factors("tiny", edited.edits[0].factors)
        p = factors.scaled_parts[:, 1].reshape(1, 1, *GENERATOR.layers[layer][1:])
        a = unit_alpha(edited.edits[0], factors) * factors.appearances[:, 1, None, None]
        cut = own.cut(GENERATOR, layer)
        by_hand = own.advance(GENERATOR, cut.with_features(cut.features + a * p), max(layer, own.layer))
        torch.testing.assert_close(renderer.image(edited), GENERATOR.tail(by_hand), atol=1e-4, rtol=0)
        assert renderer.variants(edited, 0, [edited.edits[0]]).shape == (1, 3, 32, 32)
    drawn = replace(recipe, edits=(Edit("transfer", 3, "bundled:three", Region(all=True), seed=4, share=1.0),))
    assert not torch.equal(renderer.image(drawn), renderer.base(drawn))


def test_other_weights_are_refused(renderer):
    with pytest.raises(ValueError, match="weights 000000000000"):
        renderer.image(dataclasses.replace(tiny_recipe(), weights="0" * 12))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (add_edit(appearance=12), "appearance is 12"),
        (add_edit(region=Region(parts=(4,))), "0 to 3"),
        (dataclasses.replace(add_edit(), layer=5), "are for 3"),
        (dataclasses.replace(add_edit(), layer=9), "layer is 9"),
        (add_edit(region=Region(mask=Mask((4, 4), "16"))), "4 x 4; layer 3 has 8 x 8"),
        (dataclasses.replace(add_edit(), factors="bundled:none"), "generator is 'tiny'"),
        (vary_edit(variation=12), "variation is 12; this region has 0 to 11"),
        (vary_edit(region=Region(mask=Mask.from_tensor(torch.zeros(8, 8)))), "no cells"),
        (transfer_edit(picture=Origin("portraits", seed=1)), "by portraits; what is taken over must be by tiny"),
    ],
)
def test_what_does_not_match_the_generator_is_refused(renderer, edit, message):
    with pytest.raises(ValueError, match=message):
        renderer.image(tiny_recipe(edit))


@pytest.mark.parametrize("layer", [3, 5])
def test_thumbnails_are_half_size_and_alike(renderer, layer):
    recipe = tiny_recipe(add_edit(layer))
    edits = [add_edit(layer, s) for s in (-2.0, 0.0, 2.0)]
    assert renderer.variants(recipe, 0, edits, shrink=2).shape == (3, 3, 16, 16)


def test_a_preview_close_to_the_end_is_the_picture_made_smaller():
    cut = GENERATOR.head(GENERATOR.sample([3], 0.9), max(GENERATOR.layers) - 1)
    small = torch.nn.functional.avg_pool2d(GENERATOR.tail(cut), 2)
    assert torch.equal(GENERATOR.preview(cut), small)
