"""The Factors panel and its files: learning, names, saving and opening; called directly."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest
import torch

import app
from panda_core.factors import Factors
from panda_core.ops import Edit
from ui import opening
from ui.opening import Opening
from ui.panels.factors import in_words, use
from ui.panels.factors_files import FactorsFiles
from ui.session import Session
from ui.sharing import factors_file, packed

from .page import choose, edited, picture

panel, files = app.factors_panel, FactorsFiles(app.pictures, app.opening)
RANK = {"appearances": None, "samples": 32, "seed": 0}


def go_on(progress) -> bool:
    return True


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Visitors' own factors go to a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("PANDA_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def start(home) -> Session:
    return app.opening.start()


@pytest.fixture(scope="module")
def hand(home) -> Session:
    return edited()


@pytest.fixture(scope="module")
def learned(start) -> tuple:
    """Factors of the layer in hand with five parts: their entry in the list."""
    return panel.learn(start, start.layer, 5, **RANK, class_index=None, report=go_on)


def own(session: Session, learned: tuple) -> tuple[Session, str]:
    """A session whose edit uses factors that exist only here."""
    factors = app.renderer.catalogue.factors("portraits", learned[2])
    local = app.renderer.catalogue.add_own("portraits", factors.rename("part", 0, "top"))
    there = session.use_factors(session.layer, local).choose((2,))
    return there.append(Edit("add", there.layer, local, there.region(), appearance=1, strength=2.0)), local


def test_a_fit_comes_into_use_and_the_bundled_ones_stay(hand, learned):
    session = use(hand, learned)
    assert app.pictures.factors(session).parts.shape[1] == 5
    assert session.recipe == hand.recipe and not session.parts
    assert hand.factors_id in dict(panel.choices(session)).values()
    back = panel.choose(session, hand.factors_id)
    assert back.factors_id == hand.factors_id
    assert learned[2] in dict(panel.choices(back)).values()
    assert "of 5 parts come out the same from other samples" in panel.about(session)
    assert "<figure>" in panel.map(session)


def test_a_fit_shows_its_parts_while_it_runs(start):
    shown = []

    def report(progress):
        shown.append(panel.so_far(start, start.layer, 3, progress))
        return True

    panel.learn(start, start.layer, 3, None, 64, 1, None, report=report)
    assert sum(picture.startswith("<figure><img") for picture in shown) > 2


def test_a_link_with_a_fit_opens_by_fitting_again_and_says_so(hand, learned, home, tmp_path, monkeypatch):
    session = use(hand, learned).choose((2,))
    session = session.append(Edit("add", session.layer, learned[2], session.region(), appearance=1, strength=2.0))
    shown, link = picture(session), app.sharing.link(session)
    monkeypatch.setenv("PANDA_HOME", str(tmp_path))  # where nothing was fitted
    fresh = Opening(type(app.renderer)())
    opened = fresh.open_link(link)
    assert "learned again" in opened.notice
    assert torch.equal(fresh.renderer.image(opened.recipe), shown)


def test_a_link_whose_fit_takes_too_long_is_refused(hand, monkeypatch):
    monkeypatch.setattr(opening, "LONGEST_REFIT", -1.0)
    edit = Edit("add", hand.layer, f"fit:{hand.layer},128,7,64,9,0.8,all", hand.region(), appearance=1, strength=1.0)
    refused = app.opening.open_link(app.sharing.link(hand.append(edit)))
    assert "seconds to learn" in refused.notice
    far = dataclasses.replace(edit, layer=12, factors="fit:12,16,4,64,0,0.8,all")
    assert "fit at layer 12" in app.opening.open_link(app.sharing.link(hand.append(far))).notice


# names


def test_a_name_is_the_visitor_s_and_changes_no_edit(hand):
    renamed = panel.rename(hand, "<b>Fringe</b>")
    assert app.pictures.factors(renamed).region_name(hand.parts) == "<b>Fringe</b>"
    assert app.pictures.edit_words(renamed, renamed.edit).startswith("<b>Fringe</b>: ")
    assert app.pictures.factors(hand).region_name(hand.parts) != "<b>Fringe</b>"  # other visitors' are as before
    assert renamed.recipe == hand.recipe and app.sharing.link(renamed) == app.sharing.link(hand)
    assert "Fringe" in app.pictures.frame(renamed)["words"]
    assert "Fringe" not in app.pictures.frame(hand)["words"] + app.pictures.frame(hand)["alt"]
    assert "&lt;b&gt;" in app.sentence(app.pictures.frame(renamed.set_strength(1.1))["words"])


def test_a_part_s_name_is_seen_where_the_part_is(hand):
    session = panel.rename(choose(hand, 1).choose((hand.parts[0],)), "chin")
    assert app.pictures.scene(session)["parts"][hand.parts[0]] == "chin"
    assert panel.show_name(session).value == "chin"


# files


def save(folder, data: bytes, name: str) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_own_factors_have_no_link_but_a_file_that_opens(hand, start, learned, home):
    mine, _ = own(hand, learned)
    with pytest.raises(ValueError, match="download the recipe and its factors"):
        app.sharing.link(mine)
    assert app.sharing.address(mine) == ""
    with pytest.raises(ValueError, match="together"):
        app.opening.opened(mine.recipe)
    name, data = app.sharing.together(mine)
    opened = files.use_files(start, files.open_files(start, [save(home, data, name)], go_on))
    assert opened.recipe == mine.recipe and opened.edit == mine.edit
    assert app.pictures.factors(opened).part_name(0) == "top"
    assert opened.undo().recipe == start.recipe


def test_downloaded_factors_open_again_with_the_names_given(start, learned, home):
    mine = panel.rename(use(start, learned).choose((0,)), "top")
    name, data = factors_file(app.pictures.factors(mine))
    opened = files.use_files(start, files.open_files(start, [save(home, data, name)], go_on))
    assert app.pictures.factors(opened).part_name(0) == "top" and opened.recipe == start.recipe
    assert in_words(app.pictures.factors(opened), opened.factors_id).endswith("your own")
    path = home / "factors" / "local" / f"{opened.factors_id.partition(':')[2]}.safetensors"
    assert Factors.load(path).digest() == path.stem


def test_a_pair_of_arrays_opens(start, home):
    ours = app.pictures.factors(start)
    paths = []
    for kind, tensor in (("Us", ours.parts[:, :6] * 2), ("Uc", ours.appearances[:, :9] * 1.1)):
        out = io.BytesIO()
        np.save(out, tensor.numpy())
        paths.append(save(home, out.getvalue(), f"{kind}-name_x-layer_{start.layer}-rank_6.npy"))
    opened = files.use_files(start, files.open_files(start, paths, go_on))
    got = app.pictures.factors(opened)
    assert got.info.is_raw and torch.equal(got.parts, ours.parts[:, :6] * 2) and got.sigma.shape == (9, 6)
    assert bool((got.sigma > 0).all())


def made_file(session: Session, change) -> bytes:
    return packed(change(app.pictures.factors(session)))


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()


def array(**more) -> bytes:
    out = io.BytesIO()
    np.save(out, **{"arr": np.ones((3, 3), np.float32)} | more)
    return out.getvalue()


FILES = {
    "nothing": lambda s: {},
    "a picture": lambda s: {"a.png": b"\x89PNG"},
    "not tensors": lambda s: {"a.safetensors": b"pickle" * 9},
    "two files": lambda s: {"a.safetensors": b"", "b.safetensors": b""},
    "other weights": lambda s: {"a.safetensors": made_file(s, lambda f: f.with_info(weights="0" * 12))},
    "other layer": lambda s: {"a.safetensors": made_file(s, lambda f: f.with_info(layer=2))},
    "scaled": lambda s: {
        "a.safetensors": made_file(s, lambda f: dataclasses.replace(f, appearances=f.appearances * 3))
    },
    "not a zip": lambda s: {"a.zip": b"PK\x03\x04"},
    "another zip": lambda s: {"a.zip": zipped(readme_txt=b"hello")},
    "a path": lambda s: {"a.zip": zipped(recipe_json=b"{}", ____etc__passwd=b"x")},
    "a bomb": lambda s: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"\0" * (65 << 20))},
    "a zip of noise": lambda s: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"noise")},
    "no recipe": lambda s: {"a.zip": zipped(recipe_json=b"{}")},
    "names": lambda s: {"a.npy": array(), "b.npy": array()},
    "sizes": lambda s: {"Us-x.npy": array(), "Uc-x.npy": array()},
    "layer": lambda s: {"Us-layer_77-x.npy": array(), "Uc-layer_77-x.npy": array()},
    "objects": lambda s: {"Us.npy": array(arr=np.array([{}] * 3), allow_pickle=True), "Uc.npy": array()},
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_right_is_refused_in_one_sentence(start, home, kind):
    paths = [save(home, data, name) for name, data in FILES[kind](start).items()]
    with pytest.raises(ValueError) as caught:
        files.open_files(start, paths, go_on)
    assert 10 < len(str(caught.value)) < 400


def test_a_recipe_in_a_zip_gets_no_more_than_came_with_it(hand, start, learned, home):
    mine, _ = own(hand, learned)
    other = dataclasses.replace(mine.edit, factors="local:" + "0" * 16)
    with zipfile.ZipFile(io.BytesIO(app.sharing.together(mine)[1])) as archive:
        held = next(archive.read(name) for name in archive.namelist() if name.startswith("factors/"))
    recipe = mine.put(mine.active, other).recipe.to_json().encode()
    data = zipped(recipe_json=recipe, factors__x_safetensors=held)
    found = files.open_files(start, [save(home, data, "x.zip")], go_on)
    with pytest.raises(ValueError, match="together"):
        files.use_files(start, found)


MISTAKES = {
    "factors": lambda s: panel.choose(s, "local:" + "0" * 16),
    "layer": lambda s: panel.learn(s, 99, 8, **RANK, class_index=None, report=go_on),
    "parts": lambda s: panel.learn(s, 5, 65, **RANK, class_index=None, report=go_on),
    "parts nan": lambda s: panel.learn(s, 5, float("nan"), **RANK, class_index=None, report=go_on),
    "samples": lambda s: panel.learn(s, 5, 8, None, 5000, 0, None, report=go_on),
    "appearances": lambda s: panel.learn(s, 5, 8, 10**4, 32, 0, None, report=go_on),
    "seed": lambda s: panel.learn(s, 5, 8, None, 32, -1, None, report=go_on),
    "name of nothing": lambda s: panel.rename(s.choose(()), "x"),
    "long name": lambda s: panel.rename(s, "x" * 41),
    "endpoint layer": lambda s: app.api.refine(s.recipe.to_json(), 4, "dense"),
    "endpoint k": lambda s: app.api.refine(s.recipe.to_json(), 5, "graph", 0),
    "endpoint parts": lambda s: app.api.fit(s.recipe.to_json(), 5, 0),
    "endpoint recipe": lambda s: app.api.fit('{"v": 99}', 5),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(hand, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](hand)
    assert 10 < len(str(caught.value)) < 300 and "\n" not in str(caught.value)
