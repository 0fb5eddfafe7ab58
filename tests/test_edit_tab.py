"""The Edit tab, called directly, on the bundled generator: what varies, other pictures, popular changes, the papers."""

import dataclasses

import gradio as gr
import pytest
import torch

import app
from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.studio.changes import NAMED, TILES
from panda_core.studio.session import Session
from ui.tabs.edit import another_twelve

from .page import bare, choose, event, painted, picture, things

tab = app.edit_tab


@pytest.fixture(scope="module")
def chosen() -> Session:
    return bare()


@pytest.fixture(scope="module")
def hand(chosen) -> Session:
    return tab.choose_end(chosen, event(index=0))


def unchanged(recipe, index, edits, shrink=1) -> torch.Tensor:
    return torch.zeros(len(edits), 3, 64, 64)


def ends(session: Session) -> list[Edit]:
    return [edit for edit, _ in tab.ends(session)]


def test_what_can_change_is_offered_with_different_pictures(chosen):
    tiles = tab.ends_tiles(chosen)["items"]
    assert 2 <= len(tiles) <= NAMED
    assert len({tile["image"] for tile in tiles}) == len(tiles)
    assert {edit.op for edit in ends(chosen)} == {"vary"}


def test_changes_with_a_name_come_first_from_whatever_layer_those_that_act_there_most(chosen):
    words = [tab.end_words(chosen, edit) for edit in ends(chosen)]
    named = [word for word in words if not word.startswith("variation")]
    assert len(named) > 2 and words[: len(named)] == named and len(set(named)) == len(named)
    assert {edit.region.parts for edit in ends(chosen)[len(named) :]} <= {chosen.parts}
    where = app.pictures.region_map(chosen, chosen.region())
    shown = {s.change.edit: s for s in tab.seen(chosen).shown}
    small = torch.nn.functional.interpolate(where[None, None], shown[ends(chosen)[0]].difference.shape, mode="area")
    shares = [shown[edit].share(small[0, 0]) for edit in ends(chosen)[: len(named)]]
    assert shares == sorted(shares, reverse=True) and shares[-1] >= 0.2


def test_what_a_place_offers_is_about_that_place():
    """A click on the mouth offers to smile and to close it, one on the eyes other things: from exact names."""
    start = app.opening.start().reset()
    offered = {}
    for name in ("mouth", "eyes"):
        parts = next(t for t in things(start) if app.pictures.factors(start).region_name(t) == name)
        there = app.choosing.choose(start, list(parts))
        offered[name] = {tab.end_words(there, edit) for edit in ends(there)}
    assert {"smile", "mouth closed"} <= offered["mouth"] and {"no glasses", "eyes closed"} <= offered["eyes"]
    assert not {"smile", "mouth closed"} & offered["eyes"] and "eyes closed" not in offered["mouth"]


def test_a_tile_is_what_its_click_gives(chosen):
    """Up to what a JPEG loses."""
    edits = ends(chosen)
    made = app.pictures.variants(dataclasses.replace(chosen.recipe, edits=(edits[1],)), 0, edits[1:2])
    assert torch.allclose(made, picture(tab.choose_end(chosen, event(index=1))), atol=1e-4)


def test_ends_that_cannot_be_seen_are_not_offered(chosen, monkeypatch):
    monkeypatch.setattr(app.pictures, "kept", type(app.pictures.kept)(8))
    monkeypatch.setattr(app.renderer, "variants", unchanged)
    assert ends(chosen) == []


def test_ends_have_the_names_of_the_factors(chosen):
    edit = ends(chosen)[0]
    found = app.pictures.factors(chosen, edit).ends(edit.region.parts, edit.variation)
    assert tab.end_words(chosen, edit) == (found.low if edit.strength < 0 else found.high)
    unnamed = dataclasses.replace(edit, region=Region(mask=None, all=True))
    assert tab.end_words(chosen, unnamed) == f"variation {edit.variation} {'−' if edit.strength < 0 else '+'}"


def test_a_click_on_an_end_makes_an_edit_and_a_second_one_takes_it_away(chosen, hand):
    assert hand.edit.op == "vary" and tab.ends_tiles(hand)["items"][0]["on"]
    assert tab.choose_end(hand, event(index=0)).recipe == chosen.recipe


def test_the_other_end_takes_the_place_of_the_first_and_another_variation_joins_it(chosen):
    edits = ends(chosen)
    one, opposite = next((i, j) for i, e in enumerate(edits) for j, other in enumerate(edits)
                         if other == dataclasses.replace(e, strength=-e.strength))  # fmt: skip
    other = next(i for i, e in enumerate(edits) if e.region != edits[one].region or e.variation != edits[one].variation)
    hand = tab.choose_end(chosen, event(index=one))
    assert tab.choose_end(hand, event(index=opposite)).recipe.edits == (edits[opposite],)
    assert len(tab.choose_end(hand, event(index=other)).recipe.edits) == 2


def test_a_click_on_tiles_that_have_just_gone_is_what_was_seen_on_them(chosen):
    seen, edits = tab.ends_tiles(chosen)["of"], ends(chosen)
    elsewhere = choose(chosen, 0)
    assert ends(elsewhere)[0] != edits[0]
    assert tab.choose_end(elsewhere, event(index=0, of=seen)).edit == edits[0]
    assert tab.choose_end(elsewhere, event(index=0, of="of nobody")) is None
    assert tab.choose_end(elsewhere, event(index=0, of=[seen])) is None


def test_opposites_of_different_places_exclude_each_other(chosen):
    """ "hat" and "no hat" may be two variations; the one takes the place of the other, in one step of undo."""
    changes = tab.known(chosen)
    one = next(c for c in changes for d in changes
               if c.opposite == d.name and chosen.append(c.edit).recipe.find_like(d.edit) != 0)  # fmt: skip
    other = next(c for c in changes if c.name == one.opposite)
    both = tab.toggle(tab.toggle(chosen, one.edit), other.edit)
    assert both.recipe.edits == (other.edit,) and both.undo().recipe.edits == (one.edit,)


def test_a_change_of_another_layer_leaves_what_a_click_means(chosen):
    edit = next(edit for edit in ends(chosen) if edit.layer != chosen.layer)
    made = tab.toggle(chosen, edit)
    assert made.edit == edit and (made.layer, made.parts) == (chosen.layer, chosen.parts)
    assert app.choosing.choose(choose(made, 0), list(chosen.parts)).edit == edit  # it comes into hand again


def test_nothing_chosen_offers_nothing(chosen):
    nothing = app.choosing.choose(chosen, [])
    assert (
        tab.ends_tiles(nothing)["items"]
        == tab.other_tiles(nothing)["items"]
        == tab.appearance_tiles(nothing)["items"]
        == []
    )


def test_what_varies_in_a_painted_area_is_learned_on_demand(chosen):
    coarse = chosen.choose_layer(3)  # sooner learned
    stroke = app.choosing.paint(coarse, event(rle=painted(coarse)))
    assert not tab.knows(stroke) and all(edit.region.parts for edit in ends(stroke))
    tab.learn(stroke, lambda progress: True)
    assert tab.knows(stroke)
    learned = [edit.region.mask is not None for edit in ends(stroke)]
    session = tab.choose_end(stroke, event(index=learned.index(True)))
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
    names = [change.name for change, _ in changes]
    assert len(names) == len(set(names)) and not {change.opposite for change, _ in changes} & set(names)
    index = next(i for i, (_, seen) in enumerate(changes) if seen)
    on = tab.choose_popular(chosen, event(index=index, of="portraits"))
    assert on.edit == changes[index][0].edit
    assert tab.popular_tiles(on)["items"][index]["on"]
    assert tab.choose_popular(on, event(index=index, of="portraits")).recipe == chosen.recipe


def test_popular_changes_show_what_a_click_makes_of_the_edited_picture(chosen):
    first, second, *_ = (i for i, (_, seen) in enumerate(tab.popular(chosen)) if seen)
    on = tab.choose_popular(chosen, event(index=first, of="portraits"))
    tiles = [tile["image"] for tile in tab.popular_tiles(on)["items"]]
    both = tab.choose_popular(on, event(index=second, of="portraits"))
    after = [tile["image"] for tile in tab.popular_tiles(both)["items"]]
    assert tiles[second] == after[second] and tiles[first] != after[first]


def test_popular_changes_that_cannot_be_seen_say_so(chosen, monkeypatch):
    monkeypatch.setattr(app.pictures, "kept", type(app.pictures.kept)(8))
    monkeypatch.setattr(app.renderer, "variants", unchanged)
    assert {tile["off"] for tile in tab.popular_tiles(chosen)["items"]} == {"not seen here"}


# the papers' appearances


def test_appearances_come_in_pairs_strongest_first(chosen):
    found = [edit for edit, _ in tab.appearances(chosen)]
    assert found and {edit.op for edit in found} == {"add"}
    assert [e.appearance for e in found[::2]] == [e.appearance for e in found[1::2]]
    assert {edit.strength for edit in found} == {-3.0, 3.0}


def test_an_appearance_s_tile_says_the_number_that_programs_use(chosen):
    label, index = tab.appearance_tiles(chosen)["items"][1]["label"], 1
    assert label == f"+ {tab.choose_appearance(chosen, event(index=index)).edit.appearance}"


def test_the_whole_picture_is_a_place(chosen):
    whole = tab.choose_appearance(app.choosing.place(chosen, event(where="all")), event(index=1))
    assert whole.edit.region.all and whole.recipe.edits[:-1] == chosen.recipe.edits


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


def test_what_a_picture_has_not_is_not_changed(chosen):
    """On a bare head "hat" is offered, and no colour of hats."""
    known = {change.name: change for change in tab.known(chosen)}
    pictures = [chosen.reset().go_to(seed) for seed in range(20)]

    def has(session: Session, name: str) -> bool:
        return tab.seen(session).is_there(session.recipe, known[name].edit)

    def lacks(session: Session, name: str) -> bool:
        return tab.seen(session).lacks(session.recipe, known[name])

    bare, worn = (next(session for session in pictures if has(session, name)) for name in ("no hat", "hat"))
    assert lacks(bare, "blue hat") and not lacks(bare, "hat") and not lacks(worn, "blue hat")
    assert not any(lacks(session, "no hat") for session in pictures)
