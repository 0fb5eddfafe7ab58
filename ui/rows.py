"""The lines of the list of edits: an edit each, or a named edit, whose several edits are one line with one strength."""

from collections.abc import Sequence
from dataclasses import dataclass

from panda_core.presets import Preset
from panda_core.recipes import Edit

MOST = 2.0  # times as strong as named that several edits together can be
LEAST = 0.001  # and the least: at 0 "thick brows" could not be told from "thin brows"


@dataclass(frozen=True)
class Row:
    """Edits `start` to `stop` - 1 of a recipe; those of a named edit are `times` as strong as `preset`'s."""

    start: int
    stop: int
    preset: Preset | None = None
    times: float = 1.0

    @property
    def is_one(self) -> bool:
        """Whether this is a single edit, with a strength in units of its own."""
        return self.stop - self.start == 1


def rows_of(edits: Sequence[Edit], presets: Sequence[Preset]) -> tuple[Row, ...]:
    """The lines of a list of edits: a recipe does not say which belong together, but those of a preset tell."""
    rows: list[Row] = []
    while (at := rows[-1].stop if rows else 0) < len(edits):
        found = [
            Row(at, at + len(preset.edits), preset, times)
            for preset in presets
            if (times := times_as_strong(edits[at : at + len(preset.edits)], preset.edits))
        ]
        rows.append(max(found, key=lambda row: row.stop, default=Row(at, at + 1)))
    return tuple(rows)


def times_as_strong(edits: Sequence[Edit], named: Sequence[Edit]) -> float | None:
    """How many times as strong as the named edits these are, if that is all they differ in; else None."""
    alike = len(edits) == len(named) and all(what_and_where(e) == what_and_where(n) for e, n in zip(edits, named))
    if not alike or len({e.on for e in edits}) > 1:
        return None
    sizes = [(size(e), size(n)) for e, n in zip(edits, named)]
    mine, theirs = max(sizes, key=lambda pair: abs(pair[1]))
    times = mine / theirs if theirs else 0.0
    if times <= 0 or (len(named) > 1 and times > 1.01 * MOST) or any(abs(e - times * n) > 1e-4 for e, n in sizes):
        return None
    return round(times, 3)


def what_and_where(edit: Edit) -> tuple:
    return edit.appearance, edit.source, edit.target, edit.layer, edit.factors, edit.strength is None, edit.region


def size(edit: Edit) -> float:
    return edit.alpha if edit.strength is None else edit.strength
