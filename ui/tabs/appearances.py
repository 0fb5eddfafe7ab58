"""The leading appearances of a layer (concepts, in the papers' words), each shown as where it is in the picture."""

import gradio as gr
import torch

from panda_core.images import overlay_map, to_pil
from panda_core.method.saliency import saliency

from ..given import clicked
from ..jpegs import jpeg, resized
from ..pictures import Pictures, origin
from ..session import Session

COUNT = 24
THUMBNAIL = 96  # pixels


class Appearances:
    def __init__(self, pictures: Pictures):
        self.pictures, self.renderer = pictures, pictures.renderer

    def name(self, session: Session, appearance: int) -> str:
        return self.pictures.factors(session).appearance_name(appearance)

    def tiles(self, session: Session, chosen: int | None) -> dict:
        """The value of Tiles: the COUNT strongest, each over the picture without edits, `chosen` marked."""
        key = "appearances", origin(session.recipe), session.layer, session.factors_id
        images = self.pictures.kept.get(key, lambda: self.draw(session))
        items = [{"image": im, "label": self.name(session, j), "on": j == chosen} for j, im in enumerate(images)]
        return {"items": items, "note": "", "of": sheet_of(session)}

    def clicked(self, session: Session, evt: gr.EventData) -> int | None:
        """The number of the appearance that was clicked; None for a click on tiles that have been replaced."""
        count = self.pictures.factors(session).appearances.shape[1]
        return clicked(evt, "appearance", range(min(COUNT, count)), sheet_of(session))

    @torch.inference_mode()
    def draw(self, session: Session) -> list[str]:
        """JPEG thumbnails: the picture in grey, the appearance's place in warm colours, from its threshold upwards."""
        recipe, factors = session.recipe, self.pictures.factors(session)
        features = self.renderer.features(recipe, session.layer).features
        A = factors.appearances[:, :COUNT]
        maps = torch.stack([saliency(features, a)[0] for a in A.t()]) - (A.t() @ factors.mean)[:, None, None]
        maps = self.renderer.to_image_size(recipe, session.layer, maps.flatten(1)).cpu()
        picture = to_pil(resized(self.renderer.base(recipe), THUMBNAIL))[0]
        return [jpeg(overlay_map(picture, m, float(m.max().clamp_min(1e-6)))) for m in maps]


def sheet_of(session: Session) -> str:
    """Which appearances these are: a click on tiles that are about to go must not choose from the next."""
    return f"{session.recipe.generator} {session.factors_id}"
