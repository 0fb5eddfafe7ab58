"""Factors as files: saved, opened, refused; called directly."""

import base64
import dataclasses
import json

import pytest
import torch

import app
from panda_core.factors import Factors
from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.studio.session import Session
from ui.panels.factors import FactorsPanel, use
from ui.sharing import factors_file

from .page import bare, go_on, picture

panel = FactorsPanel(app.pictures)


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


def own_edit(session: Session, factors: Factors) -> Session:
    """An edit with factors of one's own."""
    session = use(session, panel.add_own(session.recipe, factors))
    return session.append(Edit("add", session.layer, session.factors_id, Region((2,)), appearance=0, strength=3.0))


def test_downloaded_factors_open_again_with_their_names(start, opened_fit, save):
    name, data = factors_file(opened_fit.rename("part", 0, "top"))
    again = panel.open_file(start, save(name, data))
    assert app.pictures.factors(again).part_name(0) == "top" and again.recipe == start.recipe
    assert torch.equal(app.pictures.factors(again).parts, opened_fit.parts)


def test_names_given_on_the_page_are_in_the_download(start, save):
    data = json.loads(panel.save(panel.rename(app.choosing.choose(start, [start.parts[0]]), "fringe")))
    again = panel.open_file(start, save(data["name"], base64.b64decode(data["data"])))
    assert app.pictures.factors(again).part_name(start.parts[0]) == "fringe"


def test_own_factors_have_no_link_but_their_file_and_a_png_that_opens_after_it(start, opened_fit, save):
    mine = own_edit(start, opened_fit)
    with pytest.raises(ValueError, match="exist only here"):
        app.sharing.link(mine)
    png = base64.b64decode(json.loads(app.sharing.picture_file(mine))["data"])
    with pytest.raises(ValueError, match="open their file first"):
        app.sharing.open_file(start, png)
    there = panel.open_file(start, save(*factors_file(opened_fit)))
    again = app.sharing.open_file(there, png)
    assert again.recipe == mine.recipe and again.edit == mine.edit
    assert torch.equal(picture(again), picture(mine))
    assert again.undo().recipe == start.recipe


def test_opened_factors_are_files_of_ours_named_by_what_is_in_them(start, opened_fit, home):
    _, _, factors_id = panel.add_own(start.recipe, opened_fit)
    path = home / "home" / "factors" / "local" / f"{factors_id.partition(':')[2]}.safetensors"
    assert Factors.load(path).digest() == path.stem


# ---- what is refused ----


def changed(factors: Factors, **info) -> bytes:
    return factors_file(factors.with_info(**info))[1]


REFUSED = {
    "nothing": lambda f: None,
    "a picture": lambda f: b"\x89PNG",
    "not tensors": lambda f: b"pickle" * 9,
    "other weights": lambda f: changed(f, weights="0" * 12),
    "other layer": lambda f: changed(f, layer=9),
    "scaled": lambda f: changed(dataclasses.replace(f, appearances=f.appearances * 3)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_right_is_refused_in_one_sentence_and_nothing_is_kept(start, opened_fit, save, home, kind):
    data = REFUSED[kind](opened_fit)
    with pytest.raises(ValueError) as caught:
        panel.open_file(start, data and save("mine.safetensors", data))
    assert 10 < len(str(caught.value)) < 400
    assert not list(home.rglob("*.safetensors"))
