"""benchmarks/report/: the tables as Markdown with small pictures, and as one HTML page that needs no other file."""

import base64
import html
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks import refine_truth, third_party
from benchmarks.tables import ROOT, Run, methods_for, slug, takes_away
from benchmarks.truth import WISHES
from tools.truth import Wish

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;font-size:13px;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{padding:.2rem .5rem;border-bottom:1px solid #ddd;text-align:right;font-variant-numeric:tabular-nums}"
    "th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)


README = ROOT.parent / "README.md"
MARKS = "<!-- from benchmarks.tables -->", "<!-- to here -->"
SHORT = ("variations", "PandA", "transfer", "GANSpace", "SeFa", "StyleSpace", "LowRankGAN", "ReSeFa", "LELSD", "SAE")
GROUPS = {  # of the portraits' wishes: the factors that a column of the README's table is the mean of
    "glasses": ("glasses",),
    "hat": ("hat",),
    "hair": ("hair_length", "hair_colour", "fringe"),
    "mouth": ("mouth_openness", "mouth_curve", "mouth_width"),
    "eyes": ("eye_openness", "eye_size", "gaze"),
    "brows": ("brow_tilt", "brow_thickness"),
    "nose": ("nose_length",),
    "skin": ("skin_tone",),
    "clothes": ("clothes_shade",),
    "behind": ("object",),
}


class Page:
    """Headings, paragraphs, tables and pictures, written twice."""

    def __init__(self) -> None:
        self.markdown: list[str] = []
        self.html: list[str] = []

    def heading(self, words: str, level: int = 2) -> None:
        self.markdown.append(f"{'#' * level} {words}")
        self.html.append(f"<h{level}>{html.escape(words)}</h{level}>")

    def text(self, words: str) -> None:
        self.markdown.append(words)
        self.html.append("<p>" + re.sub("`(.*?)`", r"<code>\1</code>", html.escape(words)) + "</p>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [head, ["---"] * len(head), *rows]
        self.markdown.append("\n".join(f"| {' | '.join(row)} |" for row in lines))
        cells = ["".join(f"<td>{bold(html.escape(cell))}</td>" for cell in row) for row in rows]
        titles = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        self.html.append(f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>")

    def picture(self, path: Path, words: str) -> None:
        self.markdown.append(f"![{words}]({path.name})")
        data = base64.b64encode(path.read_bytes()).decode()
        self.html.append(f'<img alt="{html.escape(words)}" src="data:image/jpeg;base64,{data}">')

    def save(self, folder: Path, title: str) -> None:
        (folder / "report.md").write_text("\n\n".join(self.markdown) + "\n")
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        (folder / "report.html").write_text(f"{head}\n" + "\n".join(self.html) + "\n</html>\n")


def bold(words: str) -> str:
    return f"<strong>{words[2:-2]}</strong>" if words.startswith("**") else words


def write(run: Run, wishes: Sequence[Wish], machine: str, home: Path) -> Path:
    """The report of every cell that is finished; the folder it is in."""
    folder, page, sizes = home / run.world.name, Page(), run.sizes
    folder.mkdir(parents=True, exist_ok=True)
    cells = {wish.name: read(run, wish) for wish in wishes}
    done = [wish for wish in wishes if cells[wish.name]]
    names = [name for name in methods_for(run.world, wishes[0]) if name != "removal"]
    page.heading(f"What one edit brings about: {run.world.name}", 1)
    page.text(
        f"Made by `python -m benchmarks.tables --world {run.world.name}{' --quick' * (sizes.wishes is not None)}`. A "
        "wish changes one factor of the drawn world; the picture wanted is what the generator draws for that latent. "
        f"One rule chooses every method's edit on {sizes.select} pictures; it is reported on {sizes.report} others, at "
        f"{run.side} pixels, in half precision. M is where a wanted picture differs from the one there is. Directions "
        "are found without labels; where a wish changes pictures, and which direction serves it, every method is told "
        "alike by exact pictures. In this world a factor is a linear direction of the latent z, which helps methods "
        "that edit w."
    )
    missing = [wish.name for wish in wishes if wish not in done]
    if missing:
        page.text(f"Not measured yet: {', '.join(missing)}. The same command goes on with them.")
    page.heading("Share made up for")
    page.text(
        "1 - Σ min_s ‖X_s - X*‖² / Σ ‖X - X*‖²: 1 is the picture wanted, 0 is no nearer than before; the best of six "
        "strengths for each picture, in the direction chosen. Bold: the best of a row, and what is within 0.02 of it."
    )
    page.table(["wish", *names], by_wish(done, cells, names, "share", "{:.2f}", max, 0.02))
    page.text(wins(done, cells, names))
    page.heading("ROIR at equal effect")
    page.text(
        "Change outside M over change inside, mean ± deviation over pictures, each where its change inside M is half "
        "of what is wanted: lower is more local. In brackets the share of the pictures where a method reaches that "
        "effect at all at twice its largest strength, if not all; a dash where fewer than half do."
    )
    page.table(["wish", *names], [[wish.name, *(roir(cells[wish.name].get(n)) for n in names)] for wish in done])
    page.heading("SSIM outside M, at the nearest strength to equal effect")
    page.text("What never reaches that effect changes little, and looks good here: read it beside the dashes above.")
    page.table(["wish", *names], by_wish(done, cells, names, "ssim", "{:.3f}", max, 0.001))
    page.heading("Sliced Wasserstein distance to the generator's own wanted pictures, at the same strength")
    page.text("Mean over the levels of the pyramid, times 1000; with this few pictures its floor is far from 0.")
    page.table(["wish", *names], by_wish(done, cells, names, "wasserstein", "{:.0f}", min, 0.5))
    page.heading("In the mean, and what it costs")
    page.text(
        "CPU seconds on one thread. Learning is paid once, a region's share for every wish. The factors of PandA and "
        "of the variations come with the generator; what fitting one layer takes is in benchmarks/README.md."
    )
    page.table(
        ["method", "share", "median ROIR", "SSIM", "Wasserstein", "to learn", "for a region", "candidates"],
        [summary(run, name, [cells[w.name][name] for w in done if name in cells[w.name]]) for name in names],
    )
    page.heading("Which edit it was")
    page.table(
        ["wish", *names], [[w.name, *(str(cells[w.name].get(n, {}).get("which", "–")) for n in names)] for w in done]
    )
    pictures(page, run, done, cells, names, folder)
    removal(page, run, done, cells)
    reading(page, run, wishes)
    if run.world.name == "portraits":
        refine_truth.section(page)
        third_party.section(page)
    page.text(machine)
    page.save(folder, f"PandA: {run.world.name}")
    (folder / "cells.json").write_text(json.dumps(cells) + "\n")
    return folder


def short_table(home: Path = ROOT / "report") -> str:
    """The README's table, from what the report holds: what each method makes up for of the wishes of a group, and of
    all, in the mean; the best method first."""
    cells = json.loads((home / "portraits" / "cells.json").read_text())
    of = {group: [w.name for w in WISHES["portraits"] if w.factor in factors] for group, factors in GROUPS.items()}
    columns = [*of.values(), [wish.name for wish in WISHES["portraits"]]]
    means = {m: [statistics.fmean(cells[wish][m]["share"] for wish in names) for names in columns] for m in SHORT}
    top = [max(column) for column in zip(*means.values())]
    lines = [("method", *of, "all 25"), ["---"] * (len(columns) + 1)]
    for method, values in sorted(means.items(), key=lambda item: -item[1][-1]):
        marked = (f"**{v:.2f}**" if best - v <= 0.02 else f"{v:.2f}" for v, best in zip(values, top))
        lines.append((method, *marked))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(words: str, table: str) -> str:
    """The README with this table between its marks."""
    first, last = MARKS
    before, rest = words.split(first)
    return f"{before}{first}\n\n{table}\n\n{last}{rest.split(last)[1]}"


def read(run: Run, wish: Wish) -> dict[str, dict]:
    """The finished cells of a wish; a wish with some missing is not reported."""
    paths = {n: run.folder / slug(wish.name) / f"{slug(n)}.json" for n in methods_for(run.world, wish)}
    if not all(path.is_file() for path in paths.values()):
        return {}
    return {name: json.loads(path.read_text()) for name, path in paths.items()}


def by_wish(done, cells, names, key: str, form: str, best, near: float) -> list[list[str]]:
    rows = []
    for wish in done:
        values = [cells[wish.name][name][key] for name in names]
        top = best(values)
        rows.append([wish.name, *(f"**{form.format(v)}**" if abs(v - top) <= near else form.format(v) for v in values)])
    return rows


def roir(cell: dict | None) -> str:
    if not cell or cell["roir_sd"] is None or cell["reached"] < 0.5:
        return "–"
    some = "" if cell["reached"] == 1 else f" ({cell['reached']:.0%})"
    return f"{cell['roir']:.2f} ± {cell['roir_sd']:.2f}{some}"


def wins(done, cells, names) -> str:
    """A sentence on how often each method is the best, and where it is not the variations, by how much."""
    if not done:
        return ""
    first = {wish.name: max(names, key=lambda n: cells[wish.name][n]["share"]) for wish in done}
    counts = {name: sum(winner == name for winner in first.values()) for name in names}
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda x: -x[1]) if count)
    lost = [
        f"{wish} ({winner}, by {cells[wish][winner]['share'] - cells[wish]['variations']['share']:.2f})"
        for wish, winner in first.items()
        if winner != "variations"
    ]
    return f"Best of a row: {said}. " + (f"Variations do not win: {', '.join(lost)}." if lost else "")


def summary(run: Run, name: str, held: list[dict]) -> list[str]:
    if not held:
        return [name] + ["–"] * 7
    mean = {key: statistics.fmean(cell[key] for cell in held) for key in ("share", "ssim", "wasserstein", "seconds")}
    ratios = [c["roir"] if c["roir"] is not None and c["reached"] >= 0.5 else float("inf") for c in held]
    middle = statistics.median(ratios)
    learned = run.folder / "learned" / f"{slug(name)}.json"
    seconds = f"{json.loads(learned.read_text())['seconds']:.1f} s" if learned.is_file() else "–"
    if name in ("variations", "PandA", "PandA, refined", "transfer"):
        seconds = "bundled"
    return [
        name, f"{mean['share']:.2f}", "–" if middle == float("inf") else f"{middle:.2f}", f"{mean['ssim']:.3f}",
        f"{mean['wasserstein']:.0f}", seconds, f"{mean['seconds']:.1f} s", f"{max(c['candidates'] for c in held)}",
    ]  # fmt: skip


def pictures(page: Page, run: Run, done, cells, names, folder: Path) -> None:
    """Two pictures for a few wishes: as they are, as wanted, and as each method brings them there."""
    page.heading("Seen")
    page.text("From left to right: before, wanted, then " + ", ".join(names) + "; each at its best strength.")
    held = {w: [run.folder / slug(w.name) / f"{slug(n)}.jpg" for n in ("before", "wanted", *names)] for w in done}
    seen = [wish for wish in done if all(path.is_file() for path in held[wish])]  # cells may come without pictures
    for wish in seen[:: max(1, len(seen) // 6)][:6]:
        shown = [Image.open(path) for path in held[wish]]
        strip = Image.new("RGB", (sum(p.width for p in shown), shown[0].height))
        for i, picture in enumerate(shown):
            strip.paste(picture, (i * shown[0].width, 0))
        strip.thumbnail((1300, 1300))
        path = folder / f"{slug(wish.name)}.jpg"
        strip.save(path, quality=80, optimize=True)
        shares = ", ".join(f"{n} {cells[wish.name][n]['share']:.2f}" for n in names)
        page.heading(wish.name, 3)
        page.picture(path, f"{wish.name}: {shares}")


def removal(page: Page, run: Run, done, cells) -> None:
    gone = [wish for wish in done if takes_away(run.world, wish)]
    if not gone:
        return
    page.heading("Removal")
    page.text(
        "Pixels of M at one strength for all pictures: left, those that moved by less than half of the wanted change; "
        'gained, those within half of it from what is really behind. The rest became something else. "Removal" covers '
        "a thing with this picture's background (on the page, and I 4.1.1)."
    )
    names = ("removal", "variations", "PandA", "transfer", "GANSpace", "StyleSpace", "SAE")
    page.table(
        ["wish", "method", "left", "gained", "share made up for", "which"],
        [
            [w.name, n, f"{c['left']:.2f}", f"{c['gained']:.2f}", f"{c['share']:.2f}", c["which"]]
            for w in gone
            for n in names
            for c in [cells[w.name][n]]
        ],
    )


def reading(page: Page, run: Run, wishes: Sequence[Wish]) -> None:
    """The tables of masks and of ranking, if their cells are there."""
    path = run.folder / "background.json"
    if path.is_file():
        page.heading(f"The {run.world.parts[0]} as a mask")
        page.text(
            f"IoU with the exact mask, {run.sizes.masks} pictures; appearance and sign are chosen on 50 others with "
            "their exact masks, as is the supervised bound, a logistic regression on the same features; the latent "
            "direction on 8 of the 50."
        )
        rows = json.loads(path.read_text())["rows"]
        page.table(["mask", "mean", "median"], [[r["words"], f"{r['mean']:.2f}", f"{r['median']:.2f}"] for r in rows])
    path = run.folder / "ranking.json"
    if path.is_file():
        page.heading("Ranking")
        page.text(
            f"Spearman's |ρ| with the factor over {run.sizes.ranked} pictures, by the best score of each kind on 200 "
            "others: a_jᵀZ at a part, anywhere, a variation's score, a principal component of w."
        )
        rows = json.loads(path.read_text())["rows"]
        kinds = [key for key in rows[0] if key != "factor"]
        page.table(["factor", *kinds], [[r["factor"], *marked([r[k] for k in kinds])] for r in rows])


def marked(values: list[float]) -> list[str]:
    return [f"**{v:.2f}**" if max(values) - v <= 0.02 else f"{v:.2f}" for v in values]
