"""Parts refined to the picture: the panel, called directly."""

import gradio as gr
import pytest
import torch

import app
from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.studio.session import Session
from ui.panels.refine import RefinePanel, set_refine
from ui.server.events import plainly

from .page import bare, edited, picture

panel = RefinePanel(app.pictures)


@pytest.fixture(scope="module")
def hand() -> Session:
    """An appearance at a part: what refined parts are for."""
    session = bare()
    return session.append(Edit("add", session.layer, session.factors_id, Region((1,)), appearance=0, strength=3.0))


def test_refined_parts_move_the_edit_in_hand_and_undo_brings_it_back(hand):
    refined = set_refine(hand, "graph", 16)
    assert (refined.edit.region.refine, refined.edit.region.k) == ("graph", 16)
    assert not torch.equal(picture(refined), picture(hand))
    assert refined.undo().recipe == hand.recipe
    assert set_refine(refined, "none", 16).recipe.edits == hand.recipe.edits


def test_a_variation_stays_with_the_parts_as_learned():
    session = edited()
    assert session.edit.op == "vary" and set_refine(session, "dense", 32).recipe == session.recipe


def test_both_outlines_are_shown_once_parts_are_refined(hand):
    assert panel.overlays(set_refine(hand, "graph", 16)).count("<img") == 2
    assert panel.overlays(hand).count("<img") == 0


@pytest.mark.parametrize(("method", "k"), [("magic", 32), ("graph", 0), ("graph", 2.5), ("graph", float("nan"))])
def test_a_wrong_method_or_number_is_a_sentence(hand, method, k):
    with pytest.raises(gr.Error) as caught:
        plainly(set_refine)(hand, method, k)
    assert 10 < len(caught.value.message) < 300
