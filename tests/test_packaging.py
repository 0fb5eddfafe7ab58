"""The package that pip installs: whole, with its data, and of use without the project's folder."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from panda_core.links import decode_link

ROOT = Path(__file__).parents[1]
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_room_is_installed():
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "panda_core").rglob("__init__.py")}
    assert {*TABLE["tool"]["setuptools"]["packages"]} == {*rooms, "panda_core.assets"}


def test_every_data_file_is_installed():
    patterns = TABLE["tool"]["setuptools"]["package-data"]["*"]
    rooms = {path.parent for path in (ROOT / "panda_core").rglob("__init__.py")}
    for path in (ROOT / "panda_core").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            room = next(folder for folder in path.parents if folder in rooms)
            assert any(path in room.glob(pattern) for pattern in patterns), f"{path} matches none of {patterns}"


def test_the_package_asks_for_what_the_page_does():
    assert {*TABLE["project"]["dependencies"]} < {*(ROOT / "requirements.txt").read_text().splitlines()}


def test_an_installed_copy_draws_the_readmes_picture_from_anywhere(tmp_path):
    source, target, elsewhere = (tmp_path / name for name in ("source", "target", "elsewhere"))
    for folder in ("panda_core", "assets"):
        shutil.copytree(ROOT / folder, source / folder)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, source], check=True, timeout=300)
    shutil.rmtree(source)
    elsewhere.mkdir()
    code, studio = (part.split("```")[0] for part in (ROOT / "README.md").read_text("utf-8").split("```python\n")[1:3])
    environment = os.environ | {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=elsewhere, env=environment, check=True, timeout=300)
    (picture,) = elsewhere.iterdir()
    assert picture.suffix == ".png"
    said = subprocess.run([sys.executable, "-c", studio], cwd=elsewhere, env=environment, check=True, timeout=300,
                          capture_output=True, text=True).stdout.split("\n")  # fmt: skip
    *words, link, _ = said
    assert "smile" in words and decode_link(link).edits
