"""The same edits on other pictures, called directly."""

import dataclasses

import pytest

import app
from panda_core.jpegs import small
from panda_core.progress import Cancelled
from panda_core.studio.session import Session
from panda_core.studio.trying import OTHERS
from ui.panels.trying import TryingPanel, open_with_edits

from .page import event, go_on

panel = TryingPanel(app.pictures)


@pytest.fixture(scope="module")
def told() -> list[int]:
    """What the work of `tried` reported."""
    return []


@pytest.fixture(scope="module")
def tried(hand, told) -> Session:
    made = panel.try_others(hand, lambda progress: told.append(progress.done) or True)
    return hand.keep_made(panel.try_others, made)


def test_the_edits_are_shown_on_the_sixteen_seeds_that_follow(hand, tried):
    made = panel.tried(tried)
    assert [item["seed"] for item in made] == [hand.recipe.seed + 1 + i for i in range(16)]
    elsewhere = dataclasses.replace(hand.recipe, seed=made[4]["seed"])
    assert made[4]["image"] == small(app.renderer.image(elsewhere))[0]
    assert made[4]["before"] == small(app.renderer.base(elsewhere))[0]


def test_a_click_opens_that_picture_with_the_edits(hand, tried):
    opened = open_with_edits(tried, event(seed=hand.recipe.seed + 5))
    assert opened.recipe == dataclasses.replace(hand.recipe, seed=hand.recipe.seed + 5)
    assert [item["on"] for item in panel.tiles(opened)["items"]].count(True) == 1


def test_progress_is_told_picture_by_picture(tried, told):
    assert told == list(range(OTHERS))


def test_an_edit_of_no_strength_is_seen_nowhere_and_later_changes_are_told(hand):
    still = hand.set_strength(0.0)
    shown = still.keep_made(panel.try_others, panel.try_others(still, go_on))
    assert "Seen in 0 of 16" in panel.words(shown) and "changed since" not in panel.words(shown)
    assert "changed since" in panel.words(shown.set_strength(1.0))


def test_it_can_be_cancelled(hand):
    other = hand.go_to(123_456, with_edits=True)
    with pytest.raises(Cancelled):
        panel.try_others(other, lambda progress: progress.done < 2)
    assert panel.tried(other) == []


def test_without_edits_there_is_nothing_to_try(hand):
    with pytest.raises(ValueError, match="choose a change first"):
        panel.try_others(hand.reset(), go_on)
