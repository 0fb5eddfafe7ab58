"""The command line: python -m panda_core list | convert | render | invert | fit | rank | publish | deploy."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from .catalogue import Catalogue
from .checkpoints.load import convert
from .fitting import fit_layer
from .generators.registry import GENERATORS
from .hub.files import user_folder
from .hub.upload import check_name, outdated_files, stage_space, upload
from .images import png_bytes, read_recipe_json, to_pil
from .links import decode_link
from .method.inversion import invert
from .own_picture import OwnPicture
from .progress import Progress
from .publishing import prepare
from .ranking import EVERYWHERE, RankingIndex
from .recipes import parse_recipe
from .rendering import Renderer
from .runtime.allocator import keep_freed_memory
from .runtime.distributed import Team, join
from .uploads import Crop, prepare_picture


def list_generators(args: argparse.Namespace) -> None:
    """One line per generator: what, how large, where, under which terms."""
    rows = [("name", "what", "pixels", "size", "", "licence")]
    for name, path in Catalogue().here().items():
        spec = GENERATORS[name]
        size = path.stat().st_size / 1e6 if path else spec.mb
        place = "here" if path else "to download" if spec.tried else "to download, never tried"
        rows.append((name, spec.title, str(spec.resolution), "?" if size is None else f"{size:.0f} MB", place,
                     spec.licence.partition(";")[0]))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = (text.rjust(w) if i in (2, 3) else text.ljust(w) for i, (text, w) in enumerate(zip(row, widths)))
        print("  ".join(cells).rstrip())


def convert_file(args: argparse.Namespace) -> None:
    written = convert(args.source, args.target, args.licence)
    print(f"{args.target}: {written['family']}, {written['resolution']} pixels, weights {written['hash']}")


def invert_picture(args: argparse.Namespace) -> None:
    """Find a picture in a generator, and write where as a .panda file."""
    catalogue, psi = open_generator(args)
    name, loaded = catalogue.spec(args.generator).name, catalogue.generator(args.generator)
    layer = catalogue.default_layer(args.generator) if args.layer is None else args.layer
    crop = Crop(args.x, args.y, args.zoom, args.turn)
    picture = prepare_picture(args.picture, loaded.generator.resolution, crop)
    space = catalogue.space(args.generator, args.class_index, psi, show)
    found = invert(loaded.generator, space, picture, layer, report=show)
    own = OwnPicture.of(found, 0, picture, space, name, loaded.weights)
    own.save(args.out)
    print(f"\n{args.out}: {', '.join(f'{stage} {found:.1f} dB' for stage, found in own.psnr.items())}")


def render(args: argparse.Namespace) -> None:
    """A recipe's picture, of a seed or a .panda file; one in such a file without edits as the generator draws it."""
    renderer = Renderer(Catalogue(own=True))
    alone = args.recipe.endswith(".panda")
    held = Path(args.recipe) if alone else args.own
    own, inside = (None, None) if held is None else OwnPicture.load_edited(held)
    recipe = inside if alone else read_recipe(args.recipe)
    renderer.catalogue.generator(recipe.generator, show)
    if own is not None:
        renderer.add_own_picture(own)
    recipe = renderer.pin(recipe)
    image = renderer.image(recipe) if alone and not recipe.ordered() else renderer.shown(recipe)
    args.out.write_bytes(png_bytes(to_pil(image)[0], recipe.to_json()))


def read_recipe(text: str):
    """A recipe from a JSON file, a PNG of ours, JSON text, a link, or a link's parameter r."""
    text = text.strip()
    if text.startswith("{"):
        return parse_recipe(text)
    path = Path(text)
    if path.suffix.lower() in (".json", ".png"):
        if not path.is_file():
            raise ValueError(f"There is no file {text}.")
        data = path.read_bytes()
        return parse_recipe(read_recipe_json(data) if path.suffix.lower() == ".png" else data)
    return decode_link(parse_qs(urlsplit(text).query).get("r", [text])[0])


def open_generator(args: argparse.Namespace) -> tuple[Catalogue, float]:
    """A catalogue in which the generator that was named is loaded, and the ψ that was given, or its own."""
    catalogue = Catalogue(own=True)
    catalogue.generator(args.generator, show)
    return catalogue, catalogue.spec(args.generator).default_psi if args.psi is None else args.psi


def fit(args: argparse.Namespace) -> None:
    catalogue, psi = open_generator(args)
    layer = catalogue.default_layer(args.generator) if args.layer is None else args.layer
    name, loaded = catalogue.spec(args.generator).name, catalogue.generator(args.generator)
    options = args.appearances, args.parts, args.samples, args.seed, psi, args.class_index
    lost = "Another worker ended before the samples were drawn. Nothing was written; the same command starts again."
    with join(lost) as team:
        factors = fit_layer(name, loaded, layer, *options, show if team.worker == 0 else None)
    if team.worker > 0:
        return  # the first worker writes for all
    path = args.out or factors.path(user_folder())
    factors.save(path)
    info = factors.info
    print(f"\n{path}: {info.samples} samples, {info.energy:.4f} of the energy explained (at most {info.bound:.4f}), "
          f"least stable part {min(info.stability):.2f}")  # fmt: skip


def rank(args: argparse.Namespace) -> None:
    catalogue, psi = open_generator(args)
    index, draw = catalogue.ranking(args.generator, args.factors, psi, args.class_index)
    lost = (
        f"Another worker ended before its pictures were done. Finished shards are kept in {index.folder}; "
        "the same command goes on from them."
    )
    with join(lost) as team:
        index = grow_together(index, draw, args.count, team)
    if team.worker > 0:
        return  # the first worker answers for all
    scores = index.scores(args.appearance, EVERYWHERE if args.part is None else args.part)
    top, low = index.extremes(scores, args.show)
    print(f"\n{len(index)} pictures in {index.folder}")
    print("most:  seeds", *top)
    print("least: seeds", *low)


def publish(args: argparse.Namespace) -> None:
    with TemporaryDirectory() as name:
        prepare(args.file, args.repo, folder := Path(name), Catalogue(own=True), show)
        print(f"To {args.repo} ({'private' if args.private else 'public'}, made if missing):")
        if args.dry_run:
            print(f"\n{(folder / 'README.md').read_text('utf-8')}")
        send(args, args.repo, folder, f"Add {args.file.name}")


def deploy(args: argparse.Namespace) -> None:
    check_name(args.space)
    with TemporaryDirectory() as name:
        stage_space(args.space, folder := Path(name))
        gone = outdated_files(args.space, folder)
        print(f"{'Create' if gone is None else 'Update'} the Space {args.space}. Left out: tests, tools, benchmarks.")
        send(args, args.space, folder, "The page, by panda_core", gone or (), repo_type="space", space_sdk="gradio")


def send(args: argparse.Namespace, repo: str, folder: Path, message: str, gone: Sequence[str] = (), **more) -> None:
    """Say which files go to a repository, in one commit, and send them unless this is a dry run."""
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        print(f"  put     {path.relative_to(folder).as_posix()} ({path.stat().st_size:,} bytes)")
    for path in gone:
        print(f"  delete  {path}", flush=True)
    more |= {"gone": gone, "private": args.private}
    print("Nothing was sent." if args.dry_run else upload(repo, folder, message, **more))


def grow_together(index: RankingIndex, draw, count: int, team: Team) -> RankingIndex:
    """The index of the pictures 0 ... count - 1: this worker's share of them, then everybody's.

    Every worker draws a range of its own and adds shards to the one folder; nothing is sent between them but that they
    are done. What a killed worker had finished stays, and the same command goes on from there.
    """
    if team.workers == 1:
        index.grow(draw, count, report=show)
        return index
    first, upto = (count * worker // team.workers for worker in (team.worker, team.worker + 1))
    shard = max(256, min(4096, -(-count // (8 * team.workers))))
    index.grow(draw, upto, first, shard=shard, report=show if team.worker == 0 else None)
    team.wait()
    return RankingIndex(index.folder, index.table, index.about)


def show(progress: Progress) -> None:
    if progress.stage == "downloading":
        total = f" of {progress.total / 1e6:.1f}" if progress.total else ""
        text = f"{progress.done / 1e6:.1f}{total} MB"
    else:
        energy = "" if progress.energy is None else f", {progress.energy:.4f} explained"
        near = "" if progress.psnr is None else f", {float(progress.psnr.mean()):.1f} dB"
        text = f"{progress.done} of at most {progress.total}{energy}{near}"
    print(f"{progress.stage}: {text}   ", end="\r", file=sys.stderr)


def read_arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("panda_core", description="Parts and appearances in generators, without the page.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable, name: str, help: str, *parents: argparse.ArgumentParser) -> Callable:
        made = commands.add_parser(name, help=help, parents=parents)
        made.set_defaults(run=run)
        return made.add_argument

    sampled, sent = (argparse.ArgumentParser(add_help=False) for _ in range(2))
    sampled.add_argument("--generator", default="portraits")
    sampled.add_argument("--psi", type=float)
    sampled.add_argument("--class", type=int, dest="class_index", metavar="CLASS", help="default: all of them")
    sent.add_argument("--private", action="store_true", help="if it is made now, only its owner sees it")
    sent.add_argument("--dry-run", action="store_true", help="only say what would be done")

    command(list_generators, "list", "the generators there are")
    add = command(convert_file, "convert", "a published checkpoint as our safetensors, running nothing in it")
    add("source", type=Path)
    add("target", type=Path)
    add("--licence", default="unknown", help="of the weights; the file does not say it")
    add = command(render, "render", "a recipe as a PNG picture")
    add("recipe", help="a JSON file, a PNG or .panda file downloaded from the page, JSON text, or a link")
    add("out", type=Path)
    add("--own", type=Path, metavar="PANDA", help="the .panda file of the picture that the recipe's source names")
    add = command(invert_picture, "invert", "find your own picture in a generator", sampled)
    add("picture", type=Path)
    add("out", type=Path, help="a .panda file, which the page opens")
    add("--layer", type=int, help="that edits will be at")
    for name, default in (("x", 0.5), ("y", 0.5), ("zoom", 1.0), ("turn", 0.0)):
        add(f"--{name}", type=float, default=default, help="of the crop: see panda_core/uploads.py")
    add = command(fit, "fit", "learn the factors of one layer", sampled)
    add("--layer", type=int)
    add("--appearances", type=int, metavar="R_C", help="default: as many as channels")
    add("--parts", type=int, metavar="R_S", default=8)
    add("--samples", type=int, metavar="N", help="default: as many as needed")
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="default: its place in the user's data folder")
    add = command(rank, "rank", "order pictures by an appearance, anywhere or at a part", sampled)
    add("factors", help="a factors id, such as bundled:l5-call-psi0.8-128x8")
    add("--count", type=int, default=1000, help="pictures, of seeds 0, 1, 2, ...; the index is kept")
    add("--appearance", type=int, default=0)
    add("--part", type=int, help="default: anywhere")
    add("--show", type=int, default=12)
    add = command(publish, "publish", "factors, or a converted generator, to the Hub, with a card", sent)
    add("file", type=Path, help="what fit or convert wrote")
    add("repo", help="owner/name, with HF_TOKEN set to a token that may write there")
    add = command(deploy, "deploy", "the page as a Space on the Hub, new or brought up to date", sent)
    add("space", metavar="OWNER/NAME")
    return parser.parse_args(given)


def main(arguments: list[str] | None = None) -> int:
    args = read_arguments(arguments)
    keep_freed_memory()
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"panda_core: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
