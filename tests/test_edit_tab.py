"""The Edit tab, called directly, on the bundled generator: what varies, other pictures, popular and the papers' changes."""

import dataclasses

import gradio as gr
import pytest
import torch

import app
from panda_core.ops import Edit
from panda_core.regions import Region
from ui.panels.papers import PapersPanel, everywhere
from ui.session import Session
from ui.tabs.edit import TILES, another_twelve

from .page import bare, choose, event, painted, picture, things

tab, papers = app.edit_tab, PapersPanel(app.pictures)


@pytest.fixture(scope="module")
def chosen() -> Session:
    return bare()


@pytest.fixture(scope="module")
def hand(chosen) -> Session:
    return tab.choose_end(chosen, event(index=0))


def ends(session: Session) -> list[Edit]:
    return [edit for edit, _ in tab.ends(session)]


def test_what_varies_is_offered_as_two_ends_with_different_pictures(chosen):
    tiles = tab.ends_tiles(chosen)["items"]
    assert 2 <= len(tiles) <= TILES
    assert len({tile["image"] for tile in tiles}) == len(tiles)
    assert {edit.op for edit in ends(chosen)} == {"vary"} and {edit.region.parts for edit in ends(chosen)} == {
        chosen.parts
    }


def test_a_tile_is_what_its_click_gives(chosen):
    """Up to what a JPEG loses."""
    edits = ends(chosen)
    made = app.pictures.variants(dataclasses.replace(chosen.recipe, edits=(edits[1],)), 0, edits[1:2])
    assert torch.allclose(made, picture(tab.choose_end(chosen, event(index=1))), atol=1e-4)


def test_ends_that_cannot_be_seen_are_not_offered(chosen, monkeypatch):
    monkeypatch.setattr(app.pictures, "results", lambda session, edits, quick=False: [("", 0.0)] * len(edits))
    assert ends(chosen) == []


def test_ends_have_the_names_of_the_factors(chosen):
    edits = ends(chosen)
    found = app.pictures.factors(chosen).ends(chosen.parts, edits[0].variation)
    named = {tab.end_words(chosen, dataclasses.replace(edits[0], strength=s)) for s in (-3.0, 3.0)}
    assert found is not None and named == {found.low, found.high}
    unnamed = dataclasses.replace(edits[0], region=Region(mask=None, all=True))
    assert tab.end_words(chosen, unnamed)[2:] == str(edits[0].variation)


def test_a_click_on_an_end_makes_an_edit_and_a_second_one_takes_it_away(chosen, hand):
    assert hand.edit.op == "vary" and tab.ends_tiles(hand)["items"][0]["on"]
    assert tab.choose_end(hand, event(index=0)).recipe == chosen.recipe


def test_the_other_end_takes_the_place_of_the_first_and_another_variation_joins_it(chosen, hand):
    edits = ends(hand)
    first = edits[0]
    opposite = next(i for i, e in enumerate(edits) if e.variation == first.variation and e.strength == -first.strength)
    other = next(i for i, e in enumerate(edits) if e.variation != first.variation)
    assert [e.strength for e in tab.choose_end(hand, event(index=opposite)).recipe.edits] == [-first.strength]
    assert len(tab.choose_end(hand, event(index=other)).recipe.edits) == 2


def test_a_click_on_tiles_that_have_gone_chooses_nothing(chosen):
    seen = tab.ends_tiles(chosen)["of"]
    assert tab.choose_end(choose(chosen, 0), event(index=0, of=seen)) is None
    assert tab.choose_end(chosen, event(index=0, of=seen)).edit is not None


def test_nothing_chosen_offers_nothing(chosen):
    nothing = app.choosing.choose(chosen, [])
    assert tab.ends_tiles(nothing)["items"] == tab.other_tiles(nothing)["items"] == papers.tiles(nothing)["items"] == []


def test_what_varies_in_a_painted_area_is_learned_on_demand(chosen):
    stroke = app.choosing.paint(chosen, event(rle=painted(chosen)))
    assert not tab.knows(stroke) and tab.ends_tiles(stroke)["note"]
    tab.learn(stroke, lambda progress: True)
    assert tab.knows(stroke)
    session = tab.choose_end(stroke, event(index=0))
    assert session.edit.region.mask is not None and session.edit.op == "vary"


# from other pictures


def test_another_picture_s_thing_replaces_the_one_before(chosen):
    first = tab.choose_other(chosen, event(index=0))
    second = tab.choose_other(first, event(index=1))
    assert [e.seed for e in second.recipe.edits] == [tab.others(chosen)[1].seed]
    assert [tile["on"] for tile in tab.other_tiles(second)["items"]].index(True) == 1
    assert not torch.equal(picture(first), picture(second))


def test_another_twelve_are_other_seeds(chosen):
    seeds = [edit.seed for edit in tab.others(chosen)]
    more = [edit.seed for edit in tab.others(another_twelve(chosen))]
    assert len(seeds) == len(more) == TILES and not set(seeds) & set(more)
    assert chosen.recipe.seed not in seeds


# popular changes


def test_popular_changes_are_toggled_and_opposites_exclude_each_other(chosen):
    changes = tab.popular(chosen)
    names = [change.name for change, _, _ in changes]
    assert len(names) == len(set(names)) and not {change.opposite for change, _, _ in changes} & set(names)
    index = next(i for i, (_, _, off) in enumerate(changes) if not off)
    on = tab.choose_popular(chosen, event(index=index, of="portraits"))
    assert on.edit == changes[index][0].edit
    assert tab.popular_tiles(on)["items"][index]["on"]
    assert tab.choose_popular(on, event(index=index, of="portraits")).recipe == chosen.recipe


def test_popular_changes_that_cannot_be_seen_say_so(chosen, monkeypatch):
    monkeypatch.setattr(app.pictures, "kept", type(app.pictures.kept)(8))
    monkeypatch.setattr(
        app.pictures, "variants", lambda recipe, index, edits, quick=False: torch.zeros(len(edits), 3, 64, 64)
    )
    assert {tile["off"] for tile in tab.popular_tiles(chosen)["items"]} == {"not seen here"}


# the papers' appearances


def test_appearances_come_in_pairs_strongest_first(chosen):
    found = [edit for edit, _ in papers.found(chosen)]
    assert found and {edit.op for edit in found} == {"add"}
    assert [e.appearance for e in found[::2]] == [e.appearance for e in found[1::2]]
    assert {edit.strength for edit in found} == {-3.0, 3.0}


def test_an_appearance_is_chosen_by_the_number_that_programs_use(chosen):
    session = papers.choose_number(chosen, 5)
    assert session.edit.appearance == 5
    for wrong in (-1, 10**6, 0.5, None, float("nan")):
        with pytest.raises(ValueError):
            papers.choose_number(chosen, wrong)


def test_the_whole_picture_is_a_place(chosen):
    whole = papers.choose_number(everywhere(chosen), 1)
    assert whole.edit.region.all and things(whole)


MISTAKES = {
    "end": lambda s: tab.choose_end(s, event(index=99)),
    "end kind": lambda s: tab.choose_end(s, event(index=True)),
    "other": lambda s: tab.choose_other(s, event(index=-1)),
    "popular": lambda s: tab.choose_popular(s, gr.EventData(None, "x")),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(chosen, kind):
    with pytest.raises(ValueError, match="are offered here"):
        MISTAKES[kind](chosen)


def test_sixty_four_edits_are_the_most(hand):
    session = hand
    with pytest.raises(ValueError, match="64"):
        for seed in range(70):
            session = session.append(Edit("transfer", *_where(hand), seed=seed, share=1.0))
    assert len(session.recipe.edits) == 64


def _where(session: Session) -> tuple:
    return session.layer, session.factors_id, session.region()
