"""The page as a Space on the Hub: which files go there, which of those there go away, and the commit."""

import re
from dataclasses import dataclass
from pathlib import Path

from .. import hub

ROOT = Path(__file__).parents[2]
# what a Space needs, and nothing else: no tests, tools or benchmarks, and nothing that merely lies about
TAKEN = ("app.py", "README.md", "LICENSE", "requirements.txt", "panda_core", "ui", "assets")
THUMBNAIL = "assets/screenshots/edit.png"


@dataclass(frozen=True)
class Plan:
    """What a deployment will do. files: path there -> path here, or bytes; gone: paths that are no longer ours."""

    repo: str
    exists: bool
    files: dict[str, Path | bytes]
    gone: tuple[str, ...]

    def words(self) -> str:
        sizes = {name: len(data) if isinstance(data, bytes) else data.stat().st_size
                 for name, data in self.files.items()}  # fmt: skip
        lines = [f"{'Update' if self.exists else 'Create'} the Space {self.repo}: {len(sizes)} files, "
                 f"{sum(sizes.values()) / 1e6:.1f} MB, in one commit. Left out: tests, tools, benchmarks."]  # fmt: skip
        lines += [f"  put     {name} ({size:,} bytes)" for name, size in sizes.items()]
        return "\n".join([*lines, *(f"  delete  {name}" for name in self.gone)])


def plan(repo: str, root: Path = ROOT) -> Plan:
    """What `deploy` would do now; changes nothing, here or there.

    Raises: ValueError for a bad name or an incomplete folder; HubError.
    """
    hub.check_name(repo, "Space")
    missing = [name for name in TAKEN if not (root / name).exists()]
    if missing:
        raise ValueError(f"{root} lacks {', '.join(missing)}; deploy from a whole copy of the project.")
    paths = [p for name in TAKEN for p in (root / name, *sorted((root / name).rglob("*"))) if p.is_file()]
    names = {p.relative_to(root).as_posix(): p for p in paths}
    files: dict[str, Path | bytes] = {
        name: path for name, path in names.items() if not re.search(r"(^|/)(\.|__pycache__)|\.(pyc|part)$", name)
    }
    files["README.md"] = with_thumbnail((root / "README.md").read_text(encoding="utf-8"), repo).encode()
    try:
        there, exists = hub.list_files(repo, repo_type="space"), True
    except hub.HubError as error:
        if error.kind != "missing":
            raise
        there, exists = [], False
    return Plan(repo, exists, files, tuple(f for f in there if f.split("/")[0] in TAKEN and f not in files))


def with_thumbnail(readme: str, repo: str) -> str:
    """The README with the address of the Space's own picture in its header, which wants a whole one."""
    line = f"thumbnail: {hub.address(repo, 'space')}/resolve/main/{THUMBNAIL}\n"
    return readme.replace("\nlicense:", f"\n{line}license:", 1)


def deploy(plan: Plan, private: bool = False) -> str:
    """Carry out a plan in one commit, so that the Space never builds half of it; the commit's address.

    Raises: HubError.
    """
    message = "Update from panda_core" if plan.exists else "First version, by panda_core"
    options = {"space_sdk": "gradio"} | ({"private": True} if private else {})
    return hub.upload(plan.repo, plan.files, message, "space", plan.gone, **options)
