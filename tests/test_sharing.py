"""What leaves the page and comes back: PNG, Python lines, the address."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import app
from panda_core.images import read_recipe_json, to_pil
from panda_core.recipes import parse_recipe
from ui.sharing import SIDES

from .page import picture


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("side", SIDES)
def test_the_png_carries_the_recipe_and_opens(hand, side):
    data = base64.b64decode(json.loads(app.sharing.picture_file(hand, side))["data"])
    again = app.sharing.open_file(app.opening.start(), data)
    assert again.recipe == hand.recipe
    assert again.undo().recipe == app.opening.start().recipe
    image = opened(data)
    assert image.size == (side, side)
    made = to_pil(picture(hand))[0]
    assert np.abs(np.int16(image.resize(made.size, Image.Resampling.BOX)) - np.int16(made)).mean() < 2
    assert parse_recipe(read_recipe_json(data)).weights is not None


@pytest.mark.parametrize("side", [0, 300, 10**6, None, "512"])
def test_a_download_has_one_of_the_sizes_offered(hand, side):
    with pytest.raises(ValueError, match="256, 512, 1024"):
        app.sharing.picture_file(hand, side)


@pytest.mark.parametrize("data", [b"GIF89a", b"", None, "text"])
def test_a_file_that_is_none_of_ours_is_refused(hand, data):
    with pytest.raises(ValueError):
        app.sharing.open_file(hand, data)


def test_copy_as_python_saves_the_picture_with_its_recipe(hand, tmp_path):
    environment = {"PYTHONPATH": str(Path(app.__file__).parent), "OMP_NUM_THREADS": "1"}
    code = app.sharing.python_lines(hand)
    assert code.startswith("# pip install ")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    data = (tmp_path / "picture.png").read_bytes()
    made = np.asarray(opened(data), np.int16)
    assert np.abs(made - np.asarray(to_pil(picture(hand))[0], np.int16)).max() <= 1  # another number of threads
    assert parse_recipe(read_recipe_json(data)).edits == hand.recipe.edits


def test_the_address_of_the_start_page_is_empty_and_of_another_picture_its_link(hand):
    assert app.sharing.address(app.opening.start()) == ""
    assert app.opening.open_link(app.sharing.address(hand)).recipe == hand.recipe
