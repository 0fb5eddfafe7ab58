"""Names and ids -> generators and factors; the command line on top of them."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from panda_core import __main__ as cli
from panda_core import catalogue as catalogue_module
from panda_core import loading
from panda_core.catalogue import Catalogue, Loaded, user_folder
from panda_core.checkpoints.load import load_generator, save_generator
from panda_core.factors import Factors
from panda_core.fitting import batch_for, feature_source, fit_id, fit_layer
from panda_core.generators import registry
from panda_core.generators.registry import FAMILIES
from panda_core.generators.split import weights_hash
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.images import read_recipe_json
from panda_core.links import encode_link
from panda_core.recipes import parse_recipe
from tests.helpers import GENERATOR, LOADED, add_edit, fit_tiny, load_tiny, tiny_recipe


@pytest.fixture
def registered(home, monkeypatch):
    """The tiny generator as the registry's "tiny", with bundled factors beside it."""
    source = registry.LocalFile(home / "assets" / "tiny" / "generator.safetensors")
    spec = registry.GeneratorSpec("tiny", "Tiny", "stylegan2", 32, (source,), "MIT", default_layer=3)
    monkeypatch.setattr(registry, "ASSETS", home / "assets")
    monkeypatch.setattr(loading, "shared", loading.Loader())
    monkeypatch.setitem(registry.GENERATORS, "tiny", spec)
    source.where.parent.mkdir(parents=True)
    save_generator(GENERATOR, source.where)
    factors = fit_tiny(3)
    factors.save(spec.factors_folder(LOADED.weights) / f"{factors.stem()}.safetensors")
    return factors


def test_bundled_factors_are_found_by_their_stem(registered):
    got = Catalogue().factors("tiny", f"bundled:{registered.stem()}")
    assert torch.equal(got.parts, registered.parts)


def test_a_fit_id_fits_the_same_factors_again(home):
    factors = fit_tiny(3, R_C=5)
    assert fit_id(factors) == "fit:3,5,4,32,0,1,all"
    again = Catalogue(load=load_tiny).factors("tiny", fit_id(factors))
    assert torch.equal(again.parts, factors.parts)
    assert torch.equal(again.appearances, factors.appearances)


def test_what_was_fitted_for_a_visitor_is_not_fitted_again_nor_offered_to_others(home, monkeypatch):
    found = Catalogue(load=load_tiny).add_fit("tiny", fit_tiny(3, R_C=5))
    monkeypatch.setattr(catalogue_module, "fit_layer", lambda *_: pytest.fail("fitted again"))
    other = Catalogue(load=load_tiny)
    assert torch.equal(other.factors("tiny", found).parts, fit_tiny(3, R_C=5).parts)
    assert list((home / "factors").glob("*/*")) == list((home / "factors" / "fits").glob("*"))


def test_local_factors_lie_in_the_users_folder(home):
    factors = fit_tiny(3)
    factors.save(home / "draft.safetensors")
    digest = hashlib.sha256((home / "draft.safetensors").read_bytes()).hexdigest()[:12]
    factors.save(home / "factors" / "local" / f"{digest}.safetensors")
    assert Catalogue(load=load_tiny).factors("tiny", f"local:{digest}").info == factors.info


def test_hub_factors_are_downloaded_once(registered, tmp_path, monkeypatch):
    factors = fit_tiny(3)
    factors.save(tmp_path / "a.safetensors")
    asked, path = [], tmp_path / "a.safetensors"
    monkeypatch.setattr(catalogue_module, "download", lambda files, report: (asked.append(files), path)[1])
    catalogue = Catalogue(load=load_tiny, own=True)
    for _ in range(2):
        catalogue.factors("tiny", "hub:me/mine@v1/a.safetensors")
    assert asked == [(registry.HubFile("me/mine", "a.safetensors", revision="v1"),)]


def test_factors_of_other_weights_are_refused(registered, tmp_path, monkeypatch):
    factors = fit_tiny(3).with_info(weights="0" * 12)
    factors.save(tmp_path / "a.safetensors")
    monkeypatch.setattr(catalogue_module, "download", lambda files, report: tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="learned from weights 000000000000"):
        Catalogue(load=load_tiny, own=True).factors("tiny", "hub:a/b@c/d")


@pytest.mark.parametrize(
    ("factors_id", "message"),
    [
        ("bundled:none", "no factors 'bundled:none'"),
        ("local:0123456789ab", "no factors"),
        ("hub:a/b@c/d", "does not download from"),
        ("fit:30,4,4,8,0,1,all", "layer is 30"),
        ("fit:3,400,4,8,0,1,all", "ranks are 400"),
        ("fit:3,4,4,8,0,1,7", "no classes"),
        ("fit:3,4,4,1,0,1,all", "at least 2"),
    ],
)
def test_what_cannot_be_found_is_said(registered, factors_id, message):
    with pytest.raises(ValueError, match=message):
        Catalogue().factors("tiny", factors_id)


def test_samples_are_the_same_however_they_are_drawn():
    draw = feature_source(GENERATOR, 3, 0.7, seed=4)
    whole, pieces = draw(0, 5), torch.cat([draw(0, 2), draw(2, 3)])
    # one convolution over 5 samples or over 2 and 3
    torch.testing.assert_close(whole, pieces, atol=1e-5, rtol=1e-5)
    assert not torch.equal(whole, feature_source(GENERATOR, 3, 0.7, seed=5)(0, 5))


def test_batches_stay_within_their_bound():
    assert batch_for((512, 16, 16)) == 32
    assert batch_for((64, 1024, 1024)) == 1
    assert batch_for((256, 128, 128)) * 4 * 256 * 128 * 128 <= 2**26


def test_an_unknown_generator_is_refused_by_name():
    with pytest.raises(ValueError, match="'nobody'; there are portraits"):
        Catalogue().generator("nobody")


def test_the_users_folder_is_not_made(home):
    assert user_folder() == home
    assert list(home.iterdir()) == []


def test_render_writes_a_picture_that_opens_again(registered, home):
    edit = dataclasses.replace(add_edit(), factors=f"bundled:{registered.stem()}")
    recipe = dataclasses.replace(tiny_recipe(edit), weights=None)
    (home / "r.json").write_text(recipe.to_json())
    assert cli.main(["render", str(home / "r.json"), str(home / "a.png")]) == 0
    pinned = parse_recipe(read_recipe_json((home / "a.png").read_bytes()))
    assert pinned == dataclasses.replace(recipe, weights=LOADED.weights)
    link = encode_link(recipe)
    page = "https://x.hf.space/"
    links = [
        f"{page}?r={link}",
        f"{page}?r={link}&fbclid=x_y-Z",
        f"{page}?__theme=dark&r={link}#top",
        f"{page}?r={link}\n",
    ]
    for source in (str(home / "a.png"), recipe.to_json(), f" {recipe.to_json()}\n", link, f"{link}\n", *links):
        assert cli.main(["render", source, str(home / "b.png")]) == 0
        assert (home / "b.png").read_bytes() == (home / "a.png").read_bytes()
    with Image.open(home / "a.png") as picture:
        assert picture.size == (32, 32)


def test_a_fit_on_features_that_are_not_numbers_ends_in_a_sentence():
    generator = StyleGAN2.tiny(0)
    generator.convs[3].bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"Layer 4 of this generator has values that are not finite at ψ = 0.8"):
        fit_layer("tiny", Loaded(generator, "0"), 4, samples=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_layer_of_an_unlisted_generator_shows_more_than_its_input(family, monkeypatch):
    generator = FAMILIES[family].tiny(0)
    spec = dataclasses.replace(registry.GENERATORS["portraits"], name="unlisted", default_layer=None)
    monkeypatch.setitem(registry.GENERATORS, "unlisted", spec)
    layer = Catalogue(load=lambda _: Loaded(generator, weights_hash(generator))).default_layer("unlisted")
    top, _, bottom, _ = generator.frame(layer)
    coarsest = generator.frame(min(generator.layers))
    assert layer in generator.editable_layers
    assert bottom - top > coarsest[2] - coarsest[0]


def test_fit_writes_factors_where_they_belong(registered, home, capsys):
    assert cli.main(["fit", "--generator", "tiny", "--parts", "3", "--samples", "20"]) == 0
    path = home / "factors" / LOADED.weights / "l3-call-psi0.8-12x3.safetensors"
    assert Factors.load(path).info.samples == 20
    assert str(path) in capsys.readouterr().out


def test_rank_grows_one_index_and_answers_from_it(registered, home, capsys):
    factors_id = f"bundled:{registered.stem()}"
    for count in ("20", "50"):
        assert cli.main(["rank", factors_id, "--generator=tiny", "--count", count, "--part=2", "--show=3"]) == 0
    out = capsys.readouterr().out
    assert "20 pictures" in out and "50 pictures" in out
    (folder,) = (home / "rankings").iterdir()
    assert len(list(folder.glob("*.npy"))) == 2
    index, _ = Catalogue().ranking("tiny", factors_id, 0.8)
    best = int(index.extremes(index.scores(0, 2), 1)[0][0])
    Z = GENERATOR.head(GENERATOR.sample([best], 0.8), 3).features.flatten(2)[0]
    score = registered.appearances[:, 0] @ Z @ registered.parts[:, 2]
    assert float(score) == pytest.approx(float(index.scores(0, 2).max()), rel=5e-3)
    assert f"most:  seeds {best} " in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "{}", "out.png"],
        ["render", "missing.json", "out.png"],
        ["render", json.dumps({"v": 1, "generator": "nobody"}), "out.png"],
        ["fit", "--generator", "tiny", "--layer", "77"],
        ["rank", "bundled:none", "--generator", "tiny"],
    ],
)
def test_a_mistake_is_one_sentence_and_no_file(registered, home, arguments, capsys, monkeypatch):
    monkeypatch.chdir(home)
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("panda_core: ") and error.count("\n") == 1
    assert not (home / "out.png").exists()


def test_command_line_converts_a_published_checkpoint(tmp_path, capsys):
    source = Path(__file__).parent / "data/parity/files/stylegan2-nvidia-64.proto3-numpy1names.pkl"
    target = tmp_path / "converted.safetensors"
    assert cli.main(["convert", str(source), str(target)]) == 0
    assert weights_hash(load_generator(target)) == weights_hash(load_generator(source))
    assert "stylegan2" in capsys.readouterr().out


def test_what_strangers_add_is_bounded_and_what_ships_stays(monkeypatch, tmp_path):
    one = fit_tiny(3)
    monkeypatch.setattr(catalogue_module, "MAX_MEMORY", 2 * one.nbytes)
    catalogue = Catalogue(load=load_tiny, home=tmp_path)
    catalogue.add("tiny", "bundled:three", one)
    own = [catalogue.add_own("tiny", one.rename("part", 0, name)) for name in ("a", "b", "c")]
    assert [catalogue.knows("tiny", i) for i in ("bundled:three", *own)] == [True, False, True, True]
    catalogue.factors("tiny", own[1])  # used again: the other one is the older now
    assert catalogue.factors("tiny", own[0]).part_name(0) == "a"  # read again from the folder
    assert [catalogue.knows("tiny", i) for i in own] == [True, True, False]


def test_the_folder_of_own_factors_is_bounded(monkeypatch, tmp_path):
    catalogue, one = Catalogue(load=load_tiny, home=tmp_path), fit_tiny(3)
    first = catalogue.add_own("tiny", one)
    size = next(tmp_path.rglob("*.safetensors")).stat().st_size
    os.utime(next(tmp_path.rglob("*.safetensors")), (1, 1))
    monkeypatch.setattr(catalogue_module, "MAX_DISK", size + size // 2)
    second = catalogue.add_own("tiny", one.rename("part", 0, "hair"))
    assert [path.stem for path in tmp_path.rglob("*.safetensors")] == [second.partition(":")[2]]
    fresh = Catalogue(load=load_tiny, home=tmp_path)
    assert fresh.factors("tiny", second).part_name(0) == "hair"
    with pytest.raises(ValueError, match="no factors"):
        fresh.factors("tiny", first)


def test_where_nothing_can_be_written_memory_must_do(tmp_path):
    (tmp_path / "factors").write_text("in the way")
    catalogue = Catalogue(load=load_tiny, home=tmp_path)
    own = catalogue.add_own("tiny", fit_tiny(3))
    assert catalogue.factors("tiny", own).info.layer == 3
