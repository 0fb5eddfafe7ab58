"""From a session to what the page shows: frames, maps, thumbnails, sentences. Plain data; knows nothing of Gradio."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from panda_core.factors import Factors, scale_parts
from panda_core.generators.registry import GENERATORS, GeneratorSpec
from panda_core.generators.split import SplitGenerator
from panda_core.hub.files import find_local
from panda_core.images import PALETTE, difference, heat_map, png_bytes, to_pil
from panda_core.presets import COVERED, Preset, presets, removals
from panda_core.progress import Cancelled, Progress
from panda_core.recipes import Edit, Mask, Recipe, Region, encode_link, parse_recipe, parse_region
from panda_core.rendering import Renderer, edit_alpha
from panda_core.runtime.lru import LRUCache

from .rows import MOST, Row
from .session import Session

LOOKS = 12
RESULTS = 12  # of jobs, that go along to another process
SMALL_SIDE = 128  # pixels of a tile
FRAME_SIDE = 512  # pixels that a frame is sent at, at most
SMOOTH_SIDE = 256  # and at least: browsers enlarge small pictures by bilinear interpolation, which shows their grid
MOST_PARTS, MOST_SAMPLES = 64, 4096  # of a fit
LONGEST_REFIT, REFITS = 60.0, threading.BoundedSemaphore(1)  # seconds of one that a link asks for; how many at once
SEEN = 0.02  # mean change in [-1, 1] units below which nothing visible happened
OUTSIDE = [  # mean change outside the region, as a share of that inside it, and what is said below that
    (0.1, "The rest of the picture stayed as it was."),
    (0.3, "The rest of the picture changed a little too."),
    (0.8, "The rest of the picture changed much too."),
    (float("inf"), "The rest of the picture changed as much."),
]
renderer = Renderer(cached=48)


class Kept(LRUCache):
    """Small results by what they depend on, the latest few hundred; a lost one is made again.

    What is held, and what a job makes, cannot be made again by who shows it: gpu.py carries it between processes.
    """

    everywhere: list["Kept"] = []

    def __init__(self, most: int):
        super().__init__(most)
        self.results = LRUCache(RESULTS)
        Kept.everywhere.append(self)

    def hold(self, key: Hashable, value):
        self.results.put(key, value)
        return self.put(key, value)


kept = Kept(256)


# ---- where a visit begins ----


def offered() -> dict[str, str]:
    """Title -> name of the generators whose weights are here."""
    return {GENERATORS[name].title: name for name, path in renderer.catalogue.here().items() if path is not None}


def layer_words(session: Session) -> list[tuple[str, int]]:
    """The layers in words, coarse first."""
    if len(session.layers) == 1:
        return [("The only one", session.layer)]
    coarse, *between, fine = session.layers
    return [("Coarse: large parts", coarse), *((f"Between ({n})", n) for n in between), ("Fine: small parts", fine)]


def available(recipe: Recipe) -> dict[int, str]:
    """Layer -> id of the factors that are there for the asking."""
    return renderer.catalogue.available(recipe.generator)


def first_layer(recipe: Recipe) -> int:
    numbers, wished = list(available(recipe)), renderer.catalogue.default_layer(recipe.generator)
    if not numbers:
        raise ValueError(f"No parts are known for {recipe.generator} yet; open it under Picture settings first.")
    return wished if wished in numbers else numbers[-1]


def default(recipe: Recipe) -> tuple[int, str]:
    """(layer, factors id) where programs that name none mean to work."""
    layer = first_layer(recipe)
    return layer, available(recipe)[layer]


def start(name: str | None = None) -> Session:
    """The start page: a picture that already shows an edit. start.json beside the weights says which."""
    return kept.get(("start", name), lambda: _start(name))


def _start(name: str | None) -> Session:
    name = name or next(iter(offered().values()), next(iter(GENERATORS)))
    spec = renderer.catalogue.spec(name)
    path = start_file(spec)
    if path.is_file():
        try:
            return opened(parse_recipe(path.read_bytes()))
        except ValueError:  # made for other weights: an edit of these is found below
            pass
    recipe = Recipe(name, psi=spec.default_psi, seed=3)
    layer = first_layer(recipe)
    session = Session.opened(recipe, layer, available(recipe), presets_of(name))
    factors = factors_of(session)
    first = [looks(replace(session, parts=(part,)))[0] for part in range(factors.parts.shape[1])]
    pictures, base = previews(with_last(recipe, first[0]), 0, first), F.avg_pool2d(renderer.base(recipe), 2)
    part = int(difference(pictures, base).mean(dim=(1, 2)).argmax())  # the one that shows most
    session = replace(session, parts=(part,)).add(first[part])
    return replace(session, past=(), tag="")


def start_file(spec: GeneratorSpec) -> Path:
    return spec.folder() / "start.json"


def opened(recipe: Recipe, own: tuple[str, ...] = ()) -> Session:
    """A session of a recipe from outside, once it has been rendered here. own: ids of factors that came with it.

    Raises: ValueError if it needs factors that this page does not have, or a download, or does not fit the generator.
    """
    spec = renderer.catalogue.spec(recipe.generator)
    if recipe.generator in GENERATORS and find_local(spec.sources) is None:
        raise ValueError(
            f"The picture is made by {spec.title}, which has to be downloaded first: open it under Picture settings, "
            "Generator, and try again."
        )
    used = {edit.factors for edit in recipe.edits} - set(own)
    for factors_id in used:
        check_factors_id(factors_id)
    again = [i for i in used if i.startswith("fit:") and not renderer.catalogue.knows(recipe.generator, i)]
    for factors_id in again:
        refit(recipe, factors_id)
    renderer.image(recipe)
    known = first_layer(recipe), available(recipe), presets_of(recipe.generator) + removals(recipe.edits)
    session = Session.opened(replace(recipe, weights=None), *known)
    return replace(session, notice="The parts of this picture were learned again, as its link says." if again else "")


def refit(recipe: Recipe, factors_id: str) -> None:
    """A fit that a stranger's recipe asks for: one at a time, and not for long."""
    layers, layer = fit_layers(renderer.generator(recipe)), int(factors_id.partition(":")[2].split(",")[0])
    if layer not in layers:
        raise ValueError(f"The recipe asks for a fit at layer {layer}; here it can be {', '.join(map(str, layers))}.")
    if not REFITS.acquire(blocking=False):
        raise ValueError("Parts are being learned for somebody else's recipe; open yours again in a minute.")
    try:
        renderer.catalogue.factors(recipe.generator, factors_id, until(LONGEST_REFIT))
    except Cancelled as error:
        raise ValueError(f"The recipe's parts take more than {LONGEST_REFIT:.0f} seconds to learn here.") from error
    finally:
        REFITS.release()


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
        if int(R_S) > MOST_PARTS or (samples != "auto" and int(samples) > MOST_SAMPLES):
            raise ValueError(
                f"The recipe asks for a fit of {R_S} parts from {samples} samples; "
                f"this page fits at most {MOST_PARTS} from {MOST_SAMPLES}."
            )
    elif scheme == "local":
        raise ValueError("The recipe uses its maker's own parts or names; open recipe and factors together (.zip).")


# ---- the picture ----


def factors_of(session: Session, edit: Edit | None = None) -> Factors:
    if edit is not None:
        return renderer.factors(session.recipe, edit)
    return renderer.catalogue.factors(session.recipe.generator, session.factors_id)


def scene(session: Session) -> dict:
    """What the canvas needs besides the frame: the picture before, the parts of this layer, what is chosen."""
    recipe, factors = session.recipe, factors_of(session)
    generator = renderer.generator(recipe)
    top, left, bottom, right = generator.frame(session.layer)
    H, W = generator.layers[session.layer][1:]
    parts = renderer.parts(recipe, session.layer, session.factors_id, session.refine, session.k)
    maps = scale_parts(parts).t().reshape(-1, H, W)[:, top:bottom, left:right]
    count = len(maps)
    return {
        "before": kept.get(("before", origin(recipe)), lambda: large(renderer.base(recipe))),
        "maps": base64.b64encode((maps * 255).round().to(torch.uint8).cpu().numpy().tobytes()).decode(),
        "grid": [bottom - top, right - left],
        "size": [H, W],
        "frame": [top, left, bottom, right],
        "names": [factors.part_name(k) for k in range(count)],
        "colours": [[int(c) for c in PALETTE[k % len(PALETTE)]] for k in range(count)],
        "chosen": chosen_parts(session),
        "painted": session.mask.rle if session.mask else "",
        "where": session.where,
    }


def chosen_parts(session: Session) -> list[int]:
    return list(session.parts) if session.where in ("parts", "piece") else []


def frame(session: Session) -> dict:
    """The edited picture, what changed, and how much in words. The only part that a slider's tick makes."""
    return kept.get(("frame", origin(session.recipe), session.recipe.edits, session.active), lambda: _frame(session))


def _frame(session: Session) -> dict:
    recipe, image = session.recipe, picture(session)
    change = difference(image, renderer.base(recipe))
    words, numbers = change_words(session, change[0])
    return {
        "image": large(image),
        "difference": jpeg(heat_map(change[0], 0.0, max(0.6, float(change.max())))),
        "words": words,
        "numbers": numbers,
        "alt": f"Generated picture, seed {recipe.seed}; {edits_words(session) or 'no edits'}.",
    }


def picture(session: Session) -> Tensor:
    """The edited picture, [1, 3, h, w]; what comes before the line in hand is kept for its next strength."""
    recipe, row = session.recipe, session.row
    if row is None:
        return renderer.image(recipe)
    first = min(range(row.start, row.stop), key=lambda i: recipe.edits[i].layer)
    return renderer.finish(renderer.prepare(recipe, first), recipe, first)


def jpeg(image: Image.Image) -> str:
    """As a data URI."""
    image.thumbnail((FRAME_SIDE, FRAME_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def jpegs(images: Tensor) -> list[str]:
    """Pictures [n, 3, h, w] as data URIs."""
    return [jpeg(image) for image in to_pil(images)]


def small(images: Tensor) -> list[str]:
    """Pictures [n, 3, h, w] as tiles show them whole, as data URIs."""
    return jpegs(resized(images, SMALL_SIDE))


def large(image: Tensor) -> str:
    """A picture [1, 3, h, w] for the panel, as a data URI."""
    return jpegs(at_least(image, SMOOTH_SIDE))[0]


def at_least(image: Tensor, side: int) -> Tensor:
    """A picture [1, 3, h, w], enlarged if it is smaller."""
    return resized(image, side) if image.shape[-1] < side else image


def resized(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images.float().cpu(), (side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def change_words(session: Session, change: Tensor) -> tuple[str, str]:
    """How local the edits are, as a person would say it, and the figures of it for those who want them.

    The words compare the mean change where the regions are below 0.1 with that where they are above 0.5. I Eq. 7 (of
    absolute differences) stands beside it: p̂ fades so softly that it is near 1 for an edit that nobody sees outside.
    """
    recipe = session.recipe
    on = [recipe.edits[i] for i in recipe.ordered()]
    if not on:
        return "No edits: this is the picture as generated." if not recipe.edits else "All edits are off.", ""
    key = ("region", origin(recipe), tuple((e.layer, e.factors, e.region) for e in on))
    region = kept.get(key, lambda: torch.stack([renderer.region_map(recipe, e) for e in on]).amax(dim=0))
    ratio = float(((1 - region) * change).norm() / (region * change).norm().clamp_min(1e-6))
    inner, outer = change[region >= min(0.5, float(region.max()))], change[region < 0.1]
    inside = float(inner.mean())
    if inside < SEEN:
        return "Nothing visible changed: move the strength further from the middle.", ""
    if not len(outer):
        return "The whole picture may change.", ""
    share = float(outer.mean()) / inside
    if float((outer >= 2 * SEEN).float().mean()) >= 0.05:  # a mean hides a tree that has changed beside new hair
        share = max(share, OUTSIDE[0][0])
    numbers = (f"change outside the region: {share:.0%} of the change inside, on average over the pixels; "
               f"{ratio:.0%} if its soft edge counts as outside too (the paper's ratio)")  # fmt: skip
    return next(words for most, words in OUTSIDE if share < most), numbers


# ---- what can change here ----


def looks(session: Session) -> list[Edit]:
    """At most twelve edits offered for the chosen region, all of them visible; none where nothing is chosen."""
    region = session.region()
    if region is None:
        return []
    factors = factors_of(session)
    return [look(session, j) for j in factors.offered(leading_part(factors, region), LOOKS)]


def look(session: Session, appearance: int) -> Edit:
    """An appearance at the chosen region, as strong as a first look should be."""
    region, factors = session.region(), factors_of(session)
    strength = round(0.75 * factors.reach(appearance, leading_part(factors, region)), 1)
    return Edit("add", session.layer, session.factors_id, region, appearance=appearance, strength=strength)


def leading_part(factors: Factors, region: Region) -> int:
    """The part whose suggestions a region takes: its first one, or the one that a drawing covers best."""
    if region.parts:
        return region.parts[0]
    if region.mask is None:
        return 0
    cells, parts = region.mask.tensor().flatten(), factors.scaled_parts
    return int(((cells @ parts) / parts.sum(dim=0).clamp_min(1e-6).sqrt()).argmax())


def sheet(session: Session) -> dict:
    """The value of Tiles: the looks, each with the picture that a click would give."""
    session = session.beside_named()
    edits, now = looks(session), session.edit
    if not edits:
        return {"items": [], "note": "Choose a part of the picture to see what can change there."}
    index = session.active if now and (now.op, now.layer) == ("add", session.layer) else None
    return edit_tiles(session, edits, index, look_words, lambda e: bool(now) and is_same_look(now, e))


def is_same_look(one: Edit, other: Edit) -> bool:
    return (one.appearance, one.region) == (other.appearance, other.region)


def edit_tiles(session: Session, edits: Sequence, index: int | None, words: Callable, is_on: Callable) -> dict:
    """The value of Tiles: pictures with edit `index` (None: a new one) replaced by each of `edits`, of one region.

    One of them may be several edits. words(session, edit): what a tile is called; is_on(edit): whether it is in force.
    """
    recipe = session.recipe
    if index is None:
        index, recipe = len(recipe.edits), with_last(recipe, first_of(edits))
    others = tuple(e for i, e in enumerate(recipe.edits) if i != index)
    key = ("sheet", origin(recipe), others, index, tuple(edits))
    images = kept.get(key, lambda: thumbnails(recipe, index, edits))
    items = [{"image": i, "label": words(session, e), "on": is_on(e)} for i, e in zip(images, edits)]
    return {"items": items, "note": "", "of": sheet_of(session)}


def sheet_of(session: Session) -> str:
    """Which sheet this is: a click on one that is about to go must not choose from the next."""
    known = session.recipe.generator, session.factors_id, session.region()
    return sha256(repr(known).encode()).hexdigest()[:12]


def thumbnails(recipe: Recipe, index: int, edits: Sequence) -> list[str]:
    region = renderer.region_map(recipe, first_of(edits))
    return jpegs(cropped(previews(recipe, index, edits), region, SMALL_SIDE))


def first_of(edits: Sequence) -> Edit:
    return edits[0] if isinstance(edits[0], Edit) else edits[0][0]


def previews(recipe: Recipe, index: int, edits: Sequence[Edit | tuple[Edit, ...]]) -> Tensor:
    """As Renderer.variants, [n, 3, h/2, w/2], at about half the cost."""
    off = replace(recipe.edits[index], on=False)
    others = recipe.with_edit(index, off)
    plain = renderer.variants(others, index, [off], half_size=True)
    # what the picture with the other edits has in full, and half of its network leaves out: the same for all
    missing = F.avg_pool2d(renderer.image(others), 2) - plain
    return renderer.variants(recipe, index, edits, half_size=True) + missing


def cropped(images: Tensor, region: Tensor, side: int) -> Tensor:
    """Pictures [n, 3, h, w] around a region [h', w'], `side` pixels wide."""
    top, left, size = crop_box(region, images.shape[-1])
    images = images[:, :, top : top + size, left : left + size].clamp(-1, 1)
    return F.interpolate(images, (side, side), mode="bicubic", align_corners=False)


def crop_box(region: Tensor, side: int) -> tuple[int, int, int]:
    """(top, left, size) of a square around a region [h, w] in a picture of `side` pixels: room about it, never tiny."""
    h = len(region)
    inside = torch.nonzero(region >= min(0.5, 0.9 * float(region.max())))
    if not len(inside):
        return 0, 0, side
    (top, left), (bottom, right) = inside.amin(dim=0).tolist(), inside.amax(dim=0).tolist()
    size = min(h, max(bottom - top + 1, right - left + 1) * 1.5, h)
    size = max(size, 0.5 * h)
    y = min(max((top + bottom + 1 - size) / 2, 0), h - size)
    x = min(max((left + right + 1 - size) / 2, 0), h - size)
    scale = side / h
    return round(y * scale), round(x * scale), min(side, round(size * scale))


# ---- words ----


def region_words(session: Session, edit: Edit) -> str:
    region, factors = edit.region, factors_of(session, edit)
    if region.all:
        return "everywhere"
    if region.mask is not None:
        return "painted area"
    names = " and ".join(factors.part_name(k) for k in region.parts)
    return f"painted piece of {names}" if region.keep is not None else names


def look_words(session: Session, edit: Edit) -> str:
    """A look by its number; of a rewrite both looks.

    A name that ships is of what an appearance marks ("background"), which says nothing about more or less of it at a
    nose, unless an object was covered with it; a visitor's own stands beside the number.
    """
    factors = factors_of(session, edit)
    if edit.op == "rewrite":
        return f"{look_name(factors, edit.source)} becomes {look_name(factors, edit.target)}"
    name, number = factors.info.appearance_names.get(edit.appearance), f"look {edit.appearance + 1}"
    if name and edit.strength is None:
        return name
    return f"{number} ({name})" if name and edit.factors.startswith("local:") else number


def look_name(factors: Factors, appearance: int) -> str:
    return factors.info.appearance_names.get(appearance, f"look {appearance + 1}")


def edit_rows(session: Session) -> dict:
    """The list of edits."""
    rows = []
    for row in session.rows:
        strength, (title, *more) = row_strength(session, row), row_words(session, row)
        size = f"{strength:+.1f}" if row.is_one else "as usual" if row.times == 1 else f"× {strength:.1f}"
        state = {"on": session.recipe.edits[row.start].on, "active": row == session.row}
        rows.append({"title": title, "look": ", ".join([*more, size])} | state)
    return {"rows": rows, "undo": len(session.past), "redo": len(session.future)}


def row_words(session: Session, row: Row) -> list[str]:
    """What a line of the list changes: a name, or where and what."""
    edit = session.recipe.edits[row.start]
    if row.preset is None:
        return [region_words(session, edit), look_words(session, edit)]
    return [COVERED, region_words(session, edit)] if row.preset.name == COVERED else [row.preset.name]


def row_strength(session: Session, row: Row) -> float:
    """In units of its own, or, of several edits together, how many times as strong as named."""
    return strength_of(session, session.recipe.edits[row.start]) if row.is_one else round(row.times, 2)


def edits_words(session: Session) -> str:
    """All that is on, in words; empty where nothing is."""
    return ", ".join(": ".join(row_words(session, row)) for row in session.rows if session.recipe.edits[row.start].on)


def presets_of(generator: str) -> tuple[Preset, ...]:
    """The named edits of a generator, read from their file once: a slider's tick asks for them."""
    weights = renderer.catalogue.generator(generator).weights
    return kept.get(("presets", generator, weights), lambda: presets(generator, weights))


def details(session: Session) -> str:
    """The numbers, for those who want them; Markdown."""
    recipe, row = session.recipe, session.row
    generator, weights = renderer.catalogue.generator(recipe.generator)
    lines = [f"`{recipe.generator}`, weights `{weights}`, {generator.resolution} px, ψ {recipe.psi:g}"]
    C, H, W = generator.layers[session.layer]
    factors = factors_of(session)
    R_C, R_S = factors.sigma.shape
    lines.append(f"layer {session.layer}: {C} × {H} × {W}, {R_C} looks, {R_S} parts, "
                 f"{factors.info.energy:.0%} of the energy explained")  # fmt: skip
    for edit in recipe.edits[row.start : row.stop] if row else ():
        rewrites = edit.op == "rewrite"
        numbers = f"appearance {edit.source} by {edit.target}" if rewrites else f"appearance {edit.appearance}"
        lines.append(f"the edit in hand: {numbers}, parts {list(edit.region.parts)}, α = "
                     f"{edit_alpha(edit, factors_of(session, edit)):.3f}, factors `{edit.factors}`")  # fmt: skip
    return "\n\n".join([*lines, frame(session)["numbers"]])


def ends(session: Session) -> tuple[float, float]:
    """Where the strength slider begins and ends."""
    edit = session.edit
    if edit is None:
        return (0.0, MOST) if session.row else (-4.0, 4.0)
    if edit.op == "rewrite":  # less than none of what there was makes no sense
        return (-4.0 if strength_of(session, edit) < 0 else 0.0), 4.0
    factors = factors_of(session, edit)
    reach = factors.reach(edit.appearance, leading_part(factors, edit.region))
    reach = max(reach, abs(strength_of(session, edit)))
    return -reach, reach


def strength_of(session: Session, edit: Edit) -> float:
    """An edit's size in units of strength, also where the recipe has a raw α."""
    if edit.strength is not None:
        return edit.strength
    unit = edit_alpha(edit.with_strength(1.0), factors_of(session, edit))
    return round(edit.alpha / unit, 2) if unit else 0.0


def history(session: Session) -> dict:
    """Thumbnails of the seeds visited."""
    # one look for a seed, wherever the slider of ψ stands
    usual = replace(session.recipe, psi=renderer.catalogue.spec(session.recipe.generator).default_psi)

    def thumb(seed: int) -> str:
        recipe = replace(usual, seed=seed)
        return kept.get(("seed", origin(recipe)), lambda: jpegs(resized(renderer.base(recipe), 72))[0])

    return seed_tiles(session, {seed: thumb(seed) for seed in session.seeds})


def seed_tiles(session: Session, pictures: dict[int, str], note: str = "") -> dict:
    """The value of Tiles whose pictures (seed -> JPEG) a click opens (page.open_seed)."""
    now = session.recipe.seed
    items = [{"image": image, "label": f"Seed {s}", "seed": s, "on": s == now} for s, image in pictures.items()]
    return {"items": items, "note": note}


# ---- taking it away ----


def address(session: Session) -> str:
    """What the page's address says after ?r=, so that a reload loses nothing; nothing on the start page."""
    try:
        return "" if session.recipe == start().recipe else link(session)
    except ValueError:  # with factors of one's own there is no link
        return ""


def link(session: Session) -> str:
    return encode_link(renderer.pin(session.recipe))


def python_lines(session: Session) -> str:
    """Five lines that make the same picture."""
    return "\n".join([
        "from panda_core.images import to_pil",
        "from panda_core.recipes import decode_link",
        "from panda_core.rendering import apply_recipe",
        f'recipe = decode_link("{link(session)}")',
        'to_pil(apply_recipe(recipe))[0].save("portrait.png")',
    ])  # fmt: skip


def picture_file(session: Session) -> str:
    """The PNG with its recipe inside, as large as the page shows it at least: JSON for the page's script."""
    return saved(session.recipe, to_pil(at_least(renderer.image(session.recipe), FRAME_SIDE))[0])


def saved(recipe: Recipe, image: Image.Image, kind: str = "") -> str:
    """A PNG of what a recipe makes, for the browser to save: JSON for the page's script."""
    data = png_bytes(image, renderer.pin(recipe).to_json())
    return as_file(f"panda-{recipe.generator}-{recipe.seed}{kind}.png", data)


def as_file(name: str, data: bytes) -> str:
    """A file for the browser to save: JSON for the page's script."""
    return json.dumps({"name": name, "data": base64.b64encode(data).decode()})


def read_mask(given, session: Session) -> Mask | None:
    """A drawing that came from the page, checked as the recipe's validator checks it; None where it is empty."""
    H, W = renderer.generator(session.recipe).layers[session.layer][1:]
    mask = parse_region({"mask": {"size": [H, W], "rle": given}}).mask
    return mask if "," in mask.rle else None


def seeds_from(first: int, count: int) -> list[int]:
    """`count` seeds from this one on; after the last one comes 0."""
    return [(first + i) % 2**32 for i in range(count)]


def with_last(recipe: Recipe, edit: Edit) -> Recipe:
    return replace(recipe, edits=(*recipe.edits, edit))


def origin(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.class_index, recipe.seed, recipe.psi
