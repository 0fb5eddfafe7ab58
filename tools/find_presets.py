"""Named edits for the bundled generator: for each wish the few edits that come nearest to what the world draws for it.

    python -m tools.find_presets                     # presets.json, presets.png and edits.png in assets/portraits: LOOK
    python -m tools.find_presets --drop "wide nose"  # take out what does not look like its name, and draw it again

The world knows every portrait with any factor changed, and so both the latent and the exact picture after "smile". A
preset is at most MAX_EDITS edits of one layer: greedily those that add up to the mean change of the features from the
portraits to the wished ones (matching pursuit, every feature weighted by how much it moves the picture); then their
strengths are fitted to the exact pictures. What is kept is measured on other seeds than it was found on:

closer: the share of the wanted difference that is made up for where the two true portraits differ, mean over seeds.
holds: the share of the seeds that come closer.
likeness: the cosine between the change that was made and the one that was wanted, where they differ.
visible: mean |change| there, in [-1, 1] units.
outside: mean |change| elsewhere, as a share of `visible`.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from panda_core.factors import Factors
from panda_core.generators import registry
from panda_core.generators.split import Cut, Latents, SplitGenerator
from panda_core.images import grid, to_pil
from panda_core.method.editing import combine_parts
from panda_core.recipes import Edit, Recipe, Region, parse_recipe
from panda_core.rendering import Renderer, edit_alpha
from tools.worlds import WORLDS

NAME = "portraits"
portraits = WORLDS[NAME]
MAX_EDITS = 12  # a recipe holds 64
LEAST_GAIN = 0.006  # what one more edit must make up for, as a share of the change that is wanted
FITTED, HELD_OUT = 16, 16  # seeds per wish
FIRST_FITTED = 10_000  # those that it is found on, from here up; held-out ones are from 0 up
BATCH, STEPS = 8, 24  # seeds of a step of Adam, and steps
FAR = 0.35  # how far a factor must be from its wished value, in u, for a seed to count
DIFFERS = 0.05  # in [-1, 1] units: where two true portraits differ
ELSEWHERE = 0.05  # weight of a change where nothing should change
STRONGEST = 9.0  # units
LEAST = {"closer": 0.07, "holds": 0.85, "likeness": 0.4, "visible": 0.03}
MOST_OUTSIDE = 0.4
EXAMPLES = ("open mouth", "smile", "larger eyes", "shorter hair", "black hair", "glasses off", "hat off",
            "object off")  # those of edits.png  # fmt: skip
THINGS = ("glasses", "hat", "object")


class Wish(NamedTuple):
    name: str
    changes: dict[str, float]  # factor -> u

    def fits(self, u: Tensor) -> Tensor:
        """Which portraits [N, D] are not so yet, [N]: things absent or there, everything else FAR from it."""
        here = {name: u[:, portraits.factor_names.index(name)] for name in self.changes}
        parted = [
            (here[name] > portraits.presence[name]) != (value > portraits.presence[name])
            if name in THINGS
            else (here[name] - value).abs() >= FAR
            for name, value in self.changes.items()
        ]
        return torch.stack(parted).all(dim=0)

    @property
    def note(self) -> str:
        """What a picture must have for this to change anything, in words; empty for what any portrait has."""
        things = [(name, value > portraits.presence[name]) for name, value in self.changes.items() if name in THINGS]
        words = {"glasses": "glasses", "object": "an object"}
        return ", ".join(
            f"needs a picture {'without' if adds else 'with'} {words.get(name, f'a {name}')}" for name, adds in things
        )


WISHES = (  # in the order of the page's tiles: what can be seen at first sight comes first
    Wish("glasses off", {"glasses": 0.1}),
    Wish("larger eyes", {"eye_size": 0.97, "eye_openness": 0.97}),
    Wish("black hair", {"hair_colour": 0.0}),
    Wish("shorter hair", {"hair_length": 0.05}),
    Wish("open mouth", {"mouth_openness": 0.97}),
    Wish("hat off", {"hat": 0.1}),
    Wish("blond hair", {"hair_colour": 0.8}),
    Wish("longer hair", {"hair_length": 0.9}),
    Wish("smile", {"mouth_curve": 0.97}),
    Wish("glasses on", {"glasses": 0.95}),
    Wish("hat on", {"hat": 0.95}),
    Wish("object off", {"object": 0.1}),
    Wish("tree", {"object": 0.95, "object_kind": 0.1, "object_side": 0.03}),
    Wish("balloon", {"object": 0.95, "object_kind": 0.5, "object_side": 0.97}),
    Wish("window", {"object": 0.95, "object_kind": 0.9, "object_side": 0.03}),
    Wish("fringe", {"fringe": 0.97}),
    Wish("close mouth", {"mouth_openness": 0.03}),
    Wish("frown", {"mouth_curve": 0.03}),
    Wish("wide mouth", {"mouth_width": 0.97}),
    Wish("red lips", {"lip_colour": 0.97}),
    Wish("narrow eyes", {"eye_openness": 0.03}),
    Wish("glance left", {"gaze": 0.03}),
    Wish("glance right", {"gaze": 0.97}),
    Wish("blue eyes", {"iris_colour": 0.75}),
    Wish("thick brows", {"brow_thickness": 0.97}),
    Wish("thin brows", {"brow_thickness": 0.03}),
    Wish("raised brows", {"brow_height": 0.97}),
    Wish("stern brows", {"brow_tilt": 0.97}),
    Wish("worried brows", {"brow_tilt": 0.03}),
    Wish("long nose", {"nose_length": 0.97}),
    Wish("wide nose", {"nose_width": 0.97}),
    Wish("more hair", {"hair_volume": 0.97}),
    Wish("bare forehead", {"fringe": 0.03}),
    Wish("red hair", {"hair_colour": 0.6}),
    Wish("grey hair", {"hair_colour": 1.0}),
    Wish("light skin", {"skin_tone": 0.05}),
    Wish("dark skin", {"skin_tone": 0.95}),
    Wish("red cheeks", {"blush": 0.97}),
    Wish("wide face", {"face_width": 0.97, "jaw": 0.05}),
    Wish("light from the left", {"light": 0.03}),
    Wish("light from the right", {"light": 0.97}),
    Wish("peach background", {"background_colour": 0.0}),
    Wish("blue background", {"background_colour": 0.6}),
    Wish("green background", {"background_colour": 0.8}),
    Wish("light background", {"background_shade": 0.97, "background_contrast": 0.05}),
    Wish("dark background", {"background_shade": 0.03, "background_contrast": 0.97}),
    Wish("red clothes", {"clothes_colour": 0.0}),
    Wish("green clothes", {"clothes_colour": 0.4}),
    Wish("blue clothes", {"clothes_colour": 0.8}),
    Wish("dark clothes", {"clothes_shade": 0.03}),
    Wish("light clothes", {"clothes_shade": 0.97}),
)


# ---- what is wanted ----


class Task(NamedTuple):
    """A wish on some seeds: heads by layer, the pictures, what is wanted, and where it differs."""

    cuts: dict[int, Cut]
    base: Tensor  # [N, 3, h, w]
    wanted: Tensor  # the generator's own picture with the world's change
    differs: Tensor  # [N, 1, h, w], 0 or 1

    def __getitem__(self, rows: slice) -> "Task":
        cuts = {layer: cut[rows] for layer, cut in self.cuts.items()}
        return Task(cuts, self.base[rows], self.wanted[rows], self.differs[rows])


def latents_for(wish: Wish, z_dim: int, first: int, n: int) -> tuple[list[int], Tensor, Tensor]:
    """The first n seeds from `first` up that the wish would change, their latents [n, z_dim] and those of the wish."""

    def z(seed: int) -> Tensor:
        return torch.from_numpy(np.random.RandomState(seed).randn(1, z_dim).astype(np.float32))

    fitting = (seed for seed in count(first) if bool(wish.fits(portraits.factors_of_latents(z(seed)))))
    seeds = list(islice(fitting, n))
    latents = torch.cat([z(seed) for seed in seeds])
    return seeds, latents, changed_latents(latents, wish.changes)


def changed_latents(z: Tensor, changes: dict[str, float]) -> Tensor:
    """Latents of the same portraits with some factors set, [N, z_dim]; of rms 1.

    Factors are u = Φ(Mz) of a latent of rms 1, M orthonormal: M z is set, and what is orthogonal to M is scaled so that
    the rms stays 1.
    """
    M = torch.from_numpy(portraits.directions(z.shape[1])).to(z)
    z = z * z.square().mean(dim=1, keepdim=True).rsqrt()
    inside = z @ M.t()
    rest = z - inside @ M
    for name, value in changes.items():
        inside[:, portraits.factor_names.index(name)] = torch.special.ndtri(torch.tensor(value).clamp(0.02, 0.98))
    left = (z.shape[1] - inside.square().sum(dim=1, keepdim=True)).clamp_min(1e-3)
    return inside @ M + rest * (left / rest.square().sum(dim=1, keepdim=True)).sqrt()


def true_pictures(z: Tensor, wish: Wish, size: int) -> tuple[Tensor, Tensor]:
    """What the world draws for latents, and with the wish, both [N, 3, size, size]."""
    u = portraits.factors_of_latents(z)
    changed = u.clone()
    for name, value in wish.changes.items():
        changed[:, portraits.factor_names.index(name)] = value
    return portraits.render(u, size).images, portraits.render(changed, size).images


@torch.no_grad()
def make_task(generator: SplitGenerator, layers: Sequence[int], z: Tensor, wish: Wish) -> Task:
    cuts, cut = {}, generator.start(Latents(z))
    for layer in sorted(layers):
        cuts[layer] = cut = generator.advance(cut, layer)
    base = generator.tail(cut)
    before, after = true_pictures(z, wish, generator.resolution)
    differs = ((after - before).abs().amax(dim=1, keepdim=True) > DIFFERS).float()
    return Task(cuts, base, base + (after - before), differs)


# ---- what can be done ----


class Layer(NamedTuple):
    """What edits at one layer need: its factors, and how much every feature moves the picture, [C, S], of mean 1."""

    factors: Factors
    factors_id: str
    weight: Tensor


def open_layer(generator: SplitGenerator, factors: Factors, factors_id: str, n: int = 8, probes: int = 6) -> Layer:
    """The factors of a layer with E‖∂X/∂z‖² of every feature z, by random probes of the pictures X (Hutchinson)."""
    rng = torch.Generator().manual_seed(0)
    cut = generator.head(generator.sample(range(FIRST_FITTED, FIRST_FITTED + n)), factors.info.layer)
    weight = 0.0
    for _ in range(probes):
        Z = cut.features.detach().requires_grad_(True)
        pictures = generator.tail(cut.with_features(Z))
        sign = torch.randint(0, 2, pictures.shape, generator=rng) * 2 - 1
        (pictures * sign).sum().backward()
        weight = weight + Z.grad.square().mean(dim=0).flatten(1)
    return Layer(factors, factors_id, weight / weight.mean())


def pursue(layer: Layer, change: Tensor, differs: Tensor) -> tuple[Edit, ...]:
    """At most MAX_EDITS edits whose sum is nearest to a change of the features, [C, S]; differs: [N, 1, h, w].

    Their regions are the five parts that lie most where the pictures differ, alone and the leading ones together.
    """
    factors, info, h = layer.factors, layer.factors.info, layer.weight
    A, P = factors.appearances, factors.scaled_parts
    where = F.interpolate(differs.mean(dim=0, keepdim=True), (info.height, info.width), mode="area").flatten()
    best = (where @ P / P.square().sum(dim=0).sqrt()).argsort(descending=True)[:5].tolist()
    regions = [(k,) for k in best] + [tuple(best[:n]) for n in range(2, len(best) + 1)]
    p = torch.stack([combine_parts(factors.parts, parts) for parts in regions], dim=1)  # [S, n]
    sizes = A.square().t() @ h @ p.square()  # ‖a p̂ᵀ‖² in the weighted norm, [R_C, n]
    chosen, atoms, alphas = [], [], torch.zeros(0)
    least = LEAST_GAIN * (change.square() * h).sum()
    for _ in range(MAX_EDITS):
        left = change - sum((x * atom for x, atom in zip(alphas, atoms)), torch.zeros_like(change))
        gain = (A.t() @ (left * h) @ p).square() / sizes
        for j, r in chosen:
            gain[j, r] = 0
        if chosen and gain.max() < least:
            break
        j, r = divmod(int(gain.argmax()), p.shape[1])
        chosen.append((j, r))
        atoms.append(torch.outer(A[:, j], p[:, r]))
        basis = torch.stack([(atom * h.sqrt()).flatten() for atom in atoms], dim=1)
        alphas = torch.linalg.lstsq(basis, (change * h.sqrt()).flatten()[:, None]).solution[:, 0]
    edits = [
        Edit("add", info.layer, layer.factors_id, Region(regions[r]), appearance=j, strength=1.0) for j, r in chosen
    ]
    return tuple(
        edit.with_strength(float(alpha) / edit_alpha(edit, factors)) for edit, alpha in zip(edits, alphas)
    )  # fmt: skip


def edited(generator: SplitGenerator, task: Task, layer: Layer, edits: tuple[Edit, ...], strengths: Tensor) -> Tensor:
    """The pictures with these edits, as the Renderer makes them, for many seeds and with gradients in the strengths."""
    cut, A = task.cuts[layer.factors.info.layer], layer.factors.appearances
    change = sum(
        s * edit_alpha(e.with_strength(1.0), layer.factors)
        * torch.outer(A[:, e.appearance], combine_parts(layer.factors.parts, e.region.parts))
        for e, s in zip(edits, strengths)
    )  # fmt: skip
    return generator.tail(cut.with_features(cut.features + change.view_as(cut.features[0])))


def loss(task: Task, pictures: Tensor) -> Tensor:
    """Distance to what is wanted, as a share of how far the unedited pictures are; a change elsewhere counts too."""
    weight = task.differs + ELSEWHERE * (1 - task.differs)
    return ((pictures - task.wanted).abs() * weight).sum() / ((task.base - task.wanted).abs() * weight).sum()


def best_size(generator: SplitGenerator, task: Task, layer: Layer, edits: tuple[Edit, ...]) -> tuple[float, Tensor]:
    """The loss and the strengths, [n], of the common factor that brings the pictures nearest."""
    given, tried = torch.tensor([e.strength for e in edits]), []
    for factor in (0.7, 1.0, 1.5, 2.2, 3.3):
        strengths = (given * factor).clamp(-STRONGEST, STRONGEST)
        with torch.no_grad():
            tried.append((float(loss(task, edited(generator, task, layer, edits, strengths))), strengths))
    return min(tried, key=lambda pair: pair[0])


def fit_strengths(
    generator: SplitGenerator, task: Task, layer: Layer, edits: tuple[Edit, ...], given: Tensor
) -> list[float]:
    """The strengths whose pictures are nearest, by Adam from those given; those given where that is no nearer."""
    strengths = given.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([strengths])
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = 0.3 * (1 - step / STEPS)
        first = step * BATCH % len(task.base)
        batch = task[first : first + BATCH]
        optimiser.zero_grad()
        loss(batch, edited(generator, batch, layer, edits, strengths)).backward()
        optimiser.step()
        with torch.no_grad():
            strengths.clamp_(-STRONGEST, STRONGEST)
    with torch.no_grad():
        pairs = [(float(loss(task, edited(generator, task, layer, edits, s))), s.tolist()) for s in (given, strengths)]
    return min(pairs)[1]


def find_edits(generator: SplitGenerator, wish: Wish, layers: dict[int, Layer]) -> tuple[Edit, ...]:
    """The edits for a wish, of the layer where they come nearest."""
    _, z, wished = latents_for(wish, generator.z_dim, FIRST_FITTED, FITTED)
    task, found = make_task(generator, layers, z, wish), []
    for number, layer in layers.items():
        with torch.no_grad():
            target = generator.head(Latents(wished), number).features
        change = (target - task.cuts[number].features).mean(dim=0).flatten(1)
        edits = pursue(layer, change, task.differs)
        found.append((*best_size(generator, task[:BATCH], layer, edits), layer, edits))
    _, strengths, layer, edits = min(found, key=lambda row: row[0])
    sizes = fit_strengths(generator, task, layer, edits, strengths)
    return tuple(e.with_strength(round(s, 1)) for e, s in zip(edits, sizes) if abs(s) >= 0.05)


# ---- what was reached ----


def measure(task: Task, pictures: Tensor) -> dict[str, float]:
    base, wanted, made = (x.clamp(-1, 1) for x in (task.base, task.wanted, pictures))
    inside, outside = task.differs, 1 - task.differs
    away, left = (((x - wanted).abs() * inside).sum(dim=(1, 2, 3)) for x in (base, made))
    closer = 1 - left / away.clamp_min(1e-6)
    change, wish = (((x - base) * inside).flatten(1) for x in (made, wanted))
    area = inside.sum(dim=(1, 2, 3)).clamp_min(1) * 3
    visible = ((made - base).abs() * inside).sum(dim=(1, 2, 3)) / area
    elsewhere = ((made - base).abs() * outside).sum(dim=(1, 2, 3)) / (3 * outside.sum(dim=(1, 2, 3))).clamp_min(1)
    figures = {
        "closer": closer.mean(),
        "holds": (closer > 0).float().mean(),
        "likeness": F.cosine_similarity(change, wish).mean(),
        "visible": visible.mean(),
        "outside": elsewhere.mean() / visible.mean().clamp_min(1e-6),
    }
    return {key: round(float(value), 3) for key, value in figures.items()}


def is_kept(figures: dict[str, float]) -> bool:
    """Can a person see it, does it look like its name, does it hold, and does it stay where it belongs?"""
    return all(figures[key] >= least for key, least in LEAST.items()) and figures["outside"] <= MOST_OUTSIDE


def find_preset(renderer: Renderer, wish: Wish, layers: dict[int, Layer]) -> dict:
    """A row of presets.json: the edits of a wish and what they reach on held-out seeds."""
    generator = renderer.catalogue.generator(NAME).generator
    edits = find_edits(generator, wish, layers)
    seeds, z, _ = latents_for(wish, generator.z_dim, 0, HELD_OUT)
    pictures = torch.cat([renderer.image(Recipe(NAME, None, None, seed, 1.0, edits)) for seed in seeds])
    written = Recipe(NAME, edits=edits).to_dict()["edits"]
    figures = measure(make_task(generator, layers, z, wish), pictures)
    return {"name": wish.name, "note": wish.note, "edits": written, "measured": figures}


def draw_sheet(renderer: Renderer, rows: list[dict], path: Path, pictures: int = 6, side: int = 96) -> None:
    """A row per preset: its name and figures, and pairs of a picture before and after, as the page opens on them."""
    z_dim, psi = renderer.catalogue.generator(NAME).generator.z_dim, registry.GENERATORS[NAME].default_psi
    margin, step = 150, side + 2
    sheet = Image.new("RGB", (margin + 2 * pictures * step, len(rows) * step), "white")
    pen = ImageDraw.Draw(sheet)
    wishes = {wish.name: wish for wish in WISHES}
    for y, row in enumerate(rows):
        figures = "\n".join(f"{key} {value:.2f}" for key, value in row["measured"].items())
        pen.multiline_text((6, y * step + 4), f"{row['name']}\n{figures}", fill="black")
        edits = parse_recipe({"v": 1, "generator": NAME, "edits": row["edits"]}).edits
        for x, seed in enumerate(latents_for(wishes[row["name"]], z_dim, 0, pictures)[0]):
            recipe = Recipe(NAME, None, None, seed, psi, edits)
            pair = to_pil(torch.cat([renderer.base(recipe), renderer.image(recipe)]))
            for i, image in enumerate(pair):
                small = image.resize((side, side), Image.Resampling.BICUBIC)
                sheet.paste(small, (margin + (2 * x + i) * step, y * step))
    sheet.quantize(256).save(path, optimize=True)  # a third of the bytes


@torch.inference_mode()
def draw_examples(renderer: Renderer, rows: list[dict], path: Path) -> None:
    """Some presets, each on the first held-out seed: before, edited, and what the world draws for that portrait."""
    generator, columns = renderer.catalogue.generator(NAME).generator, []
    wishes = {wish.name: wish for wish in WISHES}
    for row in (row for name in EXAMPLES for row in rows if row["name"] == name):
        wish = wishes[row["name"]]
        (seed,), z, _ = latents_for(wish, generator.z_dim, 0, 1)
        edits = parse_recipe({"v": 1, "generator": NAME, "edits": row["edits"]}).edits
        recipe, (_, after) = Recipe(NAME, None, None, seed, 1.0, edits), true_pictures(z, wish, generator.resolution)
        columns.append(torch.cat([renderer.base(recipe), renderer.image(recipe), after]))
    pictures = torch.stack(columns, dim=1).flatten(0, 1)
    grid(F.interpolate(pictures, scale_factor=2, mode="bicubic"), len(columns)).save(path, optimize=True)


def make_presets(folder: Path, wishes: Sequence[Wish] = WISHES) -> None:
    """Find, measure and write the presets of the bundled weights."""
    renderer = Renderer()
    generator, weights = renderer.catalogue.generator(NAME)
    bundled = renderer.catalogue.bundled(NAME)
    layers = {n: open_layer(generator, renderer.catalogue.factors(NAME, name), name) for n, name in bundled.items()}
    kept, left_out = [], {}
    for wish in wishes:
        row = find_preset(renderer, wish, layers)
        keeps = is_kept(row["measured"])
        print(f"{wish.name}: {row['measured']}{'' if keeps else ', left out'}", flush=True)
        if keeps:
            kept.append(row)
        else:
            left_out[wish.name] = row["measured"]
    write(renderer, folder, {"v": 1, "weights": weights, "presets": kept, "left_out": left_out})


def drop_presets(folder: Path, names: list[str]) -> None:
    """Take presets out of the file because a person does not see what their name says."""
    table = json.loads((folder / "presets.json").read_text())
    table["left_out"] |= {row["name"]: row["measured"] for row in table["presets"] if row["name"] in names}
    table["presets"] = [row for row in table["presets"] if row["name"] not in names]
    write(Renderer(), folder, table)


def write(renderer: Renderer, folder: Path, table: dict) -> None:
    rows = ",\n".join(json.dumps(row) for row in table["presets"])  # a line each, so that a change of one can be read
    rest = json.dumps({key: value for key, value in table.items() if key != "presets"}, indent=1)
    (folder / "presets.json").write_text(f'{rest[:-2]},\n "presets": [\n{rows}\n]}}\n')
    draw_sheet(renderer, table["presets"], folder / "presets.png")
    draw_examples(renderer, table["presets"], folder / "edits.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=registry.ASSETS / NAME)
    parser.add_argument("--only", nargs="+", help="find these only, for a look: into another folder")
    parser.add_argument("--drop", nargs="+", help="take these out of the file, find nothing")
    args = parser.parse_args()
    if args.only and args.out == registry.ASSETS / NAME:
        parser.error("--only would leave the others out of the file that ships; give another folder with --out")
    if args.drop:
        drop_presets(args.out, args.drop)
    else:
        make_presets(args.out, [wish for wish in WISHES if not args.only or wish.name in args.only])


if __name__ == "__main__":
    main()
