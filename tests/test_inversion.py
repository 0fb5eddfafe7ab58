"""Pictures found in generators: laws on tiny copies of every family."""

from itertools import pairwise

import pytest
import torch

from panda_core.catalogue import Catalogue
from panda_core.generators.registry import FAMILIES
from panda_core.method import inversion
from panda_core.method.inversion import Space, distance, first_cut, invert, psnr, pyramid
from panda_core.own_picture import OwnPicture
from panda_core.progress import Cancelled
from tests.own_pictures import TINY, layer_of, own_picture, pictures_of, space_of

STYLED = [name for name in TINY if "stylegan" in name]
STEPS = 12, 8, 12


@pytest.mark.parametrize("name", STYLED)
def test_pictures_start_from_styles_as_from_their_latents(name):
    generator, latents = TINY[name], TINY[name].sample([1, 2], 0.7)
    cut = generator.from_styles(generator.styles(latents))
    assert torch.equal(generator.tail(cut), generator(latents))


@pytest.mark.parametrize("name", [name for name in TINY if name not in STYLED])
def test_a_family_without_a_style_space_says_so(name):
    with pytest.raises(ValueError, match="has no style space"):
        TINY[name].from_styles(torch.zeros(1, 2, 3))


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("shrink", [2, 4])
def test_a_preview_has_its_size(name, shrink):
    generator = TINY[name]
    with torch.no_grad():
        small = generator.preview(
            generator.start(generator.sample([1], 1.0, 1 if generator.n_classes else None)), shrink
        )
    assert small.shape == (1, 3, generator.resolution // shrink, generator.resolution // shrink)


@pytest.mark.parametrize("name", TINY)
def test_points_are_the_latents_that_they_stand_for(name):
    space, generator = space_of(name), TINY[name]
    drawn = generator.tail(space.begin(generator, space.points[:4]))
    torch.testing.assert_close(drawn.clamp(-1, 1), pictures_of(name, range(4)), atol=2e-3, rtol=0)  # by way of a root


@pytest.mark.parametrize("name", STYLED)
def test_points_of_samples_have_mean_0_and_variance_1(name, monkeypatch):
    monkeypatch.setattr(inversion, "look", lambda generator, cut, shrink: torch.zeros(1, 3, 16, 16))  # not drawn here
    points = Space.measure(TINY[name], seeds=512).points
    assert points.mean(dim=0).abs().max() < 0.2
    assert (points.var(dim=0) - 1).abs().max() < 0.35


@pytest.mark.parametrize("name", TINY)
def test_a_generated_picture_is_found_nearer_than_the_nearest_seed(name):
    space, pictures = space_of(name), pictures_of(name, [1000, 1001])
    found = invert(TINY[name], space, pictures, layer_of(name), STEPS)
    with torch.no_grad():
        nearest = TINY[name].tail(space.begin(TINY[name], space.nearest(pictures)))
    assert bool((distance(found.images, pyramid(pictures)) < 0.7 * distance(nearest, pyramid(pictures))).all())
    assert bool((found.psnr["features"] > psnr(nearest, pictures) + 2).all())


@pytest.mark.parametrize("name", TINY)
def test_no_stage_ends_further_away_than_the_one_before(name):
    pictures, ends = pictures_of(name, [1000, 1001]), {}
    target = pyramid(pictures)

    def report(progress):
        if progress.done == progress.total:
            ends[progress.stage] = distance(progress.images, target)

    invert(TINY[name], space_of(name), pictures, layer_of(name), STEPS, report)
    stages = ["start", "latents", *(["styles"] if name in STYLED else []), "features"]
    assert list(ends) == stages
    for before, after in pairwise(stages):
        assert bool((ends[after] <= ends[before]).all())


@pytest.mark.parametrize("name", TINY)
def test_what_is_returned_is_what_it_says(name):
    generator, pictures = TINY[name], pictures_of(name, [1000, 1001])
    own, found = own_picture(name)
    torch.testing.assert_close(own.reconstruction(generator), found.images, atol=5e-3, rtol=0)  # δ kept in 16 bits
    assert found.latents.shape[0] == 1 and found.delta.shape[1:] == generator.layers[layer_of(name)]
    torch.testing.assert_close(found.psnr["features"], psnr(found.images, pictures[:1]))


@pytest.mark.parametrize("name", TINY)
def test_the_same_picture_is_found_in_the_same_place(name):
    (one, _), (other, _) = own_picture(name), own_picture.__wrapped__(name)
    assert one.id == other.id


def test_pictures_of_a_batch_are_found_as_each_alone():
    pictures = pictures_of("stylegan2", [1000, 1001])
    together = invert(TINY["stylegan2"], space_of("stylegan2"), pictures, 3, (4, 3, 4))
    for i in range(2):
        alone = invert(TINY["stylegan2"], space_of("stylegan2"), pictures[i : i + 1], 3, (4, 3, 4))
        assert (alone.images[0] - together.images[i]).abs().max() < 2e-2  # Adam enlarges rounding; pictures are ±1


@pytest.mark.parametrize("calls", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("name", ["stylegan2", "biggan"])
def test_it_stops_when_told_with_what_there_is(name, calls, monkeypatch):
    monkeypatch.setattr("panda_core.method.inversion.ENOUGH", 1000.0)
    pictures, seen = pictures_of(name, [1000]), []

    def report(progress):
        seen.append(progress.stage)
        return len(seen) < calls

    found = invert(TINY[name], space_of(name), pictures, layer_of(name), (5, 5, 5), report)
    assert len(seen) == calls
    assert list(found.psnr)[-1] == seen[-1]
    assert bool(torch.isfinite(found.images).all())


def test_what_was_measured_comes_back_from_its_file(tmp_path):
    space, path = space_of("stylegan2"), tmp_path / "space.safetensors"
    space.save(path, "0" * 12)
    read = Space.load(path, "0" * 12)
    assert (read.n_styles, read.shrink, set(read.sigma)) == (space.n_styles, space.shrink, set(space.sigma))
    for name in ("mean", "root", "points", "thumbnails"):  # of 16 bits; thumbnails of 8
        bound = 1 if name == "thumbnails" else torch.inf
        expected = getattr(space, name).clamp(-bound, bound)
        torch.testing.assert_close(getattr(read, name), expected, atol=5e-3, rtol=1e-3)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"x" * 999])
def test_a_damaged_file_or_one_of_other_weights_is_not_used(damage, tmp_path):
    space_of("stylegan2").save(tmp_path / "space.safetensors", "0" * 12)
    with pytest.raises(ValueError, match="measured with weights 000000000000, not 111111111111"):
        Space.load(tmp_path / "space.safetensors", "1" * 12)
    (tmp_path / "space.safetensors").write_bytes(damage((tmp_path / "space.safetensors").read_bytes()))
    with pytest.raises(ValueError, match="cannot be used"):
        Space.load(tmp_path / "space.safetensors", "0" * 12)


def test_what_holds_for_one_class_or_psi_only_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="every picture"):
        space_of("biggan").save(tmp_path / "space.safetensors", "0" * 12)


def test_the_bundled_generator_is_searched_without_measuring_it(monkeypatch):
    monkeypatch.setattr(Space, "measure", None)
    catalogue = Catalogue()
    space = catalogue.space("portraits")
    assert len(space.thumbnails) == 512 and set(space.sigma) == set(catalogue.generator("portraits").generator.layers)


def test_measuring_that_is_stopped_leaves_nothing():
    with pytest.raises(Cancelled):
        Space.measure(TINY["stylegan2"], seeds=16, report=lambda progress: False)


@pytest.mark.parametrize("name", TINY)
def test_without_steps_at_the_features_they_are_the_latents_own(name):
    pictures = pictures_of(name, [1000])
    found = invert(TINY[name], space_of(name), pictures, layer_of(name), (3, 2, 0))
    assert not found.delta.any()
    own = OwnPicture.of(found, 0, pictures, space_of(name), "tiny", "0" * 12)
    cut = own.cut(TINY[name], layer_of(name))
    space = space_of(name)
    plain = TINY[name].advance(first_cut(TINY[name], found.latents, space.psi, space.classes), layer_of(name))
    assert torch.equal(cut.features, plain.features)


def test_the_heavier_the_penalty_the_smaller_is_delta(monkeypatch):
    sizes = []
    for weight in (0.0, 1.0, 1e6):
        monkeypatch.setattr("panda_core.method.inversion.SMALL", weight)
        found = invert(TINY["stylegan2"], space_of("stylegan2"), pictures_of("stylegan2", [1000]), 3, (2, 0, 12))
        sizes.append(float(found.delta.square().mean()))
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 1e-2 * sizes[0]


def test_it_works_where_gradients_are_off_and_in_double_precision():
    generator, pictures = FAMILIES["stylegan2"].tiny(0).double(), pictures_of("stylegan2", [1000])
    with torch.inference_mode():
        space = Space.measure(generator, seeds=16)
        found = invert(generator, space, pictures, 3, (3, 2, 3))
        nearest = generator.tail(space.begin(generator, space.nearest(pictures)))
    assert float(distance(found.images, pyramid(pictures))) < float(distance(nearest, pyramid(pictures)))


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (3, 32, 32)])
def test_pictures_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match="pictures has shape"):
        invert(TINY["stylegan2"], space_of("stylegan2"), torch.zeros(shape), 3)
