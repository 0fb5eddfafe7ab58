"""Factors and recipes as files: saved, opened, refused; called directly."""

import base64
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
import torch

import app
from panda_core.factors import Factors
from panda_core.ops import Edit
from panda_core.regions import Region
from ui.panels.factors import FactorsPanel, use
from ui.panels.factors_files import FactorsFiles
from ui.session import Session
from ui.sharing import factors_file, packed

from .page import bare, go_on, picture

files, panel = FactorsFiles(app.pictures, app.opening), FactorsPanel(app.pictures)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PANDA_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture(scope="module")
def start() -> Session:
    return bare()


@pytest.fixture(scope="module")
def opened_fit(start) -> Factors:
    """Of the layer in hand, with five parts."""
    _, _, factors_id = panel.learn(start, start.layer, 5, 32, go_on)
    return app.renderer.catalogue.factors("portraits", factors_id)


@pytest.fixture
def save(tmp_path):
    """save(name, data) -> the path of a file that a visitor has."""

    def save(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return save


def opened(session: Session, paths: list[str]) -> Session:
    return files.use_files(session, files.open_files(session, paths, go_on))


def own_edit(session: Session, factors: Factors) -> Session:
    """An edit with factors of one's own."""
    session = use(session, files.add_own(session.recipe, factors))
    return session.append(Edit("add", session.layer, session.factors_id, Region((2,)), appearance=0, strength=3.0))


def test_downloaded_factors_open_again_with_their_names(start, opened_fit, save):
    name, data = factors_file(opened_fit.rename("part", 0, "top"))
    again = opened(start, [save(name, data)])
    assert app.pictures.factors(again).part_name(0) == "top" and again.recipe == start.recipe
    assert torch.equal(app.pictures.factors(again).parts, opened_fit.parts)


def test_names_given_on_the_page_are_in_the_download(start, save):
    data = json.loads(files.save(panel.rename(app.choosing.choose(start, [start.parts[0]]), "fringe")))
    again = opened(start, [save(data["name"], base64.b64decode(data["data"]))])
    assert app.pictures.factors(again).part_name(start.parts[0]) == "fringe"


def test_own_factors_have_no_link_but_a_file_that_opens(start, opened_fit, save):
    mine = own_edit(start, opened_fit)
    with pytest.raises(ValueError, match="exist only here"):
        app.sharing.link(mine)
    with pytest.raises(ValueError, match="together"):
        app.opening.opened(mine.recipe)
    name, data = app.sharing.together(mine)
    again = opened(start, [save(name, data)])
    assert again.recipe == mine.recipe and again.edit == mine.edit
    assert torch.equal(picture(again), picture(mine))
    assert again.undo().recipe == start.recipe


def test_a_recipe_in_a_zip_gets_no_more_than_came_with_it(start, opened_fit, save):
    mine = own_edit(start, opened_fit)
    other = own_edit(start, opened_fit.rename("part", 0, "other"))
    text, came = other.recipe.to_json().encode(), packed(app.pictures.factors(mine))
    data = zipped(recipe_json=text, factors__x_safetensors=came)
    found = files.open_files(start, [save("x.zip", data)], go_on)
    with pytest.raises(ValueError, match="together"):
        files.use_files(start, found)


def test_the_authors_pair_of_arrays_opens(start, save):
    ours, paths = app.pictures.factors(start), []
    for kind, tensor in (("Us", ours.parts[:, :6] * 2), ("Uc", ours.appearances[:, :9] * 1.1)):
        out = io.BytesIO()
        np.save(out, tensor.numpy())
        paths.append(save(f"{kind}-name_x-layer_{start.layer}-rank_6.npy", out.getvalue()))
    got = app.pictures.factors(opened(start, paths))
    assert got.info.is_raw and torch.equal(got.parts, ours.parts[:, :6] * 2) and got.sigma.shape == (9, 6)
    assert bool((got.sigma > 0).all())


def test_opened_factors_are_files_of_ours_named_by_what_is_in_them(start, opened_fit, home):
    _, _, factors_id = files.add_own(start.recipe, opened_fit)
    path = home / "home" / "factors" / "local" / f"{factors_id.partition(':')[2]}.safetensors"
    assert Factors.load(path).digest() == path.stem


# ---- what is refused ----


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


REFUSED = {
    "nothing": lambda f: {},
    "a picture": lambda f: {"a.png": b"\x89PNG"},
    "not tensors": lambda f: {"a.safetensors": b"pickle" * 9},
    "two files": lambda f: {"a.safetensors": b"", "b.safetensors": b""},
    "other weights": lambda f: {"a.safetensors": packed(f.with_info(weights="0" * 12))},
    "other layer": lambda f: {"a.safetensors": packed(f.with_info(layer=9))},
    "scaled": lambda f: {"a.safetensors": packed(dataclasses.replace(f, appearances=f.appearances * 3))},
    "not a zip": lambda f: {"a.zip": b"PK\x03\x04"},
    "another zip": lambda f: {"a.zip": zipped(readme_txt=b"hello")},
    "a path": lambda f: {"a.zip": zipped(recipe_json=b"{}", ____etc__passwd=b"x")},
    "a bomb": lambda f: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"\0" * (65 << 20))},
    "a zip of noise": lambda f: {"a.zip": zipped(recipe_json=b"{}", factors__a_safetensors=b"noise")},
    "no recipe": lambda f: {"a.zip": zipped(recipe_json=b"{}")},
    "names": lambda f: {"a.npy": array(), "b.npy": array()},
    "sizes": lambda f: {"Us-x.npy": array(), "Uc-x.npy": array()},
    "layer": lambda f: {"Us-layer_77-x.npy": array(), "Uc-layer_77-x.npy": array()},
    "objects": lambda f: {"Us.npy": array(arr=np.array([{}] * 3), allow_pickle=True), "Uc.npy": array()},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_right_is_refused_in_one_sentence_and_nothing_is_kept(start, opened_fit, save, home, kind):
    paths = [save(name, data) for name, data in REFUSED[kind](opened_fit).items()]
    with pytest.raises(ValueError) as caught:
        files.open_files(start, paths, go_on)
    assert 10 < len(str(caught.value)) < 400
    assert not list((home / "home").rglob("*.safetensors"))


@pytest.mark.parametrize("given", [None, "a.safetensors", [None], [7], {}])
def test_what_is_no_list_of_files_is_refused(start, given):
    with pytest.raises(ValueError, match="0 files were given"):
        files.open_files(start, given, go_on)
