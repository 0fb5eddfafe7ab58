"""The handlers of the Remove and Rewrite tabs, called directly, on the bundled generator."""

import gradio as gr
import numpy as np
import pytest
import torch

from panda_core.images import to_pil
from panda_core.recipes import parse_recipe
from panda_core.regions import Region
from ui import concepts, edit, edits, region, remove, rewrite, view
from ui.session import Session


def event(**data) -> gr.EventData:
    return gr.EventData(None, data)


@pytest.fixture(scope="module")
def chosen() -> Session:
    """No edits, the second part chosen."""
    return region.pick(view.start().reset(), event(part=1))


@pytest.fixture
def removed(chosen) -> Session:
    return remove.cover(chosen, remove.find_cover(chosen))


@pytest.fixture
def two(chosen) -> Session:
    """Concepts 2 and 5 chosen."""
    return rewrite.choose_target(rewrite.choose_source(chosen, event(index=2)), event(index=5))


def size(session: Session) -> float:
    return view.strength_of(session, session.edit)


def test_removing_appends_the_edit_that_the_core_finds(chosen, removed):
    found = view.renderer.removal(chosen.recipe, chosen.layer, chosen.factors_id, chosen.region())
    assert removed.recipe.edits == found and len(found) == 8
    assert removed.undo().recipe == chosen.recipe


def test_a_removal_is_one_line_with_one_strength_also_from_a_link(removed):
    (line,) = view.edit_rows(removed)["rows"]
    assert line["title"] == "Cover" and line["active"]
    half = removed.set_strength(0.5)
    assert [e.alpha for e in half.recipe.edits] == pytest.approx([e.alpha / 2 for e in removed.recipe.edits], abs=1e-5)
    assert len(half.rows) == 1 and len(view.opened(half.recipe).rows) == 1
    assert remove.cover(half, remove.find_cover(half)).recipe == removed.recipe  # again: in its place


def test_two_removals_are_two_lines(removed):
    other = region.pick(removed, event(part=3))
    both = remove.cover(other, remove.find_cover(other))
    assert [(row.start, row.stop) for row in both.rows] == [(0, 8), (8, 16)]
    assert [(row.start, row.stop) for row in view.opened(both.recipe).rows] == [(0, 8), (8, 16)]


def test_where_little_changed_the_tab_says_so_and_what_to_do(removed):
    words = "Little changed"
    faint = removed.set_strength(0.01)
    assert words in remove.before_and_after(faint) and "With a click" in remove.before_and_after(faint)
    strong = next(s for s in (removed.set_strength(x) for x in (1.0, 1.5, 2.0)) if words not in shown(s))
    assert "<img" in shown(strong)
    looked = edit.choose_look(removed.reset(), event(index=0)).set_strength(0.1)
    assert "<img" in shown(looked) and words not in shown(looked)  # no cover: nothing was to go


def shown(session: Session) -> str:
    return remove.before_and_after(session)


def test_without_background_other_covers_are_offered(chosen, monkeypatch):
    def none(*args):
        raise ValueError("Nothing outside the region counts as background.")

    monkeypatch.setattr(view.renderer, "removal", none)
    view.kept.clear()
    said = remove.cover(chosen, remove.find_cover(chosen))
    items = remove.cover_tiles(said)["items"]
    view.kept.clear()
    assert said.recipe == chosen.recipe and said.notice and len(items) == 6


def test_another_cover_replaces_the_first_also_after_the_slider(removed):
    tiles = remove.cover_tiles(removed)
    assert [item["on"] for item in tiles["items"]] == [True] + [False] * (len(tiles["items"]) - 1)
    moved, *_ = edits.tick(removed, 0.5)
    other = remove.choose_cover(moved, event(index=2, of=tiles["of"]))
    assert other.recipe.edits == remove.coverings(removed)[2]
    assert [item["on"] for item in remove.cover_tiles(other)["items"]].index(True) == 2
    moved, *_ = edits.tick(other, 0.5 * size(other))
    assert remove.choose_cover(moved, event(index=0, of=tiles["of"])).recipe == removed.recipe


def test_removing_leaves_a_look_at_the_same_part_alone(chosen):
    covers = [way[0].appearance for way in remove.coverings(chosen)]
    index = next(i for i, e in enumerate(view.looks(chosen)) if e.appearance in covers)
    looked = edit.choose_look(chosen, event(index=index))
    assert remove.cover(looked, remove.find_cover(looked)).recipe.edits[0] == looked.edit


def test_every_cover_shows_a_picture_of_its_own(removed):
    items = remove.cover_tiles(removed)["items"]
    assert len(items) == 6 == len({item["image"] for item in items})
    assert items[0]["label"] == "background, several looks"


def test_a_click_on_outdated_covers_chooses_nothing(removed):
    of = remove.cover_tiles(removed)["of"]
    moved = removed.go_to(5)
    assert remove.choose_cover(moved, event(index=1, of=of)) is None


def test_before_and_after_stand_side_by_side(chosen, removed):
    assert remove.before_and_after(chosen) == ""
    shown = remove.before_and_after(removed)
    assert shown.count("<img") == 2 and len(set(shown.split('"'))) > 8


def test_without_a_region_the_tab_says_what_to_do(chosen):
    none = region.choose_parts(chosen, [])
    assert "Choose what to remove" in remove.hint_words(none)
    assert remove.cover_tiles(none)["items"] == []


MISTAKES = {
    "nothing chosen": lambda s: remove.find_cover(region.choose_parts(s, [])),
    "nothing outside": lambda s: remove.find_cover(region.choose_where(s, "all")),
    "cover": lambda s: remove.choose_cover(s, event(index=99)),
    "cover kind": lambda s: remove.choose_cover(s, event(index="0")),
    "no concepts": lambda s: rewrite.do_rewrite(s),
    "one concept": lambda s: rewrite.do_rewrite(rewrite.choose_source(s, event(index=1))),
    "same concept": lambda s: rewrite.do_rewrite(both(s, 3, 3)),
    "concept": lambda s: rewrite.choose_source(s, event(index=24)),
    "concept kind": lambda s: rewrite.choose_target(s, event(index=True)),
}


def both(session: Session, source: int, target: int) -> Session:
    return rewrite.choose_target(rewrite.choose_source(session, event(index=source)), event(index=target))


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(chosen, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](chosen)
    assert 10 < len(str(caught.value)) < 300 and str(caught.value).endswith(".")


# rewriting


def test_a_rewrite_goes_everywhere_or_only_here(chosen, two):
    everywhere = rewrite.do_rewrite(two).edit
    assert (everywhere.op, everywhere.source, everywhere.target) == ("rewrite", 2, 5)
    assert everywhere.region == Region(all=True) and everywhere.strength == 1.0
    assert rewrite.do_rewrite(rewrite.choose_here(two, True)).edit.region == chosen.region()


def test_a_rewrite_is_said_with_the_names_of_its_concepts(two):
    done = rewrite.do_rewrite(two)
    words = f"{concepts.concept_name(two, 2)} becomes {concepts.concept_name(two, 5)}"
    assert view.edit_rows(done)["rows"][0]["look"].startswith(words)
    assert rewrite.what(two).lower().startswith(words.lower())


def test_rewrites_are_chained_and_the_same_one_is_not_listed_twice(two):
    once = rewrite.do_rewrite(two)
    assert rewrite.do_rewrite(once).recipe == once.recipe
    chain = rewrite.do_rewrite(both(once, 5, 7))
    assert [(e.source, e.target) for e in chain.recipe.edits] == [(2, 5), (5, 7)]
    assert not torch.equal(view.renderer.image(chain.recipe), view.renderer.image(once.recipe))


def test_the_slider_of_a_rewrite_begins_at_none(two):
    done = rewrite.do_rewrite(two)
    slider = edits.slider(done)
    assert (slider.minimum, slider.value, slider.maximum) == (0, 1.0, 4.0)


def test_a_look_leaves_the_rewrite_in_hand_what_it_is(two):
    done = rewrite.do_rewrite(two)
    both = edit.choose_look(done, event(index=0))
    assert [e.op for e in both.recipe.edits] == ["rewrite", "add"]
    assert len(view.sheet(done)["items"]) > 0


def test_other_factors_have_other_concepts(two):
    other = two.choose_layer(next(layer for layer in two.layers if layer != two.layer))
    assert rewrite.chosen(other).source is None
    assert rewrite.chosen(other.choose_layer(two.layer)).source == 2


# endpoints


@pytest.mark.parametrize(
    "call, expected",
    [
        (lambda text: remove.remove(text, 1.0), [("add", None)] * 8),
        (lambda text: rewrite.rewrite(text, 2.0, 5.0, 0.5), [("rewrite", 0.5)]),
    ],
)
def test_an_endpoint_adds_its_edits(chosen, call, expected):
    image, recipe = call(chosen.recipe.to_json())
    made = parse_recipe(recipe)
    assert [(e.op, e.strength) for e in made.edits] == expected
    assert np.array_equal(np.asarray(image), np.asarray(to_pil(view.renderer.image(made))[0]))


@pytest.mark.parametrize("part", [None, 0.5, 999, float("nan"), -1])
def test_remove_refuses_what_is_no_part(chosen, part):
    with pytest.raises(gr.Error):
        remove.remove(chosen.recipe.to_json(), part)


@pytest.mark.parametrize("values", [(1, 1, 1), (None, 1, 1), (0, 10**9, 1), (0, 1, float("nan")), (0.5, 1, 1)])
def test_rewrite_refuses_what_the_validator_refuses(chosen, values):
    with pytest.raises(gr.Error):
        rewrite.rewrite(chosen.recipe.to_json(), *values)
