"""Laws that every family keeps at every layer, on tiny random copies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from panda_core.generators.biggan import IMAGENET_NAMES, BigGAN
from panda_core.generators.registry import FAMILIES
from panda_core.generators.split import weights_hash
from panda_core.generators.stylegan3 import StyleGAN3

TINY = {family: cls.tiny(0) for family, cls in FAMILIES.items()}
TINY["stylegan3-r"] = StyleGAN3.tiny(0, kernel=1, is_radial=True)
EVERY_LAYER = [(name, layer) for name, generator in TINY.items() for layer in generator.layers]
PSI = 0.7


def latents_of(generator, seeds, psi=PSI):
    return generator.sample(seeds, psi, 1 if generator.n_classes else None)


def noise_like(features, seed=0):
    return torch.randn(features.shape, generator=torch.Generator().manual_seed(seed)) * features.std()


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_tail_of_head_is_the_whole_generator(name, layer):
    generator = TINY[name]
    latents = latents_of(generator, [1, 2, 3])
    assert torch.equal(generator.tail(generator.head(latents, layer)), generator(latents))


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_a_layer_has_the_shape_it_is_listed_with(name, layer):
    generator = TINY[name]
    cut = generator.head(latents_of(generator, [1, 2]), layer)
    assert cut.layer == layer
    assert tuple(cut.features.shape) == (2, *generator.layers[layer])


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_going_on_from_any_layer_reaches_the_same_features(name, layer):
    generator = TINY[name]
    latents = latents_of(generator, [4, 5])
    cut = generator.head(latents, layer)
    for later in [l for l in generator.layers if l >= layer]:
        assert torch.equal(generator.advance(cut, later).features, generator.head(latents, later).features)


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_a_sample_alone_is_what_it_is_in_a_batch(name, layer):
    generator = TINY[name]
    together = generator.head(latents_of(generator, [1, 2, 3]), layer)
    images = generator.tail(together)
    for i, seed in enumerate([1, 2, 3]):
        alone = generator.head(latents_of(generator, [seed]), layer)
        for one, many in ((alone.features, together.features), (generator.tail(alone), images)):
            assert (one[0] - many[i]).abs().max() <= 5e-5 * max(1.0, many.std())  # docs/architecture.md; seen 5e-6


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_many_edits_of_one_picture_share_what_crosses_the_cut(name, layer):
    generator = TINY[name]
    cut = generator.head(latents_of(generator, [7]), layer)
    edits = cut.features + noise_like(cut.features.expand(3, -1, -1, -1))
    images = generator.tail(cut.with_features(edits))
    assert images.shape == (3, 3, generator.resolution, generator.resolution)
    for i in range(3):
        alone = generator.tail(cut.with_features(edits[i : i + 1]))
        assert (alone[0] - images[i]).abs().max() <= 5e-5 * max(1.0, images.std())


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_rows_of_a_cut_are_the_cut_of_these_rows(name, layer):
    generator = TINY[name]
    cut = generator.head(latents_of(generator, [1, 2, 3]), layer)
    images = generator.tail(cut)
    assert (generator.tail(cut[1:]) - images[1:]).abs().max() <= 5e-5 * max(1.0, images.std())


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_an_edit_at_any_layer_changes_the_picture(name, layer):
    generator = TINY[name]
    cut = generator.head(latents_of(generator, [3]), layer)
    changed = generator.tail(cut.with_features(cut.features + noise_like(cut.features)))
    difference = (changed - generator.tail(cut)).abs().max()
    if name == "stylegan2" and layer == max(generator.layers):
        assert difference == 0  # the last RGB layer has run: the picture is in what crosses the cut
    else:
        assert difference > 1e-2


@pytest.mark.parametrize("name, layer", EVERY_LAYER)
def test_the_frame_lies_in_the_grid_and_covers_it_but_for_stylegan3(name, layer):
    generator = TINY[name]
    _, height, width = generator.layers[layer]
    top, left, bottom, right = generator.frame(layer)
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    if not name.startswith("stylegan3"):
        assert (top, left, bottom, right) == (0, 0, height, width)


@pytest.mark.parametrize("name, layer", [(n, l) for n, l in EVERY_LAYER if l in TINY[n].editable_layers])
def test_a_click_lands_on_the_right_cell(name, layer):
    generator, n = TINY[name], TINY[name].resolution
    few = range(12 if name.startswith("stylegan3") else 3)  # StyleGAN3's early layers are coarse: on average
    cut = generator.head(latents_of(generator, few), layer)
    images = generator.tail(cut)
    top, left, bottom, right = generator.frame(layer)
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in cut.features.shape[2:]), indexing="ij")
    sign = noise_like(cut.features[:, :, :1, :1]).sign()
    for down, across in ((0.25, 0.25), (0.5, 0.75), (0.75, 0.3)):
        row, column = top + int(down * (bottom - top)), left + int(across * (right - left))
        bump = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)  # StyleGAN3 filters anything sharper away
        change = generator.tail(cut.with_features(cut.features + 0.3 * sign * cut.features.std() * bump)) - images
        energy = change.square().sum(dim=1).square()  # squared again: a faint change may spread everywhere
        energy = (energy / energy.sum(dim=(1, 2), keepdim=True)).sum(dim=0)
        centre_y = ((energy.sum(1) * (torch.arange(n) + 0.5)).sum() / energy.sum()) / n
        centre_x = ((energy.sum(0) * (torch.arange(n) + 0.5)).sum() / energy.sum()) / n
        cell = 1 / (bottom - top)
        assert abs(centre_y - (row - top + 0.5) * cell) < 1.5 * cell
        assert abs(centre_x - (column - left + 0.5) * cell) < 1.5 * cell


@pytest.mark.parametrize("name", ["stylegan3", "stylegan3-r"])
def test_a_feature_outside_the_frame_does_not_move_the_centre(name):
    generator = TINY[name]
    for layer in generator.editable_layers:
        cut = generator.head(latents_of(generator, [5]), layer)
        top, left, bottom, right = generator.frame(layer)
        inside = torch.zeros_like(cut.features)
        inside[:, :, top:bottom, left:right] = 1
        third = generator.resolution // 3
        at_centre = []
        for region in (inside, 1 - inside):
            change = generator.tail(cut.with_features(cut.features + region)) - generator.tail(cut)
            at_centre.append(change[..., third:-third, third:-third].abs().max())
        assert at_centre[1] < 0.25 * at_centre[0]  # T, whose early layers reach far: seen 0.16


@pytest.mark.parametrize("name", TINY)
def test_the_same_seed_gives_the_same_picture_and_another_seed_another(name):
    generator = TINY[name]
    one, again, other = (generator(latents_of(generator, [seed])) for seed in (11, 11, 12))
    assert torch.equal(one, again)
    assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1])
def test_latents_are_drawn_as_everywhere_in_the_field(name, seed):
    generator = TINY[name]
    z = latents_of(generator, [seed]).z
    if name == "biggan":
        uniform = np.random.RandomState(seed).random_sample(generator.z_dim)
        wanted = PSI * truncnorm.ppf(uniform, -2, 2)
    else:
        wanted = np.random.RandomState(seed).randn(1, generator.z_dim)[0]
    assert np.abs(z[0].numpy() - wanted).max() < 1e-6


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(name, seed):
    with pytest.raises(ValueError, match="it must be a whole number from 0 to 4294967295"):
        latents_of(TINY[name], [seed])


@pytest.mark.parametrize("name", [name for name, generator in TINY.items() if generator.psi_range])
def test_truncation_keeps_to_its_range_and_changes_the_picture(name):
    generator = TINY[name]
    low, high = generator.psi_range
    assert (generator(latents_of(generator, [3], low)) - generator(latents_of(generator, [3], high))).abs().max() > 1e-2
    for psi in (low - 0.01, high + 0.01):
        with pytest.raises(ValueError, match=f"this generator takes {low} to {high}"):
            latents_of(generator, [3], psi)


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2", "stylegan3", "stylegan3-r"])
def test_full_truncation_is_the_same_mean_picture_for_every_seed(name):
    generator = TINY[name]
    images = generator(latents_of(generator, [1, 2], 0.0))
    assert (images[0] - images[1]).abs().max() < 1e-5


@pytest.mark.parametrize("name", TINY)
def test_a_layer_that_is_not_there_or_lies_behind_is_refused(name):
    generator = TINY[name]
    latents = latents_of(generator, [1])
    last = max(generator.layers)
    with pytest.raises(ValueError, match=f"this generator has layers {min(generator.layers)} to {last}"):
        generator.head(latents, last + 1)
    with pytest.raises(ValueError, match="can only go on"):
        generator.advance(generator.head(latents, last), min(generator.layers))


@pytest.mark.parametrize("name", TINY)
def test_the_config_rebuilds_the_generator(name):
    generator = TINY[name]
    again = type(generator)(**generator.config)
    again.load_state_dict(generator.state_dict())
    latents = latents_of(generator, [9])
    assert again.config == generator.config
    assert torch.equal(again.eval().requires_grad_(False)(latents), generator(latents))


@pytest.mark.parametrize("family", FAMILIES)
def test_tiny_depends_on_its_seed_alone(family):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = FAMILIES[family].tiny(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert weights_hash(FAMILIES[family].tiny(5)) == weights_hash(one)
    assert weights_hash(FAMILIES[family].tiny(6)) != weights_hash(one)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hash_sees_every_weight(family):
    generator = FAMILIES[family].tiny(5)
    before = weights_hash(generator)
    for tensor in generator.state_dict().values():
        value = tensor.view(-1)[0].clone()
        tensor.view(-1)[0] += 1
        assert weights_hash(generator) != before
        tensor.view(-1)[0] = value
    assert weights_hash(generator) == before


@pytest.mark.parametrize("name", [name for name, generator in TINY.items() if generator.n_classes])
def test_the_class_matters_must_be_given_and_must_exist(name):
    generator = TINY[name]
    images = generator(generator.sample([3], PSI, 0)), generator(generator.sample([3], PSI, 1))
    assert (images[0] - images[1]).abs().max() > 1e-3
    for wrong in (None, generator.n_classes, -1, "no such class"):
        with pytest.raises(ValueError, match="class is"):
            generator.sample([3], PSI, wrong)


@pytest.mark.parametrize("name", [name for name, generator in TINY.items() if not generator.n_classes])
def test_a_class_for_a_generator_without_classes_is_refused(name):
    with pytest.raises(ValueError, match="this generator has no classes"):
        TINY[name].sample([3], PSI, 0)


def test_a_batch_may_mix_class_vectors():
    generator = TINY["biggan"]
    latents = generator.sample([3, 3], PSI, 0)
    mixed = replace(latents, classes=torch.eye(generator.n_classes)[[0, 4]])
    assert (generator(mixed)[1] - generator(generator.sample([3], PSI, 4))[0]).abs().max() < 5e-5


IMAGENET_ANCHORS = {
    0: "tench", 1: "goldfish", 22: "bald eagle", 76: "tarantula", 88: "macaw", 107: "jellyfish", 130: "flamingo",
    145: "king penguin", 151: "Chihuahua", 207: "golden retriever", 235: "German shepherd", 254: "pug", 281: "tabby",
    292: "tiger", 301: "ladybug", 323: "monarch", 340: "zebra", 388: "giant panda", 404: "airliner", 417: "balloon",
    437: "beacon", 483: "castle", 497: "church", 508: "computer keyboard",
    555: "fire engine", 609: "jeep", 637: "mailbox",
    671: "mountain bike", 701: "parachute", 755: "radio telescope", 779: "school bus", 805: "soccer ball",
    817: "sports car", 849: "teapot", 879: "umbrella", 920: "traffic light", 933: "cheeseburger", 947: "mushroom",
    954: "banana", 963: "pizza", 970: "alp", 973: "coral reef", 975: "lakeside", 980: "volcano", 985: "daisy",
    999: "toilet tissue",
}  # fmt: skip


def test_the_imagenet_names_are_a_thousand_different_ones_in_the_usual_order():
    names = IMAGENET_NAMES.read_text("utf-8").splitlines()
    assert len({name.casefold() for name in names}) == 1000 == len(names)
    assert {index: names[index] for index in IMAGENET_ANCHORS} == IMAGENET_ANCHORS


def test_a_class_is_found_by_name_whatever_its_case_or_by_number_as_text():
    generator = BigGAN([(False, 4, 4), (True, 4, 1)], attention_at=9, width=4, z_dim=4, n_stats=3)
    assert generator.class_number("Golden Retriever ") == 207
    assert generator.class_number("963") == 963 == generator.class_number("pizza")
    with pytest.raises(ValueError, match="close names are golden retriever"):
        generator.class_number("golden retreiver")
    assert torch.equal(generator.sample([1], 0.5, "pizza").classes, generator.sample([1], 0.5, 963).classes)


def test_sizes_that_a_file_states_as_10_0_are_whole_numbers():
    latents = TINY["stylegan3"].sample([1])
    assert torch.equal(StyleGAN3.tiny(0, resolution=32.0, margin=10.0)(latents), TINY["stylegan3"](latents))
