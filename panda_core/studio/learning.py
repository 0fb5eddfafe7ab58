"""Which parts and appearances are in use; learning others, opening files of them, and names for them."""

from contextlib import suppress
from dataclasses import replace

from ..factors import Factors, region_key
from ..fitting import fit_id, fit_layer
from ..progress import Cancelled
from ..reading import read_field
from ..recipes import Recipe
from .opening import MAX_PARTS, MAX_SAMPLES, fit_layers, until
from .pictures import Names
from .room import Room
from .session import Session


class Learning(Room):
    def known(self, session: Session) -> dict[str, Factors]:
        """Id -> factors of all at hand for this generator; those that ship come first."""
        name, found = session.recipe.generator, {}
        known = [factors_id for generator, _, factors_id in session.factors if generator == name]
        for factors_id in dict.fromkeys((*self.renderer.catalogue.available(name).values(), *known)):
            with suppress(ValueError, Cancelled):  # what the disk has no more is not listed, rather than fitted again
                found[factors_id] = self.renderer.catalogue.factors(name, factors_id, until(0.0))
        return found

    def choose(self, session: Session, factors_id: str) -> Session:
        known = self.known(session)
        if factors_id not in known:
            raise ValueError(f"factors is {factors_id!r:.60}; choose one of the list.")
        return session.use_factors(known[factors_id].info.layer, factors_id)

    def learn(self, session: Session, layer, parts, samples, report) -> tuple[str, int, str]:
        """Fit factors for this generator, of all its classes; returns what `use` takes."""
        recipe = replace(session.recipe, class_index=None)
        factors = self.fitted(recipe, layer, parts, None, samples, 0, report)
        return recipe.generator, factors.info.layer, fit_id(factors)

    def fitted(self, recipe: Recipe, layer, parts, appearances, samples, seed, report) -> Factors:
        """Factors of the recipe's generator, ψ and class, now in the catalogue. 0 or None: as many as it takes.

        Raises: ValueError for numbers out of range; Cancelled.
        """
        name, loaded = recipe.generator, self.renderer.catalogue.generator(recipe.generator)
        layers, n_classes = fit_layers(loaded.generator), loaded.generator.n_classes
        if layer not in layers:
            raise ValueError(f"layer is {layer!r:.20}; parts can be learned at {', '.join(map(str, layers))}.")
        C, H, W = loaded.generator.layers[int(layer)]
        class_index = recipe.class_index if n_classes else None
        if class_index is not None:
            class_index = read_field("class", class_index, 0, n_classes - 1, whole=True)
        R_C = read_field("appearances", appearances, 1, C, whole=True) if appearances else None
        R_S = read_field("parts", parts, 1, min(MAX_PARTS, H * W), whole=True)
        N = read_field("samples", samples, 2, MAX_SAMPLES, whole=True) if samples else None
        seed = read_field("seed", seed or 0, 0, 2**31 - 1, whole=True)
        factors = fit_layer(name, loaded, int(layer), R_C, R_S, N, seed, recipe.psi, class_index, report)
        self.renderer.catalogue.add_fit(name, factors)
        return factors

    def add_own(self, recipe: Recipe, factors: Factors) -> tuple[str, int, str]:
        """A stranger's factors, held to the same limits as a fit; returns what `use` takes."""
        generator = self.renderer.generator(replace(recipe, weights=None))
        layers, R_S = fit_layers(generator), factors.parts.shape[1]
        if factors.info.layer not in layers or R_S > MAX_PARTS:
            raise ValueError(
                f"The factors have {R_S} parts at layer {factors.info.layer}; this page takes at most {MAX_PARTS}, "
                f"at {', '.join(map(str, layers))}."
            )
        A = factors.appearances
        if not factors.info.is_raw and float((A.t() @ A - A.new_ones(len(A.t())).diag()).abs().max()) > 0.01:
            raise ValueError("The appearances in the file are not orthonormal; it was not saved by this page.")
        return recipe.generator, factors.info.layer, self.renderer.catalogue.add_own(recipe.generator, factors)

    def rename(self, session: Session, name: str) -> Session:
        """What is chosen gets a name, for this visit and in a file of these factors; edits mean what they meant."""
        if not session.parts:
            raise ValueError("Choose a thing or a part of the picture to give it a name.")
        factors = self.pictures.factors(session)
        name = str(name or "").strip()
        renamed = factors.rename("part", session.parts[0], name).info  # refuses what is no name
        if len(session.parts) == 1:
            names = Names(renamed.part_names, factors.info.thing_names)
        else:
            others = {key: old for key, old in factors.info.thing_names.items() if key != region_key(session.parts)}
            names = Names(factors.info.part_names, others | ({region_key(session.parts): name} if name else {}))
        return session.put_aside("names", names, session.factors_id)


def use(session: Session, found: tuple[str, int, str]) -> Session:
    """Newly found factors, (generator, layer, id), go into the list, and into use if their generator is in hand."""
    generator, layer, factors_id = found
    ours = generator == session.recipe.generator
    return session.use_factors(layer, factors_id) if ours else session.know_factors(*found)
