"""From this machine to the Hub: a folder in one commit, the page as a Space, and a folder that is kept there."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub as client

from .errors import HubError, address, explained
from .files import list_files

ROOT = Path(__file__).parents[2]
# what a Space needs, and nothing else: no tests, tools or benchmarks, and nothing that merely lies about
SPACE_FILES = ("app.py", "README.md", "LICENSE", "requirements.txt", "panda_core", "ui", "assets")
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "*.part")


def check_name(repo: str) -> None:
    """Raises: ValueError if no repository can be called so."""
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repo, re.ASCII):
        raise ValueError(f"The repository is {repo[:100]!r}; its name must be OWNER/NAME.")


def upload(
    repo: str, folder: Path, message: str, repo_type: str = "model", gone: Sequence[str] = (), **create: Any
) -> str:
    """Commit a folder's files to a repository, made if it is missing; the commit's address.

    gone: paths to delete in the same commit; create: further arguments of HfApi.create_repo, such as private.

    Raises: HubError.
    """
    api, deleted = client.HfApi(), list(gone) or None
    with explained(repo=repo, repo_type=repo_type, writing=True):
        api.create_repo(repo, repo_type=repo_type, exist_ok=True, **create)
        return api.upload_folder(repo_id=repo, repo_type=repo_type, folder_path=folder, commit_message=message,
                                 delete_patterns=deleted).commit_url  # fmt: skip


def stage_space(repo: str, folder: Path, root: Path = ROOT) -> None:
    """Copy into an empty folder what the page needs as the Space `repo`.

    Raises: ValueError if `root` is no whole copy of the project.
    """
    missing = [name for name in SPACE_FILES if not (root / name).exists()]
    if missing:
        raise ValueError(f"{root} lacks {', '.join(missing)}; deploy from a whole copy of the project.")
    for name in SPACE_FILES:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy(root / name, folder)
    readme, own = folder / "README.md", f"thumbnail: {address(repo, 'space')}/resolve/main/"  # it wants a whole address
    readme.write_text(readme.read_text("utf-8").replace("\nthumbnail: ", f"\n{own}", 1), "utf-8")


def outdated_files(repo: str, folder: Path) -> list[str] | None:
    """The files of a Space that a staged folder has no more, the owner's own apart; None if there is no such Space.

    Raises: HubError.
    """
    try:
        there = list_files(repo, repo_type="space")
    except HubError as error:
        if error.kind != "missing":
            raise
        return None
    return [name for name in there if name.split("/")[0] in SPACE_FILES and not (folder / name).exists()]
