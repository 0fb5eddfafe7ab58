"""Is every look that the page offers visible at both ends of its slider, and still a picture there?

    python -m tools.check_strengths OUT                  # contact sheets and a table, nothing changed
    python -m tools.check_strengths OUT --write          # first measure every slider's end, and offer what works first

For every bundled layer, part and offered appearance both ends are rendered on a few seeds. OUT gets one sheet per layer
and part (a row per look; per seed: minus end, no edit, plus end) and `strengths.csv`. Two measures, means over seeds:

visible: mean |change| over the region, in [-1, 1] units; under LEAST at an end, "nothing changes".
overshoot: mean distance by which pixels of the region leave [-1, 1]; over MOST beyond the unedited picture, "it broke".
It sees burnt colours, not smears: whether it is still a face is for eyes to say, on the sheets.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from panda_core.factors import DEFAULT_REACH, Factors
from panda_core.generators.registry import GENERATORS
from panda_core.images import to_pil
from panda_core.recipes import Edit, Recipe, Region
from panda_core.rendering import Renderer

LOOKS = 12
TRIED = 20  # looks per part that --write measures
LEAST, SEEN, GOOD, MOST = 0.05, 0.07, 0.12, 0.06
STEPS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)  # units of strength at which a slider may end
FAR = 8.0  # beyond, only as far as a weak look needs to be SEEN: strong ones smear small parts there


def template(factors: Factors, factors_id: str, part: int) -> Edit:
    return Edit("add", factors.info.layer, factors_id, Region(parts=(part,)), appearance=0, strength=0.0)


@torch.inference_mode()
def measure(
    renderer: Renderer, recipe: Recipe, edits: list[Edit], half_size: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """visible and overshoot of each edit, [n] each, and their pictures; the recipe's own edit has strength 0."""
    images = renderer.variants(recipe, 0, [recipe.edits[0], *edits], half_size)
    base, images = images[:1], images[1:]
    M = renderer.region_map(recipe, edits[0])[None, None]
    M = F.interpolate(M, images.shape[-2:], mode="area")[0, 0]
    change = (images.clamp(-1, 1) - base.clamp(-1, 1)).abs().mean(dim=1)
    over = (images.abs() - 1).clamp_min(0).mean(dim=1) - (base.abs() - 1).clamp_min(0).mean(dim=1)
    return (change * M).sum(dim=(1, 2)) / M.sum(), (over * M).sum(dim=(1, 2)) / M.sum(), images


def measure_ends(renderer: Renderer, name: str, factors: Factors, factors_id: str, seeds: list[int]) -> Factors:
    """The factors with, for every part and look, the smallest end at which its weaker side is clearly visible (a weak
    look: at which it can be seen) and neither side broke; looks without such an end leave `suggested`: the first is
    repeated in their place."""
    reach, suggested = {}, factors.suggested.clone()
    for part in range(factors.parts.shape[1]):
        base = template(factors, factors_id, part)
        tried = factors.offered(part, TRIED)
        edits = [
            replace(base, appearance=j, strength=sign * s) for j in tried for s in STEPS for sign in (-1, 1)
        ]  # fmt: skip
        recipes = [Recipe(name, None, None, seed, factors.info.psi, (base,)) for seed in seeds]
        measured = [measure(renderer, recipe, edits)[:2] for recipe in recipes]
        visible, over = (torch.stack([m[i] for m in measured]).mean(0).view(len(tried), -1, 2) for i in (0, 1))
        works = []
        for row, j in enumerate(tried):
            weaker, worse = visible[row].amin(dim=1).tolist(), over[row].amax(dim=1).tolist()
            whole = [i for i in range(len(STEPS)) if worse[i] <= MOST] or [0]
            good = [i for i in whole if weaker[i] >= GOOD and STEPS[i] <= FAR]
            seen = [i for i in whole if weaker[i] >= SEEN and STEPS[i] >= FAR]
            reach[f"{part},{j}"] = STEPS[(good or seen or whole[-1:])[0]]
            works.append(bool(good or seen))
        order = [j for j, shown in zip(tried, works) if shown] or tried[:1]
        row = order + order[:1] * (suggested.shape[1] - len(order))  # a number repeated: no more that can be seen
        suggested[part] = torch.tensor(row)
        where = f"layer {factors.info.layer}, {factors.part_name(part)}"
        print(f"{where}: {sum(works)} of {len(works)} looks work", flush=True)
    return replace(factors.with_info(reach=reach), suggested=suggested)


def draw_sheet(rows: list[tuple[str, list[Image.Image]]], path: Path) -> None:
    side, margin = 96, 190
    columns = max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (margin + columns * (side + 2), len(rows) * (side + 2)), "white")
    pen = ImageDraw.Draw(sheet)
    for y, (label, images) in enumerate(rows):
        pen.multiline_text((6, y * (side + 2) + 20), label, fill="black")
        for x, image in enumerate(images):
            sheet.paste(image.resize((side, side), Image.Resampling.BICUBIC), (margin + x * (side + 2), y * (side + 2)))
    sheet.save(path)


def check(renderer: Renderer, name: str, factors: Factors, factors_id: str, seeds: list[int], out: Path) -> list[dict]:
    table = []
    for part in range(factors.parts.shape[1]):
        base, rows = template(factors, factors_id, part), []
        numbers = factors.offered(part, LOOKS)
        edits = [replace(base, appearance=j, strength=s * factors.reach(j, part)) for j in numbers for s in (-1, 0, 1)]
        measured = [
            measure(renderer, Recipe(name, None, None, seed, factors.info.psi, (base,)), edits) for seed in seeds
        ]
        visible, over = (torch.stack([m[i] for m in measured]).mean(0).view(-1, 3) for i in (0, 1))
        pictures = [to_pil(m[2]) for m in measured]
        for row, j in enumerate(numbers):
            low, high = float(visible[row, 0]), float(visible[row, 2])
            worst = max(float(over[row, 0]), float(over[row, 2]))
            verdict = "broke" if worst > MOST else "nothing" if min(low, high) < LEAST else "ok"
            end = factors.reach(j, part)
            label = f"look {row + 1} (a{j}), +-{end:g}\n-: {low:.3f}  +: {high:.3f}\nover {worst:.3f}\n{verdict}"
            rows.append((label, [p[3 * row + i] for p in pictures for i in range(3)]))
            table.append({"layer": factors.info.layer, "part": part, "name": factors.part_name(part), "look": row + 1,
                          "appearance": j, "end": end, "visible_minus": round(low, 4), "visible_plus": round(high, 4),
                          "overshoot": round(worst, 4), "verdict": verdict})  # fmt: skip
        draw_sheet(rows, out / f"layer{factors.info.layer}-part{part}.png")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--generator", default=next(iter(GENERATORS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 3, 7, 11])
    parser.add_argument("--write", action="store_true", help="measure the ends first, and keep them in the factors")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    renderer, table = Renderer(), []
    folder = GENERATORS[args.generator].factors_folder(renderer.catalogue.generator(args.generator).weights)
    for layer, factors_id in renderer.catalogue.bundled(args.generator).items():
        factors = renderer.catalogue.factors(args.generator, factors_id)
        if args.write:
            factors = measure_ends(renderer, args.generator, factors, factors_id, args.seeds[:3])
            factors.save(folder / f"{factors_id.removeprefix('bundled:')}.safetensors")
            renderer.catalogue.add(args.generator, factors_id, factors)
            ends = factors.info.reach.values()
            print(f"layer {layer}: ends from {min(ends):g} to {max(ends):g} (default {DEFAULT_REACH:g})")
        table += check(renderer, args.generator, factors, factors_id, args.seeds, args.out)
    with (args.out / "strengths.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    for verdict in ("ok", "nothing", "broke"):
        chosen = [row for row in table if row["verdict"] == verdict]
        print(f"{verdict}: {len(chosen)} of {len(table)}")
        if verdict != "ok":
            for row in chosen:
                where = f"layer {row['layer']}, {row['name']}, look {row['look']} (a{row['appearance']})"
                seen = f"visible {row['visible_minus']} / {row['visible_plus']}"
                print(f"  {where}: {seen}, overshoot {row['overshoot']}")


if __name__ == "__main__":
    main()
