"""Which picture: a new one, a seed, those visited, and how varied they are."""

import random

import gradio as gr

from panda_core.reading import read_field
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from .binding import Page
from .components.plain import Slider
from .given import sent


class Seeds(Room):
    def lay_out(self, page: Page) -> None:
        with gr.Row(elem_classes="seeds", equal_height=True):
            dice = gr.Button("New picture", variant="primary", min_width=110, size="md", elem_id="dice")
            seed = gr.Number(label="Seed", precision=0, min_width=110, interactive=True, elem_id="seed")
            page.tiles("Pictures visited", self.pictures.history, open_seed, elem_id="visited")
        page.follow(seed, lambda s: None if s.recipe.source else s.recipe.seed)
        page.on(dice.click, roll, trigger_mode="multiple")
        page.on(seed.submit, go_to_seed, seed)
        page.on(seed.blur, go_to_seed, seed)

    def lay_out_settings(self, page: Page) -> None:
        """Truncation, class, and the layer whose parts are shown."""
        layer = gr.Radio([], label="Size of the parts", elem_id="layer", interactive=True)
        psi = Slider(0, 1, 0.8, step=0.05, label="Variety (ψ)", elem_id="psi", interactive=True, buttons=[])
        kind = gr.Dropdown([], label="Class", visible=False, interactive=True, allow_custom_value=True, elem_id="class",
                           info="Choose, or type a name or a number")  # fmt: skip
        page.field(layer, self.show_layer, self.set_layer)
        page.field(psi, self.show_psi, self.set_psi)
        page.field(kind, self.show_class, self.set_class)

    def show_layer(self, session: Session):
        return gr.Radio(choices=layer_words(session), value=session.layer)

    def set_layer(self, session: Session, layer: int) -> Session:
        if type(layer) is not int or layer not in session.layers:
            raise ValueError(f"layer is {layer!r:.20}; this page edits {', '.join(map(str, session.layers))}.")
        return session.choose_layer(layer)

    def show_psi(self, session: Session):
        limits = self.renderer.generator(session.recipe).psi_range
        if limits is None or session.recipe.source:
            return gr.Slider(visible=False)
        psi = session.recipe.psi
        return gr.Slider(visible=True, minimum=limits[0], maximum=max(limits[1], psi), value=psi)

    def set_psi(self, session: Session, psi: float) -> Session:
        limits = self.renderer.generator(session.recipe).psi_range or (0.0, 2.0)
        return session.set_psi(read_field("ψ", psi, *limits))

    # ---- classes ----

    def class_names(self, session: Session) -> list[str]:
        """What the generator's classes are called, with their numbers; empty for one without classes."""
        generator = self.renderer.generator(session.recipe)
        names = generator.class_names
        return [f"{i}: {names[i]}" if names else str(i) for i in range(generator.n_classes)]

    def show_class(self, session: Session):
        names, now = self.class_names(session), session.recipe.class_index
        return gr.Dropdown(choices=names, value=names[now] if names and now is not None else None, visible=bool(names))

    def set_class(self, session: Session, given: str) -> Session:
        """A class by its line in the list, its number, or any part of its name."""
        names, wanted = self.class_names(session), str(given or "").strip().lower()
        lower = [name.lower() for name in names] if wanted else []
        exact = [i for i, name in enumerate(lower) if wanted in (name, str(i), name.partition(": ")[2])]
        found = exact or [i for i, name in enumerate(lower) if wanted in name]
        if not found:
            raise ValueError(f"class is {wanted!r:.40}; choose one of the {len(names)} in the list, or its number.")
        return session.set_class(found[0])


def layer_words(session: Session) -> list[tuple[str, int]]:
    """The layers in words, coarse first."""
    if len(session.layers) == 1:
        return [(f"The only one ({session.layer})", session.layer)]
    coarse, *between, fine = session.layers
    middle = [(f"Medium (layer {n})", n) for n in between]
    return [(f"Large (layer {coarse})", coarse), *middle, (f"Small (layer {fine})", fine)]


def roll(session: Session) -> Session:
    return session.go_to(random.randrange(100_000))  # short enough to say aloud; any other can be typed


def open_seed(session: Session, evt: gr.EventData) -> Session:
    """A tile of another picture was clicked: it comes into the panel, as it was left."""
    return go_to_seed(session, sent(evt, "seed"))


def go_to_seed(session: Session, seed: float | None, with_edits: bool = False) -> Session | None:
    if seed is None and session.recipe.source:  # an own picture has none
        return None
    return session.go_to(read_field("Seed", seed, 0, 2**32 - 1, whole=True), with_edits)
