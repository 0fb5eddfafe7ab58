"""Which files generators and factors need, and which of them are on this machine."""

import hashlib
import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import huggingface_hub as client
from huggingface_hub import constants, errors

from ..generators.registry import HubFile, LocalFile, PackageFile, Source, UrlFile
from .errors import HubError, explained

ENDINGS = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".bin")  # of files that may be generators
FOREIGN = "model.safetensors"  # transformers' name for another form of the weights in pytorch_model.bin


def user_folder() -> Path:
    """PANDA_HOME, or `panda` in the platform's cache folder; not made here."""
    if os.environ.get("PANDA_HOME"):
        return Path(os.environ["PANDA_HOME"])
    if platform.system() == "Windows":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "panda"
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "panda"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "panda"


def is_offline() -> bool:
    """Whether this machine's owner has forbidden to download (HF_HUB_OFFLINE)."""
    return constants.is_offline_mode()


def downloaded_path(source: UrlFile | PackageFile) -> Path:
    """Where a file from a plain address, or a wheel, lies: files of one folder there stay in one folder here."""
    if isinstance(source, PackageFile):
        return user_folder() / "downloads" / "wheels" / source.filename
    digest = hashlib.sha256(source.url.rpartition("/")[0].encode()).hexdigest()[:12]
    return user_folder() / "downloads" / digest / source.filename


def find_local(sources: Sequence[Source]) -> Path | None:
    """The file of the first source that is on this machine; asks no network."""
    return next((path for path in map(_find, sources) if path is not None), None)


def _find(source: Source) -> Path | None:
    if isinstance(source, HubFile):
        cached = partial(client.try_to_load_from_cache, revision=source.revision, repo_type=source.repo_type)
        with suppress(errors.HFValidationError):  # no repository is called so; `download` says it
            paths = [cached(source.repo, name) for name in (source.filename, *source.beside)]
            return Path(paths[0]) if all(isinstance(path, str) for path in paths) else None
        return None
    path = source.where if isinstance(source, LocalFile) else downloaded_path(source)
    return path if all(p.is_file() for p in (path, *map(path.with_name, source.beside))) else None


def list_files(repo: str, revision: str = "main", repo_type: str = "model") -> list[str]:
    """The paths of a repository's files on the Hub. Raises: HubError."""
    with explained(repo=repo, revision=revision, repo_type=repo_type):
        # unlike list_repo_files, no half minute of trying again
        about = client.HfApi().repo_info(repo, revision=revision, repo_type=repo_type, timeout=10)
        return [file.rfilename for file in about.siblings or ()]


def list_local(repo: str, revision: str = "main") -> list[str]:
    """The paths of those of a model's files that are on this machine; asks no network."""
    with suppress(errors.LocalEntryNotFoundError, errors.HFValidationError):
        here = client.snapshot_download(repo, revision=revision, local_files_only=True)
        return [path.relative_to(here).as_posix() for path in Path(here).rglob("*") if path.is_file()]
    return []


KINDS = f"file of a generator ({' '.join(ENDINGS)})"


def find_generator(repo: str, wanted: str = "") -> HubFile:
    """The file of a repository that holds its generator; the wanted one, or the only one that could be it.

    Raises: ValueError if there is none, or the choice is the user's; HubError.
    """
    try:
        files = list_files(repo)
    except HubError:
        files = list_local(repo)
        if not files:
            raise
    found = [f for f in files if f.lower().endswith(ENDINGS) and not f.startswith("factors/")]
    if wanted:
        found = [f for f in files if f == wanted]
    if len(found) > 1:
        found = [f for f in found if f.rpartition("/")[2] != FOREIGN] or found
    if len(found) > 1:
        found = [f for f in found if f.endswith(".safetensors")] or found
    if not found:
        raise ValueError(f"{repo} has no {wanted or KINDS}.")
    if len(found) > 1:
        listed = ", ".join(found[:5])
        raise ValueError(f"{repo} has {len(found)} files that may be a generator: {listed}; add one to the name.")
    folder = found[0].rpartition("/")[0]
    config = f"{folder}/config.json" if folder else "config.json"
    return HubFile(repo, found[0], beside=(config,) if config in files else ())  # a BigGAN-deep needs it


def find_factors(address: str, weights: str, local: bool = False) -> dict[int, str]:
    """Layer -> factors id, of the files for these weights in a repository "owner/name@revision".

    local: only of those on this machine, asking no network. Raises: HubError.
    """
    repo, _, revision = address.partition("@")
    pattern = rf"factors/{weights}/l(\d+)-c.*\.safetensors"
    paths = (list_local if local else list_files)(repo, revision)
    found = ((re.fullmatch(pattern, path), path) for path in paths)
    return {int(match[1]): f"hub:{address}/{path}" for match, path in found if match}
