"""The Remove and Rewrite tabs, called directly, on the bundled generator."""

import itertools

import gradio as gr
import pytest
import torch

import app
from panda_core.colours import COLOURS, became, keeps_word
from panda_core.effects import LEADING, SEEN, remains
from panda_core.ops import Edit
from panda_core.regions import Mask, Region
from panda_core.studio.rewriting import FAINT, TARGETS
from panda_core.studio.session import Session
from ui.binding import open_tab

from .page import bare, choose, event, picture, things

remove, rewrite = app.remove_tab, app.rewrite_tab


@pytest.fixture(scope="module")
def chosen() -> Session:
    """The eyes, whose glasses can go in more ways than one."""
    eyes = [app.pictures.factors(bare()).region_name(thing) for thing in things(bare())].index("eyes")
    return choose(bare(), eyes)


@pytest.fixture(scope="module")
def removed(chosen) -> Session:
    return remove.after_pick(chosen)


def test_what_is_clicked_goes_at_once_the_best_way(chosen):
    session = app.choosing.pick(open_tab(app.choosing.choose(chosen, []), "Remove"), event(part=chosen.parts[0]))
    assert session.recipe.edits == (remove.ways(session)[0],)
    assert app.choosing.pick(open_tab(session, "Edit"), event(part=things(chosen)[0][0])).recipe == session.recipe


def test_every_way_can_be_seen_and_is_a_picture_of_its_own(chosen):
    tiles = remove.tiles(chosen)["items"]
    assert len(tiles) > 1 and len({tile["image"] for tile in tiles}) == len(tiles)
    assert {way.op for way in remove.ways(chosen)} <= {"remove", "vary"}


def test_another_way_takes_the_place_of_the_first_and_the_first_tile_brings_it_back():
    start = bare().go_to(13)
    hair = next(t for t in things(start) if app.pictures.factors(start).region_name(t) == "hair top")
    chosen = app.choosing.choose(start, list(hair))
    no_hat, covered = remove.ways(chosen)
    first = remove.choose(chosen, event(index=1))
    assert first.recipe.edits == (no_hat,)
    second = remove.choose(first, event(index=2))
    assert second.recipe.edits == (covered,)
    assert remove.choose(second, event(index=2)).recipe == second.recipe  # a click too many takes nothing back
    back = remove.choose(second, event(index=0))
    assert back.recipe == chosen.recipe and back.region() == chosen.region()


def test_one_of_the_tiles_is_always_the_one_in_the_picture(chosen, removed):
    for session, on, note in ((chosen, 0, "None of these"), (removed, 1, "")):
        tiles = remove.tiles(session)
        assert [tile["on"] for tile in tiles["items"]].index(True) == on and tiles["note"].startswith(note)
    assert tiles["items"][0]["label"] == "as it was"


def test_a_wall_is_not_offered_where_none_stands_behind():
    """Inside a face a cover is a fog; who paints there has asked for it."""
    session = bare().go_to(3)
    mouth = next(t for t in things(session) if app.pictures.factors(session).region_name(t) == "mouth")
    there = app.choosing.choose(session, list(mouth))
    assert "remove" not in {way.op for way in remove.ways(there)}
    p = app.renderer.region(there.recipe, there.layer, there.region(), there.factors_id)
    mask = Mask.from_tensor((p > 0.4).float().reshape(app.renderer.generator(there.recipe).layers[there.layer][1:]))
    assert "remove" in {way.op for way in remove.ways(there.restrict("painted", mask))}


def test_a_thing_that_is_gone_is_not_removed_twice(removed):
    assert remove.after_pick(removed).recipe == removed.recipe


def test_another_thing_is_a_line_of_its_own(removed):
    both = remove.after_pick(choose(removed, 0))
    assert len(both.recipe.edits) == 2 or remove.ways(choose(removed, 0)) == []


def test_where_nothing_else_is_background_the_tab_says_what_to_do(chosen):
    everywhere = chosen.restrict("all", None)
    assert remove.tiles(everywhere)["items"] == [] and remove.tiles(everywhere)["note"]
    assert remove.after_pick(everywhere) == everywhere
    nothing = app.choosing.choose(chosen, [])
    assert remove.ways(nothing) == [] and "Nothing is chosen" in remove.place_words(nothing)


def test_the_slider_of_a_cover_goes_from_none_to_twice(chosen):
    session = remove.apply(chosen, Edit("remove", chosen.layer, chosen.factors_id, chosen.region(), strength=1.0))
    assert torch.allclose(picture(session.set_strength(0.0)), picture(chosen), atol=1e-4)
    assert not torch.equal(picture(session.set_strength(2.0)), picture(session))


def test_a_named_change_takes_the_thing_away_whatever_its_layer(chosen):
    way = remove.ways(chosen)[0]
    assert app.pictures.edit_words(chosen, way) == "no glasses" and way.layer != chosen.layer


@pytest.fixture
def two_trees():
    """A scene with a tree on either side of the house, and the parts of the thing that both are."""
    session = app.opening.start("scenes").reset().go_to(13)
    factors = app.pictures.factors(session)
    return session, next(t for t in factors.things if "trees" in factors.region_name(t) and len(t) > 1)


def test_of_two_things_in_one_region_the_one_that_was_clicked_goes(two_trees):
    session, trees = two_trees
    chosen = app.choosing.choose(session, list(trees))
    gone = [app.pictures.edit_words(session, remove.ways(chosen, at)[0]) for at in ((0.12, 0.45), (0.88, 0.45))]
    assert gone == ["no tree on the left", "no tree on the right"]


def test_a_change_with_another_name_counts_where_the_place_clicked_becomes_background():
    session, tree = open_tab(app.opening.start("portraits").reset().go_to(12), "Remove"), (0.08, 0.42)
    chosen = app.choosing.pick(session, event(part=2, at=list(tree)))
    assert [app.pictures.edit_words(chosen, edit) for edit in chosen.recipe.edits] == ["object on the right"]
    side = picture(chosen).shape[-1]
    y, x = round(tree[1] * side), round(tree[0] * side)
    before, after = (picture(s)[0, :, y - 8 : y + 8, x - 8 : x + 8] for s in (session, chosen))
    bare_wall = picture(session)[0, :, y - 8 : y + 8, side - x - 8 : side - x + 8]  # as far on the other side
    assert (after - bare_wall).abs().mean() < 0.3 * (before - bare_wall).abs().mean()
    shown = app.remove_tab.tiles(chosen)["items"]
    assert shown[1]["on"] and shown[1]["label"] == "changed until it is gone"


def named_end(session: Session, name: str):
    """An edit of the session's layer by its name, and a session with its region chosen."""
    factors = app.pictures.factors(session)
    for parts in factors.variations:
        for m in range(len(factors.variations[parts])):
            ends = factors.ends(parts, m)
            if ends and name in (ends.low, ends.high):
                where = session.layer, session.factors_id, Region(parts)
                yield Edit("vary", *where, variation=m, strength=-3.0 if name == ends.low else 3.0)


def test_what_is_not_there_is_not_taken_away():
    bald = bare().choose_layer(5)  # this head has no hat
    for edit in named_end(bald, "no hat"):
        there = app.choosing.choose(bald, list(edit.region.parts))
        assert edit not in remove.ways(there)


def test_what_only_fades_is_no_way():
    session = open_tab(app.opening.start("scenes").reset().go_to(5), "Remove")
    house = next(t for t in things(session) if "house" in app.pictures.factors(session).region_name(t))
    chosen = app.choosing.pick(session, event(part=house[0], at=[0.5, 0.55]))
    shown = app.remove_tab.tiles(chosen)
    assert chosen.recipe == session.recipe and not shown["items"] and shown["note"].startswith("Nothing here")


def test_a_click_may_be_beside_what_is_chosen():
    plain = bare()
    layer = max(plain.layers)
    _, H, W = app.renderer.generator(plain.recipe).layers[layer]
    p = torch.zeros(H, W)
    p[H // 2 :, W // 2] = 1.0
    edit = Edit("remove", layer, plain.layers[layer], Region((0,)), strength=1.0)
    where = app.renderer, plain.recipe, [edit], layer, plain.layers[layer], p.flatten()
    assert remains(*where, at=(0.05, 0.05)) == remains(*where) != {}


@pytest.mark.parametrize("world", ["portraits", "scenes"])
def test_plain_background_is_not_covered_with_background(world):
    session = open_tab(app.opening.start(world).reset(), "Remove")
    factors = app.pictures.factors(session)
    corner = int(factors.scaled_parts[0].argmax())  # the part of the first cell
    chosen = app.choosing.pick(session, event(part=corner, at=[0.05, 0.05]))
    assert chosen.parts == (corner,) and all(way.op != "remove" for way in remove.ways(chosen))
    assert not chosen.recipe.edits


def picked(name: str) -> Session:
    """The Remove tab after a click on a thing of the first picture."""
    plain = open_tab(bare(), "Remove")
    thing = next(t for t in things(plain) if app.pictures.factors(plain).region_name(t) == name)
    return app.choosing.pick(plain, event(part=thing[0]))


def test_a_wall_is_not_put_over_a_mouth_at_once(monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", lambda words, **_: told.append(words))
    mouth = picked("mouth")
    assert not mouth.recipe.edits and bool(told) == bool(remove.ways(mouth))


def test_no_hat_is_taken_off_a_bare_head():
    there = picked("hair top")
    assert "no hat" not in [app.pictures.edit_words(there, edit) for edit in (*remove.ways(there), *there.recipe.edits)]


def test_a_thing_and_its_absence_are_not_both_in_the_list():
    session = bare().choose_layer(5)
    hats, bares = list(named_end(session, "hat")), list(named_end(session, "no hat"))
    hat, none = next((h, n) for h in hats for n in bares if h.region != n.region)
    both = remove.apply(app.choosing.choose(session.append(hat), list(none.region.parts)), none)
    assert both.recipe.edits == (none,) and both.edit == none
    assert both.undo().recipe.edits == (hat,)


# rewriting


@pytest.fixture(scope="module")
def hair() -> Session:
    """All hair, at the layer that the page opens with."""
    return choose_named(bare(), "all hair")


def choose_named(session: Session, name: str) -> Session:
    factors = app.pictures.factors(session)
    regions = dict.fromkeys([*factors.things, *factors.variations])
    return app.choosing.choose(session, list(next(r for r in regions if factors.region_name(r) == name)))


def test_what_is_rewritten_is_the_clicked_thing_on_the_finest_layer(hair):
    layer, _, region = rewrite.where(hair)
    assert layer == max(hair.layers) != hair.layer
    factors = rewrite.factors(hair)
    names = factors.region_name(region.parts)
    assert "hair top" in names and "hair bottom" in names and "skin" not in names and "background" not in names
    assert factors.appearance_name(rewrite.source(hair)) == "hair"
    eyes = rewrite.where(choose_named(bare(), "eyes"))[2]
    assert "eyes" in factors.region_name(eyes.parts)
    there = choose_named(hair.choose_layer(layer), "background")
    assert rewrite.where(there)[2] == there.region()
    assert factors.appearance_name(rewrite.source(there)) == "background"


@pytest.mark.parametrize("everywhere", [False, True])
def test_targets_are_results_that_can_be_seen_most_first(hair, everywhere):
    found = [edit for edit, *_ in rewrite.results(hair.put_aside("everywhere", everywhere))]
    changes = [change for _, change in app.pictures.results(hair, found, quick=True, region=hair.region())]
    assert changes == sorted(changes, reverse=True) and changes[-1] >= max(SEEN, FAINT * changes[0])
    assert {(edit.source, edit.region.all) for edit in found} == {(rewrite.source(hair), everywhere)}


def test_what_has_a_name_is_rewritten_everywhere_and_what_other_things_show_too_here(hair):
    clothes = choose_named(bare(), "clothes")
    assert rewrite.everywhere(hair) and not rewrite.everywhere(clothes)
    assert not rewrite.everywhere(rewrite.set_where(hair, False)) and rewrite.everywhere(
        rewrite.set_where(clothes, True)
    )


def test_here_or_everywhere_moves_the_rewrite_in_hand(hair):
    here = rewrite.choose(rewrite.set_where(hair, False), event(index=0))
    everywhere = rewrite.set_where(here, True)
    assert [edit.region.all for edit in everywhere.recipe.edits] == [True]
    assert rewrite.set_where(everywhere, False).recipe == here.recipe
    assert rewrite.set_where(hair, True).recipe == hair.recipe  # nothing in hand


def test_what_cannot_be_seen_is_not_offered(hair, monkeypatch):
    changes = itertools.cycle([0.5, 0.13, 0.12, 0.01])  # the third is faint beside the first, the fourth beside any
    monkeypatch.setattr(app.pictures, "results", lambda s, edits, **_: [("", next(changes)) for _ in edits])
    monkeypatch.setattr(app.pictures, "colours", lambda s, edits: list(range(len(edits))))  # each its own
    numbers = [edit.target for edit, *_ in rewrite.results(hair)]
    tried = [k for k in range(LEADING) if k != rewrite.source(hair)]
    assert numbers == [*tried[::4], *tried[1::4]][:TARGETS]
    changes = itertools.repeat(0.9 * SEEN)
    assert rewrite.results(hair) == [] and rewrite.tiles(hair)["note"]


def test_a_tile_says_the_colour_that_the_place_becomes_and_no_two_say_the_same(hair):
    labels = [tile["label"] for tile in rewrite.tiles(hair)["items"]]
    assert len(set(labels)) == len(labels) > 1
    assert {label.removeprefix("lighter ").removeprefix("darker ") for label in labels} <= set(COLOURS)
    line = app.pictures.edits_words(rewrite.choose(hair, event(index=1)))
    assert line == f"hair: now {labels[1]}"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((230, 20, 30), (60, 160, 60), "green"),
        ((110, 68, 40), (130, 82, 50), "lighter brown"),
        ((130, 82, 50), (108, 66, 38), "darker brown"),
        ((120, 75, 45), (123, 77, 46), "brown"),
        ((62, 39, 28), (129, 157, 194), "light blue"),  # a mean over light and shade is paler than what is seen
        ((74, 74, 76), (95, 95, 97), "dark grey"),
        ((0, 0, 0), (255, 255, 255), "white"),
    ],
)
def test_colours_are_called_what_people_call_them(before, after, words):
    assert became(before, after) == words


def test_another_target_takes_the_place_of_the_first_and_a_second_click_takes_it_away(hair):
    one = rewrite.choose(hair, event(index=0))
    assert (one.layer, one.region()) == (hair.layer, hair.region()) and rewrite.source(one) == rewrite.source(hair)
    targets = [edit for edit, *_ in rewrite.results(one)]
    same = next(i for i, edit in enumerate(targets) if one.recipe.has(edit))
    two = rewrite.choose(one, event(index=1 - min(same, 1)))
    assert len(two.recipe.edits) == 1 and two.edit.target != one.edit.target
    assert rewrite.choose(one, event(index=same)).recipe == hair.recipe


def test_a_click_on_the_place_goes_on_from_what_it_has_become(hair):
    one = rewrite.choose(hair, event(index=0)).choose(hair.parts)
    assert rewrite.source(one) != rewrite.source(hair)
    assert len(rewrite.choose(one, event(index=0)).recipe.edits) == 2


def test_nothing_chosen_asks_for_a_click(hair):
    nothing = app.choosing.choose(hair, [])
    assert "Nothing is chosen" in rewrite.place_words(nothing) and rewrite.results(nothing) == []


MISTAKES = {
    "way": lambda s: remove.choose(s, event(index=99)),
    "way kind": lambda s: remove.choose(s, event(index=True)),
    "target": lambda s: rewrite.choose(s, event(index="0")),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(chosen, kind):
    with pytest.raises(ValueError, match="are offered here"):
        MISTAKES[kind](chosen)


def test_a_click_on_tiles_that_have_just_gone_is_what_was_seen_on_them(chosen):
    other = choose(chosen, 0)
    for tab, offered in ((remove, remove.shown(chosen)), (rewrite, [edit for edit, *_ in rewrite.results(chosen)])):
        assert tab.choose(other, event(index=1, of=tab.tiles(chosen)["of"])).edit == offered[1]
        assert tab.choose(other, event(index=0, of="of nobody")) is None


def test_of_two_trees_both_can_go(two_trees):
    session, trees = two_trees
    session = open_tab(session, "Remove")
    for at in ([0.12, 0.45], [0.88, 0.45]):
        session = app.choosing.pick(session, event(part=trees[0], at=at))
    assert app.pictures.edits_words(session) == "no tree on the left, no tree on the right"


@pytest.mark.parametrize(
    "words, colour, holds",
    [("purple clothes", (110, 70, 140), True), ("purple clothes", (60, 110, 130), False),
     ("red roof", (90, 88, 90), False), ("blue", (70, 90, 150), True),
     ("black hair", (120, 80, 50), True), ("longer hair", (60, 110, 130), True)],
)  # fmt: skip
def test_what_is_called_after_a_hue_is_of_that_hue(words, colour, holds):
    assert keeps_word(words, colour) is holds


def test_a_change_that_takes_another_colour_than_its_name_is_not_offered():
    session = bare().go_to(0)  # her clothes turn blue
    clothes = next(t for t in things(session) if app.pictures.factors(session).region_name(t) == "clothes")
    there = app.choosing.choose(session, list(clothes))
    words = [app.edit_tab.end_words(there, edit) for edit, _ in app.edit_tab.ends(there)]
    assert "red clothes" in words and "purple clothes" not in words
    assert "purple clothes" in {change.name for change in app.edit_tab.known(there)}
