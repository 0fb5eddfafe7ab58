"""The Factors panel: parts and appearances learned on demand, named, saved and opened again."""

import gradio as gr

from panda_core.catalogue import fit_id, fit_layer

from . import view
from .page import Page, current
from .session import Session


def factors_panel(page: Page) -> None:
    with gr.Row(equal_height=False):
        layer = gr.Dropdown([], label="Layer", interactive=True, min_width=120, elem_id="fit-layer")
        parts = gr.Slider(2, view.MOST_PARTS, 8, step=1, label="Parts", interactive=True, min_width=120, buttons=[])
    fit = gr.Button("Learn parts", size="sm", elem_id="fit")
    page.job(fit.click, learn, layer, parts, done=use)
    page.follow(layer, lambda s: gr.Dropdown(choices=fit_layers(s), value=s.layer))


def fit_layers(session: Session) -> list[tuple[str, int]]:
    """Every layer with a grid of parts, by its size."""
    shapes = view.renderer.generator(session.recipe).layers
    return [(f"{layer}: {H} × {W}", layer) for layer, (_, H, W) in shapes.items() if H * W > 16]


def learn(session: Session, layer: int, parts: int, report) -> str:
    """Fit factors for this generator; returns their id."""
    recipe, name = session.recipe, session.recipe.generator
    loaded = view.renderer.catalogue.generator(name)
    factors = fit_layer(name, loaded, layer, R_S=parts, psi=recipe.psi, class_index=recipe.class_index, report=report)
    view.renderer.catalogue.add(name, fit_id(factors), factors)
    return f"{layer} {fit_id(factors)}"


def use(session: Session, learned: str) -> Session:
    layer, _, factors_id = learned.partition(" ")
    return current(session).use_factors(int(layer), factors_id)
