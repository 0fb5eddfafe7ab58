"""Folded away under every tab: the edits on other pictures, a sweep of the strength, parts refined to this picture."""

import base64
import io
from dataclasses import replace

import gradio as gr
import PIL.Image
import torch
import torch.nn.functional as F
from PIL import ImageSequence
from torch import Tensor

from panda_core.factors import scale_parts
from panda_core.images import animation, difference, overlay_parts, to_pil
from panda_core.recipes import Recipe, Region, parse_region
from panda_core.rendering import Renderer

from . import view
from .jobs import tell
from .page import Page, figure, open_seed, plainly, read_recipe, sentence, whole
from .session import Session
from .widgets import Slider

OTHERS, STRENGTHS = 16, 13  # pictures to try edits on; stops of a sweep, which goes there and back
METHODS = [("As learned", "none"), ("Refined", "dense"), ("Refined among neighbours", "graph")]


# ---- the same edits on other pictures ----


def others_panel(page: Page) -> None:
    with page.fold("On sixteen other pictures", elem_id="others"):
        go = gr.Button("Try these edits on sixteen other pictures", size="sm", elem_id="try")
        page.follow(go, lambda s: gr.Button(interactive=bool(s.recipe.ordered())))
        page.job(go.click, try_others)
        page.follow(gr.HTML(), others_words)
        page.tiles("These edits on other pictures", others_tiles, open_seed, later=False)


def try_others(session: Session, report) -> tuple:
    """Makes the next pictures with the edits in hand; returns their key."""
    recipe = session.recipe
    if not recipe.ordered():
        raise ValueError("There is no edit to try yet; choose a look first.")
    key = ("others", recipe)
    view.kept.get(key, lambda: on_others(recipe, report))
    return key


def on_others(recipe: Recipe, report) -> list[dict]:
    """Before and after of the OTHERS seeds that follow, and whether the edits can be seen there."""
    renderer, made = Renderer(view.renderer.catalogue, cached=8), []  # a cache of its own: other visitors keep theirs
    for i, seed in enumerate(view.seeds_from(recipe.seed + 1, OTHERS)):
        tell(report, "Trying other pictures", i, OTHERS)
        other = replace(recipe, seed=seed)
        before, after = renderer.base(other), renderer.image(other)
        change = difference(after, before)[0].cpu()
        where = [renderer.region_map(other, recipe.edits[k]).cpu() for k in recipe.ordered()]
        inside = [float(change[m >= min(0.5, float(m.max()))].mean()) for m in where]
        pair = view.small(torch.cat([before, after]))
        made.append({"seed": seed, "seen": min(inside) >= view.SEEN, "before": pair[0], "image": pair[1]})
    return made


def tried(session: Session) -> list[dict]:
    key = session.made(try_others)
    return (key and key[1].generator == session.recipe.generator and view.kept.get(key)) or []


def others_words(session: Session) -> str:
    made = tried(session)
    if not made:
        return ""
    seen = sum(item["seen"] for item in made)
    stale = "" if session.made(try_others)[1].edits == session.recipe.edits else " The edits have changed since."
    return sentence(
        f"Seen in {seen} of {len(made)} pictures. Point at one for how it was before, click to open it.{stale}"
    )


def others_tiles(session: Session) -> dict:
    made = tried(session)
    tiles = view.seed_tiles(session, {item["seed"]: item["image"] for item in made},
                            "" if made else "Does the edit hold elsewhere? Press the button to see.")  # fmt: skip
    for tile, item in zip(tiles["items"], made):
        tile |= {"before": item["before"], "label": tile["label"] + ("" if item["seen"] else ", hardly seen")}
    return tiles


# ---- a sweep of the strength ----


def sweep_panel(page: Page) -> None:
    with page.fold("The strength as a film", elem_id="sweep"):
        go = gr.Button("Animate the strength of this edit", size="sm", elem_id="animate")
        page.follow(go, lambda s: gr.Button(interactive=s.active is not None))
        page.job(go.click, sweep)
        page.follow(gr.HTML(), show_sweep)
        with gr.Row(elem_classes="actions"):
            files = [gr.Button(f"Download {kind}", size="sm", min_width=120) for kind in ("WebP", "GIF")]
        for save, button in zip((sweep_as_webp, sweep_as_gif), files):
            page.follow(button, lambda s: gr.Button(interactive=swept(s) is not None))
            page.save(button.click, save)


def sweep(session: Session, report) -> tuple:
    """Makes the animation of the edit in hand, from one end of its slider to the other and back; returns its key."""
    row, (low, high) = session.row, view.ends(session)
    if row is None:
        raise ValueError("No edit is chosen; choose a look, or an edit from the list, first.")
    if not session.recipe.edits[row.start].on:
        session = session.switch(session.rows.index(row))
    session = session.set_strength(low)
    title = f"{', '.join(view.row_words(session, session.row))}: from {low:+.1f} to {high:+.1f}"
    key = ("sweep", session.recipe, session.active, title)

    def make() -> bytes:
        frames = []
        for i in range(STRENGTHS):
            tell(report, "Drawing pictures", i, STRENGTHS)
            picture = view.picture(session.set_strength(round(low + (high - low) * i / (STRENGTHS - 1), 3)))
            frames += to_pil(view.resized(picture, min(max(picture.shape[-1], 256), view.FRAME_SIDE)))
        return animation(frames + frames[-2:0:-1], "WEBP")

    view.kept.get(key, make)
    return key


def swept(session: Session) -> bytes | None:
    key = session.made(sweep)
    return view.kept.get(key) if key else None


def show_sweep(session: Session) -> str:
    data = swept(session)
    if data is None:
        first = "" if session.active is not None else " Choose a look first."
        return f"<p>From one end of the slider to the other, as a moving picture.{first}</p>"
    return figure(f"data:image/webp;base64,{base64.b64encode(data).decode()}", session.made(sweep)[-1])


def sweep_as_webp(session: Session) -> str:
    return view.as_file(*sweep_file(session, "WEBP"))


def sweep_as_gif(session: Session) -> str:
    return view.as_file(*sweep_file(session, "GIF"))


def sweep_file(session: Session, kind: str) -> tuple[str, bytes]:
    data = swept(session)
    if data is None:
        raise ValueError("There is no animation yet; press the button above first.")
    if kind == "GIF":
        with PIL.Image.open(io.BytesIO(data), formats=["WEBP"]) as film:
            data = animation([frame.convert("RGB") for frame in ImageSequence.Iterator(film)], "GIF")
    return f"panda-{session.recipe.generator}-{session.recipe.seed}.{kind.lower()}", data


# ---- parts refined to this picture ----


def refine_panel(page: Page) -> None:
    with page.fold("Parts refined to this picture", elem_id="refine"):
        method = gr.Radio(METHODS, label="Outline of the parts", value="none", interactive=True, elem_id="method")
        k = Slider(4, 128, 32, step=1, label="Neighbours (fewer follow the picture more closely)", visible=False,
                      interactive=True, buttons=[], elem_id="neighbours")  # fmt: skip
        page.follow(method, lambda s: s.refine)
        page.follow(k, show_neighbours)
        page.follow(gr.HTML(elem_classes="overlays"), both_overlays, later=True)
        page.on(method.input, set_refine, method, k)
        page.on(k.input, set_refine, method, k)


def show_neighbours(session: Session):
    most = len(view.factors_of(session).parts) - 1
    return gr.Slider(visible=session.refine == "graph", maximum=min(128, most), value=min(session.k, most))


def set_refine(session: Session, method: str, k: float) -> Session:
    region = refined(method, k)
    return session.set_refine(region.refine, region.k)


def refined(method: str, k: float) -> Region:
    """How the parts of a region are refined, checked as the recipe's validator does."""
    return parse_region({"parts": [0], "refine": method} | ({"k": whole(k)} if method == "graph" else {}))


def both_overlays(session: Session) -> str:
    """The parts as learned and, if they are, as refined; HTML."""
    key = ("overlay", view.origin(session.recipe), session.layer, session.factors_id)

    def overlay(method: str) -> str:
        named = (*key, method, session.k if method == "graph" else None)
        given = session.recipe, session.layer, session.factors_id, method, session.k
        return view.kept.get(named, lambda: parts_picture(session.recipe, session.layer, view.renderer.parts(*given)))

    learned = figure(overlay("none"), "As learned, the same for every picture")
    if session.refine == "none":
        return learned + "<p>Refined parts follow the outlines of this very picture; the chosen edit follows them.</p>"
    return learned + figure(overlay(session.refine), "Refined to this picture")


def parts_picture(recipe: Recipe, layer: int, parts: Tensor, side: int = 224) -> str:
    """JPEG of the picture without edits, tinted with parts P [S, R_S], `side` pixels wide."""
    generator = view.renderer.generator(recipe)
    top, left, bottom, right = generator.frame(layer)
    maps = scale_parts(parts.cpu()).t().reshape(-1, 1, *generator.layers[layer][1:])[:, :, top:bottom, left:right]
    maps = F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)[:, 0]
    return view.jpeg(overlay_parts(view.resized(view.renderer.base(recipe), side), maps))


@plainly
def refine(recipe: str, layer: float | None, method: str, k: float = 32) -> tuple[PIL.Image.Image, str]:
    """Parts refined to the picture of a recipe (JSON text): method "none", "dense" or "graph" with k neighbours.

    layer: null for the generator's own choice. Returns the picture tinted with its parts as refined, and the recipe
    with the edits of this layer that act on parts acting on the refined ones.
    """
    made = read_recipe(recipe)
    known = view.available(made)
    number = view.first_layer(made) if layer is None else layer
    if number not in known:
        raise ValueError(f"layer is {layer!r:.20}; this generator has parts at {', '.join(map(str, known))}.")
    number, mine = int(number), [e.factors for e in made.edits if e.layer == number]
    factors_id = mine[-1] if mine else known[number]
    region = refined(method, k)
    maps = view.renderer.part_maps(made, number, factors_id, method, region.k)
    edits = tuple(
        replace(e, region=replace(e.region, refine=method, k=region.k)) if e.layer == number and e.region.parts else e
        for e in made.edits
    )
    picture = overlay_parts(view.renderer.base(made), maps)
    return picture, view.renderer.pin(replace(made, edits=edits)).to_json()
