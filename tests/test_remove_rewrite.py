"""The Remove and Rewrite tabs, called directly, on the bundled generator."""

import pytest
import torch

import app
from ui.session import Session
from ui.tabs.rewrite import choose_here, keep

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
    part = things(chosen)[1][0]
    session = app.choosing.pick(app.choosing.choose(chosen, []).open_tab("Remove"), event(part=part))
    assert session.recipe.edits == (remove.ways(session)[0],)
    assert app.choosing.pick(session.open_tab("Edit"), event(part=things(chosen)[0][0])).recipe == session.recipe


def test_every_way_can_be_seen_and_is_a_picture_of_its_own(chosen):
    tiles = remove.tiles(chosen)["items"]
    assert len(tiles) > 1 and len({tile["image"] for tile in tiles}) == len(tiles)
    assert {way.op for way in remove.ways(chosen)} <= {"remove", "vary"}


def test_another_way_takes_the_place_of_the_first_and_a_second_click_brings_it_back(chosen, removed):
    second = remove.choose(removed, event(index=1))
    assert [e.op for e in second.recipe.edits] == [remove.ways(chosen)[1].op] and len(second.recipe.edits) == 1
    assert remove.choose(second, event(index=1)).recipe == chosen.recipe


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
    index = next(i for i, way in enumerate(remove.ways(chosen)) if way.op == "remove")
    session = remove.choose(chosen, event(index=index))
    assert torch.allclose(picture(session.set_strength(0.0)), picture(chosen), atol=1e-4)
    assert not torch.equal(picture(session.set_strength(2.0)), picture(session))


def test_a_named_change_takes_the_thing_away_whatever_its_layer(chosen):
    way = remove.ways(chosen)[0]
    assert app.pictures.edit_words(chosen, way) == "no glasses" and way.layer != chosen.layer


def test_of_two_things_in_one_region_the_one_that_was_clicked_goes():
    """The trees left and right of a house are one thing; their parts are not."""
    session = app.opening.start("scenes").reset().go_to(13)
    factors = app.pictures.factors(session)
    trees = next(thing for thing in factors.things if "trees" in factors.region_name(thing) and len(thing) > 1)
    gone = {
        app.pictures.edit_words(session, remove.ways(app.choosing.choose(session, list(trees)), part)[0])
        for part in trees
    }
    assert gone >= {"no tree on the left", "no tree on the right"}


# rewriting


def test_the_source_is_what_the_place_shows_most_of(chosen):
    sources = rewrite.sources(chosen)
    assert rewrite.source(chosen) == sources[0] and len(set(sources)) == len(sources) > 1
    other = rewrite.choose_source(chosen, event(index=1))
    assert rewrite.source(other) == sources[1]
    assert [tile["on"] for tile in rewrite.source_tiles(other)["items"]].index(True) == 1


def test_targets_are_results_that_change_most_first(chosen):
    found = rewrite.targets(chosen)
    changes = [change for _, change in app.pictures.results(chosen, [edit for edit, _ in found], quick=True)]
    assert changes == sorted(changes, reverse=True) and changes[-1] > 0
    assert {edit.source for edit, _ in found} == {rewrite.source(chosen)}


def test_a_rewrite_goes_everywhere_or_only_here(chosen):
    everywhere = rewrite.choose_target(chosen, event(index=0))
    assert everywhere.edit.op == "rewrite" and everywhere.edit.region.all
    here = rewrite.choose_target(choose_here(chosen, True), event(index=0))
    assert here.edit.region == chosen.region()


def test_another_target_takes_the_place_of_the_first_and_a_second_click_takes_it_away(chosen):
    one = rewrite.choose_target(chosen, event(index=0))
    assert one.parts == chosen.parts and rewrite.source(one) == rewrite.source(chosen)
    targets = [edit for edit, _ in rewrite.targets(one)]
    same = next(i for i, edit in enumerate(targets) if one.has(edit))
    two = rewrite.choose_target(one, event(index=1 - min(same, 1)))
    assert len(two.recipe.edits) == 1 and two.edit.target != one.edit.target
    assert rewrite.choose_target(one, event(index=same)).recipe == chosen.recipe


def test_a_click_on_the_place_goes_on_from_what_it_has_become(chosen):
    one = rewrite.choose_target(chosen, event(index=0)).choose(chosen.parts)
    assert rewrite.source(one) != rewrite.source(chosen)
    assert len(rewrite.choose_target(one, event(index=0)).recipe.edits) == 2


def test_a_source_of_another_place_is_not_kept(chosen):
    strange = keep(chosen, source=10**6)
    assert rewrite.source(strange) == rewrite.sources(chosen)[0]


def test_nothing_chosen_asks_for_a_click(chosen):
    nothing = app.choosing.choose(chosen, [])
    assert rewrite.source_tiles(nothing)["note"] and rewrite.targets(nothing) == []


MISTAKES = {
    "way": lambda s: remove.choose(s, event(index=99)),
    "way kind": lambda s: remove.choose(s, event(index=True)),
    "source": lambda s: rewrite.choose_source(s, event(index=99)),
    "target": lambda s: rewrite.choose_target(s, event(index="0")),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(chosen, kind):
    with pytest.raises(ValueError, match="are offered here"):
        MISTAKES[kind](chosen)


def test_a_click_on_tiles_that_have_gone_chooses_nothing(chosen):
    other = choose(chosen, 0)
    assert remove.choose(other, event(index=0, of=remove.tiles(chosen)["of"])) is None
    assert rewrite.choose_target(other, event(index=0, of=rewrite.target_tiles(chosen)["of"])) is None
