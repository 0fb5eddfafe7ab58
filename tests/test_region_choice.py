"""What clicks, strokes and the buttons under the picture choose."""

import pytest

import app
from panda_core.ops import Edit
from panda_core.regions import Mask
from panda_core.studio.session import Session

from .page import bare, event, painted, things

choosing = app.choosing


@pytest.fixture(scope="module")
def start() -> Session:
    return bare()


@pytest.fixture(scope="module")
def several(start) -> tuple[int, ...]:
    """A thing of several parts."""
    return next(thing for thing in things(start) if len(thing) > 1)


def test_a_click_chooses_the_thing_a_second_one_the_part_a_third_the_thing_again(start, several):
    session = app.choosing.choose(start, [])
    for expected in (several, (several[1],), several):
        session = choosing.pick(session, event(part=several[1]))
        assert session.parts == expected


def test_the_first_click_on_what_the_page_chose_is_no_second_one(start, several):
    chosen = app.choosing.choose(start, list(several))
    assert choosing.pick(chosen, event(part=several[1])).parts == several
    moved = choosing.pick(chosen, event(part=several[1])).go_to(start.recipe.seed + 1)  # nor is one on a new picture
    assert choosing.pick(moved, event(part=several[1])).parts == several


def test_a_click_on_a_thing_of_one_part_stays_there(start):
    single = next(thing for thing in things(start) if len(thing) == 1)
    session = start
    for _ in range(2):
        session = choosing.pick(session, event(part=single[0]))
        assert session.parts == single


def test_shift_adds_a_thing_and_takes_it_away_again(start):
    first, second = things(start)[:2]
    one = choosing.choose(start, list(first))
    two = choosing.pick(one, event(part=second[0], several=True))
    assert two.parts == tuple(sorted((*first, *second)))
    assert choosing.pick(two, event(part=first[0], several=True)).parts == second


def test_the_buttons_under_the_picture_choose_too(start, several):
    assert choosing.place(start, event(parts=list(several))).parts == several
    assert choosing.place(start, event(parts=[several[0]])).parts == (several[0],)
    assert choosing.place(start, event(where="all")).region().all


def test_another_thing_gets_an_edit_of_its_own_and_the_first_can_be_taken_up_again(hand):
    other = choosing.choose(hand, list(things(hand)[0]))
    assert other.edit is None
    assert choosing.choose(other, list(hand.parts)).edit == hand.edit


def test_painting_begins_a_region_of_its_own(hand):
    session = choosing.paint(hand, event(rle=painted(hand)))
    assert session.where == "painted" and session.edit is None
    _, H, W = app.renderer.generator(session.recipe).layers[session.layer]
    assert session.region().mask == Mask((H, W), painted(hand))
    assert choosing.paint(session, event(rle=str(H * W))).region() is None  # nothing painted any more


def test_a_painted_piece_of_a_thing_can_be_kept(hand):
    hand = hand.take_up(hand.active)  # with the place that it is for
    session = choosing.place(choosing.paint(hand, event(rle=painted(hand))), event(where="piece"))
    assert session.edit.region.parts == hand.parts and session.edit.region.keep is not None
    assert choosing.place(session, event(where="parts")).edit.region == hand.edit.region


def test_an_edit_of_an_appearance_follows_the_stroke(hand):
    stroke = choosing.paint(hand, event(rle=painted(hand)))
    where = stroke.layer, stroke.factors_id, stroke.region()
    session = stroke.append(Edit("add", *where, appearance=1, strength=2.0))
    _, H, W = app.renderer.generator(session.recipe).layers[session.layer]
    more = choosing.paint(session, event(rle=f"0,{H * W}"))
    assert len(more.recipe.edits) == 2 and more.edit.region.mask == Mask((H, W), f"0,{H * W}")


MISTAKES = {
    "part": lambda s: choosing.pick(s, event(part=999)),
    "part kind": lambda s: choosing.pick(s, event(part="1; drop")),
    "no part": lambda s: choosing.pick(s, event()),
    "rle": lambda s: choosing.paint(s, event(rle="1,2,3")),
    "rle kind": lambda s: choosing.paint(s, event(rle=[1, 2])),
    "rle length": lambda s: choosing.paint(s, event(rle="1," * 100_000)),
    "where": lambda s: choosing.place(s, event(where="nowhere")),
    "parts": lambda s: choosing.place(s, event(parts="all")),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_sentence(hand, kind):
    with pytest.raises(ValueError) as caught:
        MISTAKES[kind](hand)
    assert 10 < len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_several_things_are_called_by_their_names():
    factors = app.pictures.factors(app.opening.start())
    first, second = [thing for thing in factors.things if len(thing) > 1][:2]
    both = sorted({*first, *second})
    assert factors.region_name(both) == ", ".join(map(factors.region_name, (first, second)))
    part = factors.region_name([*first, second[0]])
    assert part == f"{factors.region_name(first)}, {factors.part_name(second[0])}"
