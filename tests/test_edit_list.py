"""Strength, list, undo; and pulling at the picture."""

import base64
import dataclasses
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import app
from panda_core.images import to_pil
from panda_core.jpegs import SMOOTH_SIDE, resized
from panda_core.studio.session import Session
from ui import edit_list
from ui.dragging import Dragging
from ui.edit_list import Edits, act
from ui.seeds import go_to_seed, open_seed

from .page import bare, choose, event, picture

edits = Edits(app.pictures)
dragging = Dragging(app.pictures)


def tick(session: Session, strength: float) -> tuple[Session, dict]:
    """The slider moved."""
    return dragging.move(session, {"strength": strength})


def pixels(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))


@pytest.fixture(scope="module")
def both(hand) -> Session:
    return app.edit_tab.choose_end(choose(hand, 0), event(index=0))


def test_a_drag_of_the_slider_is_one_step_of_undo(hand):
    session = hand
    for strength in (0.5, 1.0, -2.0):
        session, update = tick(session, strength)
        assert set(update) == {"frame", "strength"} and update["strength"] == strength
    assert session.edit.strength == -2.0
    back = session.undo()
    assert back.recipe == hand.recipe
    assert back.redo().recipe == session.recipe


def test_a_large_picture_moves_in_a_quarter_of_its_size_and_comes_whole_once_it_rests(hand, monkeypatch):
    monkeypatch.setattr("panda_core.studio.pictures.MAX_WHOLE", 64)
    session, update = tick(hand, 1.7)
    quick, whole = (np.asarray(pixels(f["image"]), np.float32) for f in (update["frame"], app.pictures.frame(session)))
    drawn = app.renderer.variants(session.recipe, session.active, [session.edit], shrink=4)
    rough = to_pil(resized(drawn, SMOOTH_SIDE))[0]
    assert np.abs(quick - np.asarray(rough)).mean() < 2 < np.abs(quick - whole).mean()
    assert {**update["frame"], "image": "", "words": ""} == {**app.pictures.frame(session), "image": "", "words": ""}


def test_a_rest_between_two_moves_makes_two_steps(hand, monkeypatch):
    clock = iter([10.0, 10.2, 99.0])
    monkeypatch.setattr(edit_list, "time", SimpleNamespace(monotonic=lambda: next(clock)))  # not everybody's clock
    session = hand
    for strength in (0.5, 1.0, 2.0):
        session, _ = tick(session, strength)
    assert session.undo().edit.strength == 1.0
    assert Session.undo(session.undo()).recipe == hand.recipe


def test_a_move_that_changes_nothing_does_not_swallow_a_step(hand):
    session, _ = tick(hand, hand.edit.strength)
    session, _ = tick(session, 1.25)
    assert session.undo().recipe == hand.recipe


def test_a_tick_shows_the_picture_of_the_new_recipe(hand):
    session, update = tick(hand, -1.5)
    image = pixels(update["frame"]["image"])
    assert image.size == (SMOOTH_SIDE, SMOOTH_SIDE)
    made = np.asarray(to_pil(picture(session))[0], np.float32)
    assert np.abs(np.asarray(image, np.float32) - made).mean() < 3  # JPEG


def test_every_op_s_slider_moves_its_own_size(hand):
    transfer = app.edit_tab.choose_other(hand, event(index=0))
    slider = edits.slider(transfer)
    assert (slider.minimum, slider.maximum) == (0, 1) and tick(transfer, 0.5)[0].edit.share == 0.5
    assert edits.rows(tick(transfer, 0.5)[0])["rows"][-1]["size"] == "50%"
    assert edits.slider(bare()).interactive is False


def test_undo_goes_back_through_everything(hand):
    changes = [
        lambda s: go_to_seed(s, 12, with_edits=True),
        lambda s: choose(s, 0),
        lambda s: app.edit_tab.choose_end(s, event(index=1)),
        lambda s: act(s, event(action="switch", index=0)),
        lambda s: act(s, event(action="up", index=1)),
        lambda s: act(s, event(action="remove", index=0)),
        lambda s: app.seeds.set_psi(s, 0.5),
        Session.reset,
    ]
    session = hand
    for change in changes:
        session = change(session)
    recipes = {session.recipe}
    while len(session.past) > len(hand.past):
        session = session.undo()
        recipes.add(session.recipe)
    assert session.recipe == hand.recipe
    assert len(recipes) == len(changes)  # choosing a part changes no recipe; each of the others is a step


def test_moving_keeps_the_edit_in_hand(both):
    moved = act(both, event(action="up", index=1))
    assert moved.active == 0 and moved.edit == both.edit
    assert act(moved, event(action="up", index=0)).recipe == moved.recipe


def test_a_line_is_taken_up_with_its_place(both, hand):
    taken = act(both, event(action="take", index=0))
    assert taken.edit == hand.edit and taken.parts == hand.edit.region.parts


def test_another_picture_comes_without_edits_and_this_one_back_with_its_own(hand):
    moved = go_to_seed(hand, 77)
    assert not moved.recipe.edits and moved.edit is None and moved.seeds[0] == 77 and moved.parts == hand.parts
    assert open_seed(moved, event(seed=hand.recipe.seed)).recipe == hand.recipe == moved.undo().recipe
    assert [item["on"] for item in app.pictures.history(moved)["items"]].count(True) == 1


def test_the_words_say_what_changed_and_how_much_the_rest_did(hand):
    said = app.pictures.frame(hand)["words"]
    name = app.pictures.edit_words(hand, hand.edit)
    assert said.lower().startswith(name.lower()) and "%" in said
    assert "no visible change" in app.pictures.frame(tick(hand, 0.0)[0])["words"]
    assert "as generated" in app.pictures.frame(hand.reset())["words"]
    assert "edits are off" in app.pictures.frame(act(hand, event(action="switch", index=0)))["words"]


# pulling


def pull(session: Session, to, **more) -> Session:
    given = {"from": [0.5, 0.5], "to": to, "strength": session.edit.strength} | more
    return dragging.pulled(session, event(**given))


def test_a_drag_that_goes_nowhere_keeps_the_strength(hand):
    """To half a step between the pictures that are compared."""
    assert pull(hand, [0.5, 0.5]).edit.strength == pytest.approx(hand.edit.strength, abs=0.5)


def test_a_drag_is_one_step_of_undo_and_keeps_to_the_slider(hand):
    session = hand
    for x in (0.55, 0.6, 1.5, -1.0):
        session = pull(session, [x, 0.3], strength=hand.edit.strength)
        assert -4 <= session.edit.strength <= 4
        session = dataclasses.replace(session, moved_at=session.moved_at - 100)  # one rests on the way
    assert session.undo().recipe == hand.recipe


def test_where_nothing_moves_right_and_up_is_the_slider_s_way(hand):
    began = 0.0
    still = {"from": [0.02, 0.05], "strength": began}
    right, up, left = (pull(hand, to, **still).edit.strength for to in ([0.2, 0.05], [0.02, -0.15], [-0.2, 0.05]))
    assert right > began and up > began and left < began


MISTAKES = {
    "action": lambda s: act(s, event(action="explode", index=0)),
    "line": lambda s: act(s, event(action="remove", index=7)),
    "line kind": lambda s: act(s, event(action="take", index={})),
    "strength": lambda s: s.set_strength(1e9),
    "strength kind": lambda s: s.set_strength("3"),
    "not a number": lambda s: s.set_strength(float("nan")),
    "seed": lambda s: go_to_seed(s, -5),
    "seed too large": lambda s: go_to_seed(s, 2**32),
    "no seed": lambda s: go_to_seed(s, None),
    "back": lambda s: open_seed(s, event(seed=-1)),
    "psi": lambda s: app.seeds.set_psi(s, 9.0),
    "layer": lambda s: app.seeds.set_layer(s, 99),
    "class": lambda s: app.seeds.set_class(s, "dog"),
    "pointer": lambda s: pull(s, [1, 2, 3]),
    "pointer kind": lambda s: pull(s, "left"),
    "far pointer": lambda s: pull(s, [float("nan"), 0]),
    "pull strength": lambda s: pull(s, [0, 0], strength="x"),
    "pull nothing": lambda s: dragging.pulled(s.reset(), event()),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(hand, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](hand)
    assert 10 < len(str(caught.value)) < 300 and "\n" not in str(caught.value)
