"""The lines of the list of edits, from nothing but a recipe's edits and the presets known."""

import dataclasses

import pytest
from panda_core.presets import Preset

from panda_core.regions import Region
from tests.helpers import add_edit
from ui.rows import LEAST, MOST, Row, rows_of

SMILE = Preset("smile", (add_edit(3, 2.5), add_edit(5, -0.4), add_edit(3, 9.0, appearance=4)))
FROWN = Preset("frown", (add_edit(3, -2.5), add_edit(5, 0.4), add_edit(3, -9.0, appearance=4)))
GRIN = Preset("grin", (*SMILE.edits, add_edit(3, 1.0, appearance=6)))
PALE = Preset("pale", (dataclasses.replace(add_edit(3, appearance=9), strength=None, alpha=4.0),))
KNOWN = (SMILE, FROWN, GRIN, PALE)
OTHER = add_edit(5, 1.0, region=Region(all=True))


@pytest.mark.parametrize("times", [LEAST, 0.05, 0.1, 0.7, 1.0, 1.3, 1.95, MOST])
@pytest.mark.parametrize("preset", [SMILE, FROWN, GRIN])
def test_a_named_edit_is_known_at_every_strength_that_it_can_have(preset, times):
    edits = (OTHER, *(edit.scaled(times) for edit in preset.edits), OTHER)
    first, row, last = rows_of(edits, KNOWN)
    assert (row.start, row.stop, row.preset) == (1, 1 + len(preset.edits), preset)
    assert row.times == pytest.approx(times, abs=1e-3)
    assert (first, last) == (Row(0, 1), Row(row.stop, row.stop + 1))


@pytest.mark.parametrize("times", [0.0, -1.0, 2.5])
def test_edits_beyond_the_slider_are_lines_of_their_own(times):
    assert len(rows_of([edit.scaled(times) for edit in SMILE.edits], [SMILE])) == 3


def test_edits_that_are_not_together_in_order_and_alike_are_lines_of_their_own():
    a, b, c = SMILE.edits
    for edits in (
        [a, b],
        [b, a, c],
        [a, OTHER, b, c],
        [a, b.scaled(1.01), c],
        [a, dataclasses.replace(b, on=False), c],
    ):
        assert all(row.is_one for row in rows_of(edits, KNOWN))
    assert rows_of([dataclasses.replace(e, on=False) for e in SMILE.edits], KNOWN) == (Row(0, 3, SMILE, 1.0),)


@pytest.mark.parametrize("alpha, known", [(4.0, True), (0.5, True), (40.0, True), (-4.0, False), (0.0, False)])
def test_a_named_edit_that_is_a_single_one_has_its_own_strength(alpha, known):
    (row,) = rows_of([dataclasses.replace(PALE.edits[0], alpha=alpha)], KNOWN)
    assert row.is_one and (row.preset == PALE) is known
