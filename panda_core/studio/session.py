"""What one visitor has in hand, as a value: the recipe, what is chosen, undo. Knows nothing of Gradio or pictures."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from ..ops import Edit
from ..recipes import Recipe, parse_recipe
from ..regions import Mask, Region

UNDO_STEPS = 60
SEEDS_KEPT = 8
SHARED = "shared"  # the tag of a session that a link opened
WHERE = ("parts", "piece", "painted", "all")  # the chosen parts, the painted piece of them, what is painted, everywhere
OF_THE_VISIT = ("mine", "brought", "published", "reported")  # asides that hold whatever the generator
T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """Every method returns a new session; a wrong value raises ValueError and nothing has changed.

    layer: where new edits go. factors: all known, (generator, layer, id), those in use last. where, parts, mask,
    refine, k: the region chosen for the next edit. active: number of the edit that the slider moves. tag: what the last
    change was, so that one drag is one step of undo. seeds: visited, newest first. notice: one sentence to show until
    the next change. moved_at: when the slider last moved, on the server's clock. asides: what single rooms keep, and
    what each kind of long work (work_name) made last. view: what of a page is open, which nothing here looks at.
    """

    recipe: Recipe
    layer: int
    factors: tuple[tuple[str, int, str], ...]
    where: str = "parts"
    parts: tuple[int, ...] = ()
    mask: Mask | None = None
    refine: str = "none"
    k: int = 32
    active: int | None = None
    past: tuple[Recipe, ...] = ()
    future: tuple[Recipe, ...] = ()
    tag: str = ""
    seeds: tuple[int, ...] = ()
    notice: str = ""
    moved_at: float = 0.0
    asides: tuple[tuple[tuple[str, str], object], ...] = ()
    view: Hashable = None

    @classmethod
    def opened(cls, recipe: Recipe, layer: int, factors: dict[int, str]) -> Self:
        """A session that begins with this recipe, its last edit in hand. factors: layer -> id, of its generator."""
        known = tuple((recipe.generator, number, factors_id) for number, factors_id in factors.items())
        fresh = cls(recipe, layer, known, seeds=() if recipe.source else (recipe.seed,))
        return fresh.take_up(len(recipe.edits) - 1) if recipe.edits else fresh

    @property
    def layers(self) -> dict[int, str]:
        """Layer -> id of the factors in use there, for this generator, coarse layers first."""
        found = {layer: name for generator, layer, name in self.factors if generator == self.recipe.generator}
        return dict(sorted(found.items()))

    @property
    def factors_id(self) -> str:
        return self.layers[self.layer]

    @property
    def finest(self) -> tuple[int, str]:
        """(layer, factors id) of the finest grid with parts, where outlines and colours are best."""
        return max(self.layers.items())

    @property
    def edit(self) -> Edit | None:
        """The edit in hand."""
        return None if self.active is None else self.recipe.edits[self.active]

    def region(self) -> Region | None:
        """The region chosen, or None where there is nothing in it yet."""
        if self.where == "all":
            return Region(all=True)
        if self.where == "painted":
            return None if self.mask is None else Region(mask=self.mask)
        keep = self.mask if self.where == "piece" else None
        return Region(self.parts, self.refine, self.k, keep) if self.parts else None

    # ---- choosing ----

    def choose(self, parts: tuple[int, ...]) -> Self:
        """Other parts: their own edit comes into hand, if there is one."""
        return replace(self, parts=parts, where="parts", mask=None, tag="").find_edit()

    def choose_layer(self, layer: int) -> Self:
        """Another layer has other parts and another grid."""
        return replace(self, layer=layer, parts=(), mask=None, where="parts", active=None, tag="")

    def borrow_layer(self, layer: int) -> Self:
        """Another layer for what is painted there, until something else is chosen: `give_back_layer`."""
        there = self.give_back_layer()
        return there.choose_layer(layer).put_aside("borrowed", (there.layer, layer), self.recipe.generator)

    def give_back_layer(self) -> Self:
        """At the layer that was in use before, if this one is borrowed."""
        before, borrowed = self.aside("borrowed", (self.layer, None), self.recipe.generator)
        if borrowed != self.layer or before not in self.layers:
            return self
        return self.choose_layer(before).put_aside("borrowed", (before, None), self.recipe.generator)

    def use_factors(self, layer: int, factors_id: str) -> Self:
        """These factors at this layer from now on, and nothing chosen yet; edits made with others keep theirs."""
        if self.layers.get(layer) == factors_id:
            return self if self.layer == layer else self.choose_layer(layer)
        return self.know_factors(self.recipe.generator, layer, factors_id).choose_layer(layer)

    def know_factors(self, generator: str, layer: int, factors_id: str) -> Self:
        """These factors are those for this generator's layer from now on; the others are kept."""
        here = (generator, layer, factors_id)
        return replace(self, factors=(*(known for known in self.factors if known != here), here))

    def set_refine(self, refine: str, k: int) -> Self:
        """Parts as learned, or refined to each picture; the edit in hand follows."""
        return replace(self, refine=refine, k=k if refine == "graph" else 32).restrict_edit()

    def find_edit(self) -> Self:
        wanted = (self.layer, self.factors_id, self.region())
        same = [i for i, e in enumerate(self.recipe.edits) if (e.layer, e.factors, e.region) == wanted]
        return replace(self, active=same[-1] if same else None)

    def take_up(self, index: int) -> Self:
        """Edit `index` comes into hand, with its region. The layer, which says what a click means, stays; but what was
        drawn or refined goes on where that was done."""
        edit = self.recipe.edits[self.check_index(index)]
        region = edit.region
        if edit.layer != self.layer and region.parts and region == Region(region.parts):
            known = self.know_factors(self.recipe.generator, edit.layer, edit.factors)
            return replace(known, active=index, tag="")
        where = "all" if region.all else "painted" if region.mask else "piece" if region.keep else "parts"
        there = self.use_factors(edit.layer, edit.factors)
        there = replace(there, parts=region.parts, mask=region.mask or region.keep, where=where, active=index, tag="")
        return replace(there, refine=region.refine, k=region.k) if region.parts else there

    def stay_at(self, other: Self) -> Self:
        """With the place that is chosen in another session, whatever the edit in hand is for."""
        where = {name: getattr(other, name) for name in ("layer", "parts", "where", "mask", "refine", "k")}
        return replace(self, **where)

    def let_go(self) -> Self:
        """The next change becomes an edit of its own."""
        return replace(self, active=None, tag="")

    def aside(self, name: str, default: T | None = None, about: str = "") -> T | None:
        """What a room keeps under this name (about these factors), a frozen value."""
        return dict(self.asides).get((name, about), default)

    def put_aside(self, name: str, value: object, about: str = "") -> Self:
        return replace(self, asides=tuple((dict(self.asides) | {(name, about): value}).items()))

    def made(self, work: Callable) -> object:
        """What this work (a function) made last for the visitor; None if it has not been done."""
        return self.aside(work_name(work))

    def keep_made(self, work: Callable, result: object) -> Self:
        return self.put_aside(work_name(work), result)

    def restrict(self, where: str, mask: Mask | None) -> Self:
        """Another kind of region or another drawing; the edit in hand follows."""
        if where not in WHERE:
            raise ValueError(f"where is {where!r:.20}; it must be one of {', '.join(WHERE)}.")
        changed = replace(self, where=where, mask=mask)
        if where == "piece" and self.active is None:  # the edit of the whole parts is the one to cut down
            changed = replace(changed, mask=None).find_edit()
            return changed if mask is None else replace(changed, mask=mask).restrict_edit()
        return changed.restrict_edit()

    def restrict_edit(self) -> Self:
        """The edit in hand gets the region chosen, if it can."""
        region = self.region()
        if region and self.edit and self.edit.op == "vary":
            region = region.as_learned()  # variations are those of parts as learned
        if self.edit is None or region in (None, self.edit.region) or self.edit.layer != self.layer:
            return replace(self, tag="")
        if region.parts and self.edit.region.parts not in ((), region.parts):  # it acts elsewhere
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
        """In place of the edit in hand, if that is of the same kind, or as a new one."""
        return self.put(self.active, edit) if self.edit is not None and self.edit.op == edit.op else self.append(edit)

    def append(self, edit: Edit) -> Self:
        """A new edit at the end of the list, which comes into hand."""
        added = self.change(replace(self.recipe, edits=(*self.recipe.edits, edit)))
        return added.take_up(len(self.recipe.edits))

    def toggle(self, edit: Edit) -> Self:
        """An edit that is there goes; one like it becomes this one; else it is new."""
        like = self.recipe.find_like(edit)
        if like is None:
            return self.append(edit)
        return self.remove(like) if self.recipe.has(edit) else self.put(like, edit).take_up(like)

    def set_strength(self, strength: float) -> Self:
        """Of the edit in hand, whatever its op calls it."""
        if type(strength) not in (int, float) or strength != strength:
            raise ValueError(f"strength is {strength!r:.20}; it must be a number.")
        if self.edit is None:
            raise ValueError("There is no edit to make stronger yet; choose a change first.")
        return self.put(self.active, self.edit.with_size(strength), f"strength {self.active}")

    def switch(self, index: int) -> Self:
        """An edit on or off."""
        edit = self.recipe.edits[self.check_index(index)]
        return self.put(index, replace(edit, on=not edit.on))

    def move(self, index: int, steps: int) -> Self:
        """An edit up or down the list; at its end it stays."""
        order = list(range(len(self.recipe.edits)))
        order.remove(self.check_index(index))
        order.insert(max(index + steps, 0), index)
        return self._arranged(order)

    def remove(self, index: int) -> Self:
        self.check_index(index)
        return self._arranged([i for i in range(len(self.recipe.edits)) if i != index])

    def reset(self) -> Self:
        """No edits; the same picture."""
        return self._arranged([])

    def _arranged(self, order: list[int]) -> Self:
        """Those edits only, in that order; what is in hand stays so, if it is there."""
        changed = self.change(replace(self.recipe, edits=tuple(self.recipe.edits[i] for i in order)))
        return replace(changed, active=order.index(self.active) if self.active in order else None)

    def go_to(self, seed: int, with_edits: bool = False) -> Self:
        """Another picture, as it was left, or without edits; with_edits: with those in hand.

        What was painted on the one before goes, if no edit in hand has it.
        """
        here, bare = replace(self.recipe, seed=seed, source=None), {"edits": (), "weights": None}
        left = (r.edits for r in reversed(self.past) if replace(r, **bare) == replace(here, **bare))
        edits = here.edits if with_edits or here == self.recipe else next(left, ())
        moved = self.change(replace(here, edits=edits))
        if edits != self.recipe.edits:
            moved = replace(moved, active=None).find_edit()
        if moved.mask is not None and (moved.edit is None or moved.edit.region != moved.region()):
            moved = replace(moved, mask=None, where="parts").give_back_layer()
        seeds = moved.seeds if seed in moved.seeds else (seed, *moved.seeds)[:SEEDS_KEPT]
        return replace(moved, seeds=seeds)

    def set_psi(self, psi: float) -> Self:
        return self.change(replace(self.recipe, psi=psi), "psi")

    def set_class(self, class_index: int) -> Self:
        return self.change(replace(self.recipe, class_index=class_index, source=None))

    def after(self, other: Self) -> Self:
        """This session with the past, the view and the seeds of another, and with its asides, of another generator's
        those that are about the visit: a recipe opened from a file can be undone."""
        past, same = (*other.past, other.recipe)[-UNDO_STEPS:], other.recipe.generator == self.recipe.generator
        seeds = tuple(dict.fromkeys((*self.seeds, *(other.seeds if same else ()))))[:SEEDS_KEPT]
        factors = (*(known for known in other.factors if known not in self.factors), *self.factors)
        kept = {name: value for name, value in dict(other.asides).items() if same or name[0] in OF_THE_VISIT}
        asides = tuple((kept | dict(self.asides)).items())
        return replace(self, past=past, seeds=seeds, view=other.view, factors=factors, asides=asides)

    def undo(self) -> Self:
        if not self.past:
            return self
        return self._travel(self.past[-1], past=self.past[:-1], future=(self.recipe, *self.future))

    def redo(self) -> Self:
        if not self.future:
            return self
        return self._travel(self.future[0], past=(*self.past, self.recipe), future=self.future[1:])

    def _travel(self, recipe: Recipe, **steps: tuple[Recipe, ...]) -> Self:
        """To a recipe of the past or the future; the edit that differs comes into hand. Where one has just gone the
        chosen place stays."""
        there = replace(self, recipe=recipe, tag="", active=None, **steps)
        if there.layer not in there.layers:  # another generator's
            there = there.choose_layer(max(there.layers))
        changed = [i for i, edit in enumerate(recipe.edits) if edit not in self.recipe.edits]
        return there.take_up(changed[-1]) if changed else there.find_edit()

    def check_index(self, index: int) -> int:
        if type(index) is not int or not 0 <= index < len(self.recipe.edits):
            raise ValueError(f"edit is {index!r:.20}; the list has {len(self.recipe.edits)} edits.")
        return index


def work_name(work: Callable) -> str:
    """By which a piece of long work is known, also in another process."""
    return f"{work.__module__}.{work.__qualname__}"
