"""The Masks tab: where a look is, what it cuts out, and whether that holds on other pictures."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import PIL.Image
import torch.nn.functional as F
from gradio.utils import get_upload_folder
from torch import Tensor

from panda_core.images import cut_out, mask_image, on_checkerboard, overlay_map, to_pil
from panda_core.masks import REACH, ConceptMask, otsu_threshold, picture_masks, write_pairs
from panda_core.recipes import Mask, Recipe

from . import view
from .concepts import clicked_concept, concept_name, concept_tiles, concepts_of
from .page import Page, heading, hint, open_seed, pair, plainly, read_recipe, sentence, whole
from .session import Session
from .widgets import Slider

SIDE, THUMBNAIL = 384, 128  # pixels of this picture and of one of several
OTHERS = 16
MOST_PAIRS, MOST_PIXELS, MOST_ARCHIVES = 256, 2**25, 8  # in a zip, in all its pictures; zips on this machine
RESULTS = ["heat map", "mask", "cut-out", "rest"]
held = view.Kept(32)  # pictures and sheets of them, which are larger than what view.kept holds


def masks_tab(page: Page) -> None:
    gr.HTML(heading("Where it is, and what that cuts out"))
    hint("Cut out the person, the hair, a shirt: choose a look below, and see what it marks.")
    shown, words = gr.HTML(elem_id="mask-view"), gr.HTML(elem_id="mask-words")
    offset = Slider(-REACH, REACH, 0, step=0.1, label="Threshold (0 is the average amount)", buttons=[],
                       elem_id="mask-offset", interactive=True)  # fmt: skip
    with gr.Row():
        half = {"interactive": True, "min_width": 200}
        sign = gr.Radio([("More of it", 1), ("Less of it", -1)], label="Where there is", elem_id="mask-sign", **half)
        rest = gr.Radio([("It", False), ("The rest", True)], label="Keep", elem_id="mask-rest", **half)
    with gr.Row(elem_classes="actions"):
        png = gr.Button("Download cut-out", size="sm", min_width=120, elem_id="save-cut-out")
        mask = gr.Button("Download mask", size="sm", min_width=110, elem_id="save-mask")
        page.button("Edit inside the mask", use_mask, min_width=110, elem_id="use-mask")
    gr.HTML(heading("Another look"))
    page.tiles("Looks", lambda s: concept_tiles(s, masking(s).appearance), choose_concept, elem_id="mask-concepts")
    with gr.Accordion("Other pictures", open=False, elem_id="mask-others"):
        several = gr.Button(f"Try the mask on {OTHERS} other pictures", size="sm", elem_id="try-others")
        page.job(several.click, try_mask)
        sheet = page.tiles("The mask on other pictures", others, open_seed, elem_id="mask-sheet")
        count = Slider(16, MOST_PAIRS, 32, step=16, label="Pictures in a zip, each with its mask", buttons=[],
                          elem_id="pairs", interactive=True)  # fmt: skip
        pack = gr.Button("Make the zip", size="sm", elem_id="pack")
        page.job(pack.click, pack_pairs, count)
        file = gr.DownloadButton("Download the zip", size="sm", visible=False, elem_id="save-zip")

    page.follow(shown, figures)
    page.follow(words, status)
    page.follow(offset, lambda s: masking(s).offset)
    page.follow(sign, side)
    page.follow(rest, lambda s: masking(s).rest)
    page.follow(count, lambda s: gr.Slider(maximum=most_pairs(s.recipe)))
    page.follow(file, archive)
    page.on(sign.input, set_kind, sign, rest)
    page.on(rest.input, set_kind, sign, rest)
    page.save(png.click, cut_out_file)
    page.save(mask.click, mask_file)
    page.live(offset, tick, shown, words, sheet)


# ---- what is chosen ----


def masking(session: Session) -> ConceptMask:
    """The mask in hand; with other factors it begins anew, at the portrait without its background."""
    kept = session.aside(ConceptMask, concepts_of(session))
    return kept or of_concept(session, background(session)[0])


def of_concept(session: Session, concept: int) -> ConceptMask:
    """A mask to begin with: of the background at the papers' threshold, of anything else where this picture's cells
    fall apart best, since few looks mark as much as lies above their mean."""
    word, sign = meaning(session, concept)
    mask = ConceptMask(concept, sign)
    if word == "background" or concept == background(session)[0]:
        return replace(mask, rest=True)
    above = mask.above(view.renderer, session.recipe, session.layer, session.factors_id)
    return replace(mask, offset=min(max(round(otsu_threshold(above), 1), -REACH), REACH))


def background(session: Session) -> tuple[int, int]:
    recipe, factors_id = session.recipe, session.factors_id
    key = ("background", recipe.generator, recipe.class_index, factors_id)
    return view.kept.get(key, lambda: view.renderer.background(recipe, session.layer, factors_id))


def choose_concept(session: Session, evt: gr.EventData) -> Session | None:
    concept = clicked_concept(session, evt)
    return None if concept is None else put_mask(session, of_concept(session, concept))


def put_mask(session: Session, mask: ConceptMask) -> Session:
    return session.put_aside(mask, concepts_of(session))


def side(session: Session) -> int:
    """1: more of what the concept marks; -1: less of it."""
    return masking(session).sign * meaning(session, masking(session).appearance)[1]


def set_kind(session: Session, sign: int, rest: bool) -> Session:
    """More of it or less, on either side of the same threshold; and whether that is kept, or the rest."""
    now = replace(masking(session), rest=rest)
    wanted = replace(now, sign=sign).sign * meaning(session, now.appearance)[1]
    return put_mask(session, now if wanted == now.sign else replace(now, sign=wanted, offset=-now.offset))


def tick(session: Session, offset: float):
    """The slider moved: a new mask, and nothing else."""
    session = put_mask(session, replace(masking(session), offset=offset))
    return session, figures(session), status(session), others(session)


# ---- this picture ----


def cells(session: Session) -> Tensor:
    """How far every cell of the layer's grid is above the threshold, [1, S]."""
    return masking(session).above(view.renderer, session.recipe, session.layer, session.factors_id)


def enlarged(session: Session, grid: Tensor) -> Tensor:
    """[1, S] at image size, [h, w]."""
    return view.renderer.to_image_size(session.recipe, session.layer, grid)[0]


def smooth(session: Session, side: int) -> Tensor:
    """How far each pixel of a picture `side` wide is above the threshold, [side, side]: for a smooth outline."""
    grid = enlarged(session, cells(session))[None, None]
    return F.interpolate(grid, (side, side), mode="bilinear", antialias=True)[0, 0]


def pixels(session: Session, side: int | None = None) -> Tensor:
    """The mask at image size, [h, w], or of a picture `side` wide, [side, side]."""
    return masking(session).of(enlarged(session, cells(session)) if side is None else smooth(session, side))


def figures(session: Session) -> str:
    """HTML: the heat map over the picture with the mask's outline, and the cut-out on a checkerboard."""
    recipe, chosen = session.recipe, masking(session)
    key = ("picture", view.origin(recipe), recipe.edits)
    picture = held.get(key, lambda: to_pil(view.resized(view.renderer.image(recipe), SIDE))[0])
    above = smooth(session, SIDE)
    name = ("less of " if side(session) < 0 else "") + meaning(session, chosen.appearance)[0]
    shown = {
        f"Where there is {name}": overlay_map(picture, above + chosen.offset, REACH, chosen.of(above)),
        f"{'All but' if chosen.rest else 'Only'} {name}": on_checkerboard(picture, chosen.of(above)),
    }
    return pair({caption: view.jpeg(image) for caption, image in shown.items()})


def meaning(session: Session, concept: int) -> tuple[str, int]:
    """What a concept marks, and the sign with which it does: "hair (-)" is hair where there is less of it."""
    number, sign = background(session)
    unnamed = "background" if concept == number else concept_name(session, concept)
    name = view.factors_of(session).info.appearance_names.get(concept, unnamed)
    word = name.removesuffix(" (-)")
    return word, sign if concept == number else 1 if word == name else -1


def status(session: Session) -> str:
    """How much is kept, where changes go, and what the mask does not know of, in words."""
    said = [f"{float(pixels(session).float().mean()):.0%} of the picture is kept."]
    if session.where == "painted" and session.mask == grid_mask(session):
        said.append("It is the painted area now: what you choose in Edit or Remove goes there.")
    if any(e.on and e.layer > session.layer for e in session.recipe.edits):
        said.append("Edits of finer parts than these do not move the mask.")
    return sentence(" ".join(said))


def grid_mask(session: Session) -> Mask:
    H, W = view.renderer.generator(session.recipe).layers[session.layer][1:]
    return Mask.from_tensor(masking(session).of(cells(session)).reshape(H, W))


def use_mask(session: Session) -> Session:
    """The mask becomes the painted area, for the next look or removal."""
    mask = grid_mask(session)
    if "," not in mask.rle:
        raise ValueError("Nothing is kept, so there is nowhere to edit; move the threshold first.")
    return session.let_go().restrict("painted", mask)


def cut_out_file(session: Session) -> str:
    """As large as the page's PNG."""
    image = view.at_least(view.renderer.image(session.recipe), view.FRAME_SIDE)
    return view.saved(session.recipe, cut_out(image, pixels(session, image.shape[-1])), "-cut-out")


def mask_file(session: Session) -> str:
    side = max(view.renderer.generator(session.recipe).resolution, view.FRAME_SIDE)
    return view.saved(session.recipe, mask_image(pixels(session, side)), "-mask")


# ---- other pictures ----


def others_key(session: Session, after: int) -> tuple:
    recipe = replace(session.recipe, seed=after)
    return "others", view.origin(recipe), recipe.edits, session.layer, session.factors_id, masking(session).appearance


def try_mask(session: Session, report) -> int:
    """Pictures and maps of the seeds after this one, held for `others`; returns this seed."""
    after, plain = session.recipe.seed, ConceptMask(masking(session).appearance)
    where = session.recipe, session.layer, session.factors_id, view.seeds_from(after + 1, OTHERS)
    made = picture_masks(plain, view.renderer, *where, report)
    pictures = [(to_pil(view.resized(image, THUMBNAIL))[0], grid) for _, image, grid in made]
    held.hold(others_key(session, after), pictures)
    return after


def others(session: Session) -> dict:
    """The value of Tiles: the mask in hand on the other pictures."""
    after, chosen = session.made(try_mask), masking(session)
    made = after is not None and held.get(others_key(session, after))
    if not made:
        return {"items": [], "note": "" if after is None else "The edits or the look have changed; try it again."}
    masks = [chosen.of(enlarged(session, chosen.sign * grid - chosen.offset)) for _, grid in made]
    images = [view.jpeg(on_checkerboard(picture, mask)) for (picture, _), mask in zip(made, masks)]
    return view.seed_tiles(session, dict(zip(view.seeds_from(after + 1, OTHERS), images)))


def most_pairs(recipe: Recipe) -> int:
    return min(MOST_PAIRS, max(16, MOST_PIXELS // view.renderer.generator(recipe).resolution ** 2))


def pack_pairs(session: Session, count: int, report) -> str:
    """A zip of the pictures from this seed on and their masks; its path, where gradio serves files and removes them."""
    recipe, most, root = session.recipe, most_pairs(session.recipe), Path(get_upload_folder())
    if not isinstance(count, int | float) or not 1 <= count <= most:
        raise ValueError(f"The number of pictures is {count!r:.20}; a zip holds 1 to {most} here.")
    for old in sorted(root.glob("panda-masks-*"), key=lambda p: p.stat().st_mtime)[: 1 - MOST_ARCHIVES]:
        shutil.rmtree(old, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="panda-masks-", dir=root))
    path, where = folder / f"panda-{recipe.generator}-masks.zip", (recipe, session.layer, session.factors_id)
    try:
        write_pairs(path, masking(session), view.renderer, *where, view.seeds_from(recipe.seed, int(count)), report)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return str(path)


def archive(session: Session):
    path = Path(session.made(pack_pairs) or "")
    if not path.is_file():
        return gr.DownloadButton(visible=False)
    return gr.DownloadButton(f"Download the zip ({path.stat().st_size / 1e6:.1f} MB)", value=path, visible=True)


# ---- programs ----


@plainly
def saliency(recipe: str, appearance: float, threshold: float, sign: str, result: str) -> tuple[PIL.Image.Image, str]:
    """Where an appearance of the default layer is in a recipe's picture with its edits; and the recipe.

    The mask is where there is `sign` ("more" or "less") of it, from `threshold` standard deviations above its mean on.
    result: "heat map" over the picture, "mask" (white is in it), "cut-out" with transparency, or the "rest" of it.
    """
    if sign not in ("more", "less") or result not in RESULTS:
        raise ValueError(f"sign must be more or less; result one of {', '.join(RESULTS)}.")
    made = read_recipe(recipe)
    (layer, factors_id), image = view.default(made), view.renderer.image(made)
    chosen = ConceptMask(whole(appearance), 1 if sign == "more" else -1, threshold, result == "rest")
    above = chosen.above(view.renderer, made, layer, factors_id)
    above = view.renderer.to_image_size(made, layer, above)[0]
    mask = chosen.of(above)
    if result == "heat map":
        shown = overlay_map(to_pil(image)[0], above + chosen.offset, REACH, mask)
    else:
        shown = mask_image(mask) if result == "mask" else cut_out(image, mask)
    return shown, view.renderer.pin(made).to_json()
