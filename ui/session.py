"""What one visitor has in hand, as a value: the recipe, what is chosen, undo. Knows nothing of Gradio or pictures."""

from dataclasses import dataclass, replace
from typing import Self

from panda_core.recipes import Edit, Mask, Recipe, Region, parse_recipe

UNDO_STEPS = 60
SEEDS_KEPT = 8
WHERE = ("parts", "piece", "painted", "all")  # the chosen parts, the painted piece of them, what is painted, everywhere


@dataclass(frozen=True)
class Session:
    """Every method returns a new session; a wrong value raises ValueError and nothing has changed.

    layer: where new edits go. where, parts, mask: the region chosen for the next look. active: the edit that the slider
    moves. tag: what the last change was, so that one drag is one step of undo. seeds: visited, newest first. notice:
    one sentence to show until the next change. moved_at: when the slider last moved, on the server's clock.
    """

    recipe: Recipe
    layer: int
    where: str = "parts"
    parts: tuple[int, ...] = ()
    mask: Mask | None = None
    active: int | None = None
    past: tuple[Recipe, ...] = ()
    future: tuple[Recipe, ...] = ()
    tag: str = ""
    seeds: tuple[int, ...] = ()
    notice: str = ""
    moved_at: float = 0.0

    @classmethod
    def opened(cls, recipe: Recipe, layer: int) -> Self:
        """A session that begins with this recipe, its last edit in hand."""
        fresh = cls(recipe, layer, seeds=(recipe.seed,))
        return fresh.take_up(len(recipe.edits) - 1) if recipe.edits else fresh

    @property
    def edit(self) -> Edit | None:
        """The edit that the slider moves."""
        return None if self.active is None else self.recipe.edits[self.active]

    def region(self) -> Region | None:
        """The region chosen, or None where there is nothing in it yet."""
        if self.where == "all":
            return Region(all=True)
        if self.where == "painted":
            return None if self.mask is None else Region(mask=self.mask)
        keep = self.mask if self.where == "piece" else None
        return Region(self.parts, keep=keep) if self.parts else None

    # ---- choosing ----

    def choose(self, parts: tuple[int, ...]) -> Self:
        """Other parts: their own edit comes into hand, if there is one."""
        return replace(self, parts=parts, where="parts", mask=None, tag="").find_edit()

    def choose_layer(self, layer: int) -> Self:
        """Another layer has other parts and another grid."""
        return replace(self, layer=layer, parts=(), mask=None, where="parts", active=None, tag="")

    def find_edit(self) -> Self:
        region = self.region()
        same = [i for i, e in enumerate(self.recipe.edits) if (e.layer, e.region) == (self.layer, region)]
        return replace(self, active=same[-1] if same else None)

    def take_up(self, index: int) -> Self:
        """Edit `index` comes into hand, with its layer and region."""
        edit = self.recipe.edits[self.check_index(index)]
        region = edit.region
        drawn = region.mask or region.keep
        where = "all" if region.all else "painted" if region.mask else "piece" if region.keep else "parts"
        return replace(
            self, layer=edit.layer, parts=region.parts, mask=drawn, where=where, active=index, tag=""
        )  # fmt: skip

    def let_go(self) -> Self:
        """The next look becomes an edit of its own."""
        return replace(self, active=None, tag="")

    def restrict(self, where: str, mask: Mask | None) -> Self:
        """Another kind of region or another drawing; the edit in hand follows."""
        if where not in WHERE:
            raise ValueError(f"where is {where!r}; it must be one of {', '.join(WHERE)}.")
        changed = replace(self, where=where, mask=mask)
        if where == "piece" and self.active is None:  # the edit of the whole parts is the one to cut down
            changed = replace(changed, mask=None).find_edit()
            return changed if mask is None else replace(changed, mask=mask).restrict_edit()
        return changed.restrict_edit()

    def restrict_edit(self) -> Self:
        """The edit in hand gets the region chosen, if it can."""
        region = self.region()
        if self.edit is None or region in (None, self.edit.region) or self.edit.layer != self.layer:
            return replace(self, tag="")
        return self.put(self.active, replace(self.edit, region=region), f"region {self.active}")

    # ---- changing the recipe ----

    def change(self, recipe: Recipe, tag: str = "") -> Self:
        """Another recipe, checked like a stranger's; the old one can be had back. Equal tags in a row are one step."""
        recipe = parse_recipe(recipe.to_json())
        if recipe == self.recipe:
            return self
        past = self.past if tag and tag == self.tag else (*self.past, self.recipe)[-UNDO_STEPS:]
        return replace(self, recipe=recipe, past=past, future=(), tag=tag)

    def put(self, index: int, edit: Edit, tag: str = "") -> Self:
        return self.change(self.recipe.with_edit(self.check_index(index), edit), tag)

    def add(self, edit: Edit) -> Self:
        """A look: in place of the one in hand, or as a new edit."""
        if self.active is not None:
            return self.put(self.active, edit)
        added = self.change(replace(self.recipe, edits=(*self.recipe.edits, edit)))
        return replace(added, active=len(added.recipe.edits) - 1)

    def set_strength(self, strength: float) -> Self:
        if self.edit is None:
            raise ValueError("There is no edit to make stronger yet; choose a look first.")
        return self.put(self.active, self.edit.with_strength(strength), f"strength {self.active}")

    def switch(self, index: int) -> Self:
        edit = self.recipe.edits[self.check_index(index)]
        return self.put(index, replace(edit, on=not edit.on))

    def move(self, index: int, steps: int) -> Self:
        """One edit up or down the list; at its end it stays."""
        edits, to = list(self.recipe.edits), self.check_index(index) + steps
        if not 0 <= to < len(edits):
            return self
        edits[index], edits[to] = edits[to], edits[index]
        active = {index: to, to: index}.get(self.active, self.active)
        return replace(self.change(replace(self.recipe, edits=tuple(edits))), active=active)

    def remove(self, index: int) -> Self:
        edits = list(self.recipe.edits)
        del edits[self.check_index(index)]
        active = self.active
        if active is not None and active >= index:
            active = None if active == index else active - 1
        return replace(self.change(replace(self.recipe, edits=tuple(edits))), active=active)

    def reset(self) -> Self:
        """No edits; the same picture."""
        return replace(self.change(replace(self.recipe, edits=())), active=None)

    def go_to(self, seed: int) -> Self:
        """Another picture; the edits stay."""
        moved = self.change(replace(self.recipe, seed=seed))
        seeds = moved.seeds if seed in moved.seeds else (seed, *moved.seeds)[:SEEDS_KEPT]
        return replace(moved, seeds=seeds)

    def set_psi(self, psi: float) -> Self:
        return self.change(replace(self.recipe, psi=psi), "psi")

    def after(self, other: Self) -> Self:
        """This session with the past and the seeds of another: a recipe opened from a file can be undone."""
        past = (*other.past, other.recipe)[-UNDO_STEPS:]
        seeds = tuple(dict.fromkeys((*self.seeds, *other.seeds)))[:SEEDS_KEPT]
        return replace(self, past=past, seeds=seeds)

    def undo(self) -> Self:
        return self._travel(self.past, self.future, forward=False)

    def redo(self) -> Self:
        return self._travel(self.past, self.future, forward=True)

    def _travel(self, past: tuple[Recipe, ...], future: tuple[Recipe, ...], forward: bool) -> Self:
        if not (future if forward else past):
            return self
        if forward:
            recipe, past, future = future[0], (*past, self.recipe), future[1:]
        else:
            recipe, past, future = past[-1], past[:-1], (self.recipe, *future)
        there = replace(self, recipe=recipe, past=past, future=future, tag="", active=None)
        count = len(recipe.edits)
        if not count or recipe.generator != self.recipe.generator:
            return there
        changed = [i for i in range(count) if recipe.edits[i] not in self.recipe.edits]
        fallback = self.active if self.active is not None and self.active < count else count - 1
        return there.take_up(changed[-1] if changed else fallback)

    def check_index(self, index: int) -> int:
        if type(index) is not int or not 0 <= index < len(self.recipe.edits):
            raise ValueError(f"edit is {index!r:.20}; the list has {len(self.recipe.edits)} edits.")
        return index
