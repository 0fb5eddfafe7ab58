"""Where a visit begins: the start page, links, files."""

import base64
import dataclasses
import json
import zlib

import pytest
import torch

import app
from panda_core.catalogue import Catalogue
from panda_core.generators.registry import GENERATORS, LocalFile
from panda_core.links import encode_link
from panda_core.recipes import Recipe, parse_recipe
from panda_core.rendering import Renderer
from panda_core.studio import opening
from panda_core.studio.opening import Opening
from panda_core.studio.session import Session

from .page import picture


def test_the_page_opens_on_a_picture_that_shows_an_edit():
    start = app.opening.start()
    assert start.edit is not None and start.edit.on
    assert not start.past
    assert (picture(start) - app.renderer.base(start.recipe)).abs().mean() > 0.002


@pytest.mark.parametrize("text", ["", "{", '{"v":1,"generator":"nobody"}', '{"v":1,"generator":"portraits","seed":-1}'])
def test_a_start_file_that_does_not_fit_is_passed_over(tmp_path, monkeypatch, text):
    (tmp_path / "start.json").write_text(text)
    monkeypatch.setattr(opening, "start_file", lambda spec: tmp_path / "start.json")
    assert Opening(app.renderer).start().edit is not None


def test_the_start_file_is_where_a_visit_begins(tmp_path, monkeypatch):
    wished = dataclasses.replace(app.opening.start().recipe, seed=4242)
    (tmp_path / "start.json").write_text(wished.to_json())
    monkeypatch.setattr(opening, "start_file", lambda spec: tmp_path / "start.json")
    assert Opening(app.renderer).start().recipe == wished


def test_a_link_opens_the_same_picture(hand):
    opened = app.opening.open_link(app.sharing.link(hand))
    assert not opened.notice
    assert torch.equal(picture(opened), picture(hand))
    assert opened.edit == hand.edit


def test_a_recipe_without_edits_needs_no_factors(monkeypatch):
    """With own generators, a file is drawn and parts are learned for it before anybody has opened it on the page."""
    monkeypatch.setattr(type(app.opening), "default", lambda *_: pytest.fail("factors were asked for"))
    assert app.opening.check(Recipe(seed=3)) == ""


def as_link(data: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return "1" + base64.urlsafe_b64encode(packer.compress(data) + packer.flush()).decode().rstrip("=")


def changed(session: Session, **changes) -> str:
    return as_link(json.dumps(app.renderer.pin(session.recipe).to_dict() | changes).encode())


def with_factors(session: Session, factors_id: str) -> str:
    edit = dataclasses.replace(session.edit, factors=factors_id)
    return encode_link(session.recipe.with_edit(0, edit))


BAD_LINKS = {
    "empty": lambda s: "",
    "garbage": lambda s: "1!!!%%%",
    "cut": lambda s: app.sharing.link(s)[:-9],
    "newer scheme": lambda s: "3" + app.sharing.link(s)[1:],
    "long": lambda s: "1" + "A" * 100_000,
    "bomb": lambda s: as_link(b" " * 5_000_000),
    "not JSON": lambda s: as_link(b"hello"),
    "deep": lambda s: as_link(b"[" * 30_000),
    "newer recipe": lambda s: changed(s, v=99),
    "unknown field": lambda s: changed(s, colour=1),
    "other weights": lambda s: changed(s, weights="0" * 12),
    "other generator": lambda s: changed(s, generator="nobody"),
    "script": lambda s: changed(s, generator="<script>alert(1)</script>"),
    "a fit": lambda s: with_factors(s, "fit:5,128,8,900000,0,0.8,all"),
    "a path": lambda s: with_factors(s, "bundled:....etc"),
    "variation": lambda s: encode_link(s.put(0, dataclasses.replace(s.edit, variation=60_000)).recipe),
}


@pytest.mark.parametrize("kind", BAD_LINKS)
def test_a_bad_link_gives_one_sentence_and_the_start_page(hand, kind):
    opened = app.opening.open_link(BAD_LINKS[kind](hand))
    assert dataclasses.replace(opened, notice="") == app.opening.start()
    assert opened.notice.startswith("The link could not be opened: ") and "\n" not in opened.notice
    assert "<script" not in app.notice(opened)


@pytest.mark.parametrize("name", [name for name, spec in GENERATORS.items() if spec.bundled])
def test_a_link_to_any_world_opens_it_alone(name):
    start = app.opening.start(name)
    assert start.recipe.generator == name and start.edit.on
    opened = app.opening.open_link(app.sharing.link(start))
    assert not opened.notice and opened.recipe == start.recipe


def test_a_link_to_a_world_that_a_copy_lacks_gives_one_sentence(tmp_path, monkeypatch):
    link = app.sharing.link(app.opening.start("scenes"))
    gone = dataclasses.replace(GENERATORS["scenes"], sources=(LocalFile(tmp_path / "generator.safetensors"),))
    monkeypatch.setitem(GENERATORS, "scenes", gone)
    opened = Opening(Renderer(Catalogue())).open_link(link)
    assert opened.recipe.generator == "portraits"
    assert opened.notice == (
        "The link could not be opened: The picture is made by Scenes, drawn, which this copy of the page does not have."
    )


def test_a_generator_that_is_not_here_is_named_with_the_way_to_it(hand):
    missing = next(name for name in GENERATORS if name not in app.opening.offered().values())
    with pytest.raises(ValueError, match="downloaded first"):
        app.opening.opened(parse_recipe({"v": 2, "generator": missing}))
