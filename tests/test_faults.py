"""The fault table: what is done to the app, what a visitor reads, and that nothing saved is lost or half-written."""

import errno
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import safetensors.torch
import torch

import app
from panda_core import ranking
from panda_core.catalogue import Catalogue
from panda_core.checkpoints import load as checkpoints
from panda_core.factors import Factors
from panda_core.ranking import RankingIndex
from panda_core.recipes import parse_recipe
from panda_core.rendering import Renderer
from panda_core.runtime import atomic_write as whole
from panda_core.runtime import devices
from panda_core.studio import opening
from panda_core.studio.gallery import Gallery
from tests.helpers import GENERATOR, LOADED, add_edit, fit_tiny, load_tiny, tiny_catalogue, tiny_recipe
from tests.test_ranking import ABOUT, Pictures
from ui.edit_list import moved
from ui.server import gpu
from ui.server.events import plainly
from ui.visit import Visit

pytestmark = pytest.mark.usefixtures("home")
ROOT = Path(__file__).parents[1]


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def whole_files(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file()}


# ---- the disk is full ----


def save_factors(home):
    fit_tiny(3).save(home / "factors" / "a.safetensors")


def grow_index(home):
    pictures = Pictures()
    RankingIndex(home / "index", pictures.table(), ABOUT).grow(pictures, 60, batch=10, shard=30)


def publish(home):
    Gallery(home / "gallery").publish(tiny_recipe(add_edit()))


def convert(home):
    checkpoints.save_generator(GENERATOR, home / "generator.safetensors")


FULL = {  # what writes: (the call that finds no room, what was there before and must stay)
    save_factors: (safetensors.torch, "save_file"),
    grow_index: (ranking.np, "save"),
    publish: (whole.os, "fsync"),
    convert: (whole.os, "fsync"),
}


@pytest.mark.parametrize("work", FULL, ids=lambda work: work.__name__)
def test_a_full_disk_is_a_sentence_and_what_was_there_stays(home, monkeypatch, work):
    (home / "before").write_bytes(b"saved")
    with monkeypatch.context() as full, pytest.raises(gr.Error) as caught:
        full.setattr(*FULL[work], no_space)
        plainly(work)(home)
    assert "No space left on device" in caught.value.message and "untouched" in caught.value.message
    half = {name for name in whole_files(home) if name not in ("before", "index.json")}
    assert all(name.endswith(".part") for name in half), half
    work(home)  # once there is room again
    assert len(whole_files(home)) > 1 and (home / "before").read_bytes() == b"saved"


def test_a_fit_survives_a_full_disk(home, monkeypatch):
    monkeypatch.setattr(safetensors.torch, "save_file", no_space)
    catalogue = Catalogue(load=load_tiny, home=home)
    assert isinstance(catalogue.factors("tiny", "fit:3,8,4,32,0,1,all"), Factors)


def test_the_page_goes_on_after_a_full_disk(home, monkeypatch):
    start = app.opening.start()
    with monkeypatch.context() as full, pytest.raises(gr.Error, match="No space left"):
        full.setattr(whole.os, "fsync", no_space)
        plainly(app.gallery_panel.publish_card)(start)
    assert moved(start, 1.0).edit.strength == 1.0
    app.gallery_panel.publish_card(start)
    assert whole_files(home / "gallery") == {f"{Gallery(home / 'gallery').names()[0]}.json"}


# ---- kill -9 ----

KILLED = {
    "factors": """
from tests.helpers import fit_tiny
made = fit_tiny(3)
print("go", flush=True)
while True: made.save(home / "a.safetensors")
""",
    "gallery": """
from panda_core.studio.gallery import Gallery
from tests.helpers import add_edit, tiny_recipe
folder = Gallery(home / "gallery")
folder.publish(tiny_recipe(add_edit()))
print("go", flush=True)
for seed in range(10**6): folder.publish(tiny_recipe(add_edit(), seed=seed))
""",
    "index": """
from panda_core.ranking import RankingIndex
from tests.test_ranking import ABOUT, Pictures
pictures = Pictures()
print("go", flush=True)
import shutil
while True:
    index = RankingIndex(home / "index", pictures.table(), ABOUT)
    index.grow(pictures, 100, batch=5, shard=5)
    [p.unlink() for p in (home / "index").glob("*0-5.json")]
""",
}


@pytest.mark.parametrize("what", KILLED)
def test_kill_9_while_writing_leaves_nothing_half_written(home, what):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    code = f"from pathlib import Path\nhome = Path({str(home)!r})\n{KILLED[what]}"
    for i in range(2):
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "go\n"
        time.sleep(random.Random(i).uniform(0.02, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if what == "factors" and (home / "a.safetensors").exists():
            assert torch.equal(Factors.load(home / "a.safetensors").parts, fit_tiny(3).parts)
        elif what == "gallery":
            folder = Gallery(home / "gallery")
            assert folder.names() and all(folder.recipe(name).edits for name in folder.names())
        elif what == "index":
            pictures = Pictures()
            index = RankingIndex(home / "index", pictures.table(), ABOUT)
            index.grow(pictures, 100, batch=5, shard=5)
            fresh = RankingIndex(home / f"fresh{i}", pictures.table(), ABOUT)
            fresh.grow(pictures, 100, batch=5, shard=5)
            np.testing.assert_array_equal(index.scores(1, 2), fresh.scores(1, 2))


# ---- the GPU's memory is full ----


class Small:
    """A function that holds at most so many at once, as a GPU does."""

    def __init__(self, run, most: int):
        self.run, self.most, self.refused = run, most, 0

    def __call__(self, cut, *rest):
        if len(cut.features) > self.most:
            self.refused += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.run(cut, *rest)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_batch_that_does_not_fit_is_halved(monkeypatch, most):
    recipe = tiny_recipe(add_edit())
    wanted = [recipe.edits[0].with_size(float(i)) for i in range(7)]
    pictures = Renderer(tiny_catalogue()).variants(recipe, 0, wanted)
    small = Small(GENERATOR.tail, most)
    monkeypatch.setattr(GENERATOR, "tail", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    halved = Renderer(tiny_catalogue()).variants(recipe, 0, wanted)
    assert small.refused
    torch.testing.assert_close(halved, pictures, atol=5e-5, rtol=0)  # alone against in a batch, as the contract says


def test_samples_of_a_fit_are_halved_too(monkeypatch):
    made = fit_tiny(3)
    small = Small(GENERATOR.step, 5)
    monkeypatch.setattr(GENERATOR, "step", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    again = fit_tiny(3)
    assert small.refused
    torch.testing.assert_close(again.parts, made.parts, atol=1e-3, rtol=1e-3)  # float32 sums in another order


def test_what_does_not_fit_at_all_goes_on_on_the_cpu_with_a_sentence(monkeypatch):
    said, left = [], []
    monkeypatch.setattr(gr, "Info", said.append)
    monkeypatch.setattr(gpu, "when_full", [lambda: left.append(1)])

    def work(session):
        if not left:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return session

    assert plainly(work)("the session") == "the session"
    assert left == [1] and "memory is full" in said[0]


def test_leaving_the_gpu_is_for_good(monkeypatch):
    monkeypatch.setattr(devices, "full", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    moved = []

    class Large:
        resolution, device = 1024, torch.device("cpu")
        to = staticmethod(moved.append)

    devices.place(Large())
    assert moved == [torch.device("cuda")]
    Renderer(Catalogue()).leave_gpu()
    devices.place(Large())
    assert len(moved) == 1
    monkeypatch.setattr(devices, "wanted", False)


def test_a_small_generator_stays_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.place(GENERATOR).device.type == "cpu"


# ---- files are damaged ----

DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: bytes(255 - b for b in data),
    "text": lambda data: b"<html>not found</html>",
    "list": lambda data: b"[1, 2]",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_factors_are_fitted_again(home, kind):
    name = "fit:3,8,4,32,0,1,all"
    made = Catalogue(load=load_tiny, home=home).factors("tiny", name)
    made.save(made.path(home))
    (kept,) = (home / "factors").rglob("*.safetensors")
    kept.write_bytes(DAMAGE[kind](kept.read_bytes()))
    again = Catalogue(load=load_tiny, home=home).factors("tiny", name)
    assert torch.equal(again.parts, made.parts) and LOADED.weights == again.info.weights


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        *itertools.product(["index.json", "0000000030-30.json"], DAMAGE),
        *(("0000000030-30.npy", kind) for kind in ("empty", "cut", "text", "list")),  # what has its size is believed
    ],
)
def test_a_damaged_index_is_mended(home, kind, file):
    pictures = Pictures()
    grow_index(home)
    want = RankingIndex(home / "index", pictures.table(), ABOUT).scores(1, 2)
    path = home / "index" / file
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    index = RankingIndex(home / "index", pictures.table(), ABOUT)
    index.grow(pictures, 60, batch=10, shard=30)
    np.testing.assert_array_equal(index.scores(1, 2), want)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"v": 1}', "\x00" * 50])
def test_a_damaged_start_page_opens_on_another(home, monkeypatch, text):
    (home / "start.json").write_text(text)
    monkeypatch.setattr(opening, "start_file", lambda spec: home / "start.json")
    assert opening.Opening(app.renderer).start().edit is not None


def test_a_lost_session_is_the_start_page_and_its_link_still_opens():
    start = app.opening.start()
    link = app.sharing.link(start)
    assert Visit(app.opening.start).session.recipe == start.recipe
    assert app.opening.open_link(link).recipe == start.recipe
    assert parse_recipe(json.loads(start.recipe.to_json())) == start.recipe
