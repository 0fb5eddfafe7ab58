"""The panel of parts: in use, learned, named; called directly."""

import dataclasses

import gradio as gr
import pytest
import torch

import app
from panda_core.catalogue import Catalogue
from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.rendering import Renderer
from panda_core.studio import opening
from panda_core.studio.opening import Opening
from panda_core.studio.session import Session
from ui.panels.factors import FactorsPanel, use
from ui.server.events import plainly

from .page import bare, choose, event, go_on, picture

panel = FactorsPanel(app.pictures)


@pytest.fixture(scope="module")
def start() -> Session:
    return bare()


@pytest.fixture(scope="module")
def learned(start) -> tuple:
    """Factors of the layer in hand with five parts: their entry in the list."""
    return panel.learn(start, start.layer, 5, 32, go_on)


@pytest.fixture
def with_edit(start, learned) -> Session:
    session = use(start, learned)
    return session.append(Edit("add", session.layer, session.factors_id, Region((2,)), appearance=0, strength=3.0))


def test_a_fit_comes_into_use_and_the_bundled_ones_stay(start, learned):
    session = use(start, learned)
    assert app.pictures.factors(session).parts.shape[1] == 5
    assert session.recipe == start.recipe and not session.parts
    assert start.factors_id in dict(panel.choices(session)).values()
    back = panel.choose(session, start.factors_id)
    assert back.factors_id == start.factors_id
    assert learned[2] in dict(panel.choices(back)).values()
    assert "of 5 parts come out the same from other samples" in panel.about(session)


def test_learned_parts_keep_their_picture_after_the_fit(start, learned):
    shown = panel.map(use(start, learned))
    assert shown.startswith("<figure><img") and shown != panel.map(start)


def test_a_fit_shows_its_parts_while_it_runs(start):
    pictures = []

    def report(progress):
        pictures.append(panel.so_far(start, start.layer, 3, progress))
        return True

    panel.learn(start, start.layer, 3, 64, report)
    assert sum(shown.startswith("<figure><img") for shown in pictures) > 2


def test_a_link_with_a_fit_opens_by_fitting_again_and_says_so(with_edit, tmp_path):
    elsewhere = Opening(Renderer(Catalogue(home=tmp_path)))  # where nobody has learned anything
    opened = elsewhere.open_link(app.sharing.link(with_edit))
    assert "learned again" in opened.notice
    torch.testing.assert_close(elsewhere.renderer.image(opened.recipe), picture(with_edit), atol=1e-4, rtol=0)
    assert opened.factors_id == with_edit.factors_id


def test_a_link_whose_fit_takes_too_long_is_refused(with_edit, monkeypatch):
    monkeypatch.setattr(opening, "MAX_REFIT", -1.0)
    slow = dataclasses.replace(with_edit.edit, factors=f"fit:{with_edit.layer},32,7,64,9,0.8,all")
    assert "seconds to learn" in app.opening.open_link(app.sharing.link(with_edit.put(0, slow))).notice


def test_a_link_with_a_fit_where_there_is_none_is_refused(with_edit):
    offered = {layer for _, layer in panel.layers(with_edit)}
    fine = max(set(app.renderer.generator(with_edit.recipe).layers) - offered)
    edit = dataclasses.replace(with_edit.edit, layer=fine, factors=f"fit:{fine},16,4,64,0,0.8,all")
    assert f"fit at layer {fine}" in app.opening.open_link(app.sharing.link(with_edit.put(0, edit))).notice


def test_the_endpoint_fits_and_its_id_can_be_used(with_edit):
    factors_id, measured = app.api.fit(with_edit.recipe.to_json(), float(with_edit.layer), 4, 0, 32)
    assert factors_id.startswith(f"fit:{with_edit.layer},") and ",4,32,0,0.8,all" in factors_id
    assert measured["samples"] == 32 and 0 < measured["energy"] <= measured["bound"] <= 1
    assert len(measured["stability"]) == 4
    mine = dataclasses.replace(with_edit.edit, factors=factors_id)
    assert app.api.generate(with_edit.put(0, mine).recipe.to_json())[0].size == (256, 256)


def test_a_name_is_the_visitor_s_and_changes_no_edit(with_edit):
    renamed = panel.rename(with_edit, "<b>Fringe</b>")
    assert app.pictures.factors(renamed).region_name(with_edit.parts) == "<b>Fringe</b>"
    assert app.pictures.edit_words(renamed, renamed.edit).startswith("<b>Fringe</b>: ")
    assert app.pictures.factors(with_edit).region_name(with_edit.parts) != "<b>Fringe</b>"  # for others nothing changed
    assert renamed.recipe == with_edit.recipe and app.sharing.link(renamed) == app.sharing.link(with_edit)
    assert "Fringe" in app.pictures.frame(renamed)["words"]
    assert "Fringe" not in app.pictures.frame(with_edit)["words"] + app.pictures.frame(with_edit)["alt"]
    assert "&lt;b&gt;" in app.sentence(app.pictures.frame(renamed.set_strength(1.1))["words"])


# ---- names ----


def test_a_name_is_the_visitors_own_and_changes_no_edit(start):
    edited = app.edit_tab.choose_other(start, event(index=0))  # whose words name the place
    renamed = panel.rename(edited, "<b>Fringe</b>")
    assert renamed.recipe == edited.recipe and (renamed.parts, renamed.active) == (edited.parts, edited.active)
    assert app.pictures.factors(renamed).region_name(start.parts) == "<b>Fringe</b>"
    assert "<b>Fringe</b>" in app.pictures.edit_words(renamed, renamed.edit)
    assert app.pictures.factors(edited).region_name(start.parts) != "<b>Fringe</b>"  # other visitors' are as before
    assert app.sharing.link(renamed) == app.sharing.link(edited)
    for session, is_there in ((edited, False), (renamed, True), (edited, False)):
        assert ("<b>fringe</b>" in app.pictures.frame(session)["words"].lower()) is is_there


def test_a_part_alone_has_a_name_of_its_own(start):
    alone = panel.rename(app.choosing.choose(start, [start.parts[0]]), "fringe")
    assert app.pictures.factors(alone).part_name(start.parts[0]) == "fringe"
    both = panel.rename(choose(alone, 0), "crown")
    assert app.pictures.factors(both).part_name(start.parts[0]) == "fringe"


@pytest.mark.parametrize("nothing", ["", " ", None])
def test_an_empty_name_takes_the_old_one_away(start, nothing):
    renamed = panel.rename(panel.rename(start, "fringe"), nothing)
    assert "fringe" not in app.pictures.factors(renamed).region_name(start.parts)


# ---- mistakes ----

MISTAKES = {
    "factors": lambda s: panel.choose(s, "local:" + "0" * 16),
    "layer": lambda s: panel.learn(s, 99, 8, 32, go_on),
    "parts": lambda s: panel.learn(s, s.layer, 65, 32, go_on),
    "parts nan": lambda s: panel.learn(s, s.layer, float("nan"), 32, go_on),
    "samples": lambda s: panel.learn(s, s.layer, 8, 5000, go_on),
    "appearances": lambda s: app.api.fit(s.recipe.to_json(), s.layer, 8, 9999, 32),
    "seed": lambda s: app.api.fit(s.recipe.to_json(), s.layer, 8, 0, 32, -1),
    "name of nothing": lambda s: panel.rename(s.choose(()), "x"),
    "long name": lambda s: panel.rename(s, "x" * 41),
    "endpoint": lambda s: app.api.fit(s.recipe.to_json(), s.layer, 0),
    "endpoint recipe": lambda s: app.api.fit('{"v": 9}', 5),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(start, kind):
    with pytest.raises(gr.Error) as caught:
        plainly(MISTAKES[kind])(start)
    assert 10 < len(caught.value.message) < 300 and "\n" not in caught.value.message
    assert "Something went wrong" not in caught.value.message
