"""The looks of a layer that lead (its first appearances; concepts, in the paper's words), each as where it is."""

import gradio as gr
import torch

from panda_core.images import overlay_map, to_pil
from panda_core.method.saliency import saliency

from . import view
from .page import clicked
from .session import Session

COUNT = 24
THUMBNAIL = 96  # pixels


def concept_name(session: Session, appearance: int) -> str:
    return view.look_name(view.factors_of(session), appearance)


def concept_tiles(session: Session, chosen: int | None) -> dict:
    """The value of Tiles: the COUNT strongest appearances, each over the picture without edits, `chosen` marked."""
    key = ("concepts", view.origin(session.recipe), session.layer, session.factors_id)
    images = view.kept.get(key, lambda: pictures(session))
    items = [{"image": image, "label": concept_name(session, j), "on": j == chosen} for j, image in enumerate(images)]
    return {"items": items, "note": "", "of": concepts_of(session)}


def concepts_of(session: Session) -> str:
    """Which concepts these are: a click on tiles that are about to go must not choose from the next."""
    return f"{session.recipe.generator} {session.factors_id}"


def clicked_concept(session: Session, evt: gr.EventData) -> int | None:
    """The number of the concept that was clicked; None for a click on tiles that have been replaced."""
    count = view.factors_of(session).appearances.shape[1]
    return clicked(evt, "look", range(min(COUNT, count)), concepts_of(session))


def concept_picture(session: Session, appearance: int, side: int = 256) -> str:
    """One concept's place, as in its tile but large."""
    key = ("concept", view.origin(session.recipe), session.layer, session.factors_id, appearance, side)
    return view.kept.get(key, lambda: pictures(session, slice(appearance, appearance + 1), side)[0])


@torch.inference_mode()
def pictures(session: Session, numbers: slice = slice(COUNT), side: int = THUMBNAIL) -> list[str]:
    """JPEG thumbnails: the picture in grey, the concept's place in warm colours, from its threshold upwards."""
    recipe, factors = session.recipe, view.factors_of(session)
    features = view.renderer.features(recipe, session.layer).features
    A = factors.appearances[:, numbers]
    maps = torch.stack([saliency(features, a)[0] for a in A.t()]) - (A.t() @ factors.mean)[:, None, None]
    maps = view.renderer.to_image_size(recipe, session.layer, maps.flatten(1)).cpu()
    picture = to_pil(view.resized(view.renderer.base(recipe), side))[0]
    return [view.jpeg(overlay_map(picture, m, float(m.max().clamp_min(1e-6)))) for m in maps]
