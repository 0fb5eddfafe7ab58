"""Factors as files to take away: one set of our own, or a recipe together with the factors that only it has."""

import io
import tempfile
import zipfile
import zlib
from pathlib import Path

from panda_core.factors import Factors
from panda_core.recipes import MAX_JSON

from . import view
from .session import Session

MOST_SETS, MOST_BYTES = 8, 64 * 2**20  # of factors in one file, and what they may unpack to


def factors_file(factors: Factors) -> tuple[str, bytes]:
    return f"panda-{factors.info.generator}-{factors.stem()}.safetensors", packed(factors)


def packed(factors: Factors) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        factors.save(Path(folder) / "factors.safetensors")
        return (Path(folder) / "factors.safetensors").read_bytes()


def own_ids(session: Session) -> list[str]:
    """Ids of the factors that the recipe's edits use and that exist only here."""
    return list(dict.fromkeys(e.factors for e in session.recipe.edits if e.factors.startswith("local:")))


def together(session: Session) -> tuple[str, bytes]:
    """A zip of recipe.json and the factors that only it has."""
    recipe, out = view.renderer.pin(session.recipe), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recipe.json", recipe.to_json())
        for factors_id in own_ids(session):
            factors = view.renderer.catalogue.factors(recipe.generator, factors_id)
            archive.writestr(f"factors/{factors.digest()}.safetensors", packed(factors))
    return f"panda-{recipe.generator}-{recipe.seed}.zip", out.getvalue()


def read_together(path: Path, folder: Path) -> tuple[str, list[Factors]]:
    """The recipe's text, unchecked, and the factors of what `together` made; unpacks no more than it may.

    Raises: ValueError if the file is damaged or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            sets = [name for name in sizes if name.startswith("factors/") and name.endswith(".safetensors")]
            if set(sizes) != {"recipe.json", *sets} or len(sets) > MOST_SETS:
                raise ValueError(f"{path.name} must hold recipe.json and at most {MOST_SETS} factors files.")
            if sizes["recipe.json"] > MAX_JSON or sum(sizes.values()) > MOST_BYTES:
                raise ValueError(f"{path.name} unpacks to more than the {MOST_BYTES >> 20} MB that are accepted.")
            found = []
            for name in sets:
                (folder / "factors.safetensors").write_bytes(archive.read(name))  # never more than the size it states
                found.append(Factors.load(folder / "factors.safetensors"))
            return archive.read("recipe.json").decode(), found
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path.name} is not a whole .zip file of recipe and factors.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"The recipe in {path.name} is not UTF-8 text.") from error
