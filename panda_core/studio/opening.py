"""Where a visit begins: the start page, links, recipes and files from outside, held to what this machine may do."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..effects import most_changed_thing, most_striking
from ..generators.registry import GENERATORS, GeneratorSpec
from ..generators.split import SplitGenerator
from ..hub.files import find_local
from ..links import decode_link
from ..ops import Edit
from ..progress import Cancelled, Progress
from ..recipes import Recipe, parse_recipe
from ..regions import Region
from ..rendering import NEEDS_FILE, Renderer
from ..runtime.kept import Kept
from .session import SHARED, Session

MAX_PARTS, MAX_SAMPLES = 64, 4096  # of a fit
MAX_REFIT, REFITS = 60.0, threading.BoundedSemaphore(1)  # seconds of one that a link asks for; how many at once


class Opening:
    """Makes sessions of recipes, once everything in them is known to work here."""

    def __init__(self, renderer: Renderer):
        self.renderer, self._kept = renderer, Kept(16)

    @property
    def catalogue(self):
        return self.renderer.catalogue

    # ---- what is here ----

    def offered(self) -> dict[str, str]:
        """Title -> name of the generators whose weights are here."""
        return {GENERATORS[name].title: name for name, path in self.catalogue.here().items() if path is not None}

    def default(self, recipe: Recipe) -> tuple[int, str]:
        """(layer, factors id) where programs that name none mean to work."""
        found, wished = self.catalogue.available(recipe.generator), self.catalogue.default_layer(recipe.generator)
        if not found:
            raise ValueError(f"No parts are known for {recipe.generator} yet; learn some first (on the page: Explore).")
        layer = wished if wished in found else list(found)[-1]
        return layer, found[layer]

    # ---- sessions ----

    def start(self, name: str | None = None) -> Session:
        """The start page: a picture that already shows an edit. start.json beside the weights says which."""
        return self._kept.get(name, lambda: self._start(name))

    def _start(self, name: str | None) -> Session:
        name = name or next(iter(self.offered().values()), next(iter(GENERATORS)))
        spec = self.catalogue.spec(name)
        path = start_file(spec)
        if path.is_file():
            try:
                return self.opened(parse_recipe(path.read_bytes()))
            except ValueError:  # made for other weights: an edit of these is found below
                pass
        n_classes = self.catalogue.generator(name).generator.n_classes
        recipe = Recipe(name, psi=spec.default_psi, seed=3, class_index=0 if n_classes else None)
        layer, factors_id = self.default(recipe)
        parts = range(self.catalogue.factors(name, factors_id).parts.shape[1])
        templates = [Edit("add", layer, factors_id, Region((part,))) for part in parts]
        first = [self.renderer.suggestions(recipe, template, 1)[0] for template in templates]
        session = self.session(recipe).append(most_striking(self.renderer, recipe, first))
        return replace(session, past=(), tag="")

    def session(self, recipe: Recipe) -> Session:
        """A session that begins with a recipe of which it is known that it works here."""
        return Session.opened(recipe, self.default(recipe)[0], self.catalogue.available(recipe.generator))

    def opened(self, recipe: Recipe, own: tuple[str, ...] = ()) -> Session:
        """A session of a recipe from outside, once it has been rendered here.

        own: ids of factors that came with it, and of pictures that are the visitor's own.

        Raises: ValueError if it needs factors that this page does not have, or a download, or does not fit the
        generator.
        """
        notice = self.check(recipe, own)
        session = self.session(replace(recipe, weights=None))
        if session.edit and session.where == "parts" and not session.parts:
            where = session.active, session.layer, session.factors_id
            session = replace(session, parts=most_changed_thing(self.renderer, session.recipe, *where))
        return replace(session, notice=notice)

    def check(self, recipe: Recipe, own: tuple[str, ...] = ()) -> str:
        """Render a recipe from outside, so that whatever is wrong with it is said now; a sentence for the visitor.

        Raises: ValueError, as `opened`; factors are needed for edits only.
        """
        self.check_here(recipe.generator)
        if recipe.sources() - set(own):  # it may be here, for another visitor
            raise ValueError(NEEDS_FILE)
        used = {edit.factors for edit in recipe.edits} - set(own)
        for factors_id in used:
            check_factors_id(factors_id)
        again = [i for i in used if i.startswith("fit:") and not self.catalogue.knows(recipe.generator, i)]
        for factors_id in again:
            self._refit(recipe, factors_id)
        self.renderer.image(recipe)
        return "The parts of this picture were learned again, as its link says." if again else ""

    def check_here(self, name: str) -> None:
        """Raises: ValueError if a generator has to be downloaded, which nothing from outside may cause."""
        spec = self.catalogue.spec(name)
        if name in GENERATORS and find_local(spec.sources) is None:
            where = (
                "this copy of the page does not have"
                if spec.bundled
                else "has to be downloaded first: open it under Picture settings, Generator, and try again"
            )
            raise ValueError(f"The picture is made by {spec.title}, which {where}.")

    def _refit(self, recipe: Recipe, factors_id: str) -> None:
        """A fit that a stranger's recipe asks for: one at a time, and not for long."""
        layers = fit_layers(self.renderer.generator(recipe))
        layer = int(factors_id.partition(":")[2].split(",")[0])
        if layer not in layers:
            raise ValueError(
                f"The recipe asks for a fit at layer {layer}; here it can be {', '.join(map(str, layers))}."
            )
        if not REFITS.acquire(blocking=False):
            raise ValueError("Parts are being learned for somebody else's recipe; open yours again in a minute.")
        try:
            self.catalogue.factors(recipe.generator, factors_id, until(MAX_REFIT))
        except Cancelled as error:
            raise ValueError(f"The recipe's parts take more than {MAX_REFIT:.0f} seconds to learn here.") from error
        finally:
            REFITS.release()

    def open_link(self, text: str | None) -> Session:
        """The recipe of a link; without one, or with a sentence if the link was no good, the start page."""
        if text is None:
            return self.start()
        try:
            return replace(self.opened(decode_link(text)), tag=SHARED)
        except ValueError as error:
            return replace(self.start(), notice=f"The link could not be opened: {error}")


def start_file(spec: GeneratorSpec) -> Path:
    return spec.folder() / "start.json"


def until(seconds: float) -> Callable[[Progress], bool]:
    """A report that stops the work after so many seconds."""
    end = time.monotonic() + seconds
    return lambda progress: time.monotonic() < end


def fit_layers(generator: SplitGenerator) -> list[int]:
    """Where parts can be learned: editable layers with a grid worth the name, and not too fine for a page."""
    return [l for l in generator.editable_layers if 16 < generator.layers[l][1] * generator.layers[l][2] <= 2**14]


def check_factors_id(factors_id: str) -> None:
    """What a stranger's recipe may make this machine do: a fit that takes seconds, no more.

    Factors on the Hub are held to the repositories of the generator's row by the catalogue.
    """
    scheme, _, rest = factors_id.partition(":")
    if scheme == "fit":
        _, _, R_S, samples, *_ = rest.split(",")
        if int(R_S) > MAX_PARTS or (samples != "auto" and int(samples) > MAX_SAMPLES):
            raise ValueError(
                f"The recipe asks for a fit of {R_S} parts from {samples} samples; "
                f"this page fits at most {MAX_PARTS} from {MAX_SAMPLES}."
            )
    elif scheme == "local":
        raise ValueError("The recipe uses its maker's own parts; open their file first (under Explore), then its PNG.")
