"""The page on ZeroGPU, emulated: every event's work runs in a child that knows nothing of what came before it.

A stand-in for `spaces` forks one process when the page is up; that one forks a child for every call, and throws its
memory away. So a child sees neither what the page has kept since, nor what other children did. Handlers give the same
there as in the page's own process.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = "shared"  # a region's run lengths, filled in below: the upper half of the grid
RECIPE = '{"v":1,"generator":"portraits","seed":5}'
# What each handler of the page is called with, by module and name; one line more for a new one. A dict is what the
# page's script sends.
TABLE: dict[str, list | dict] = {
    "app.set_psi": [0.6],
    "page.go_to_seed": [77],
    "page.open_seed": {"seed": 12},
    "app.set_layer": [3],
    "generators.fetch": ["portraits"],
    "generators.use": ["portraits"],
    "view.link": [],
    "view.python_lines": [],
    "view.picture_file": [],
    "app.generate": [RECIPE],
    "app.edit": [RECIPE, 1, 2, 2.0],
    "page.open_tab": [],
    "page.open_page": [{"r": "1broken"}],
    "page.show_later": [],
    "page.show_now": [],
    "region.pick": {"part": 2},
    "region.paint": {"rle": SHARED},
    "region.choose_parts": [[1]],
    "region.choose_where": ["all"],
    "edit.choose_look": {"index": 3},
    "edit.choose_everywhere": [],
    "edit.choose_number": [5],
    "session.let_go": [],
    "edits.tick": [1.5],
    "edits.act": {"action": "switch", "index": 0},
    "session.undo": [],
    "session.redo": [],
    "session.reset": [],
    "masks.choose_concept": {"index": 2},
    "masks.set_kind": [-1, True],
    "masks.use_mask": [],
    "masks.tick": [0.5],
    "masks.cut_out_file": [],
    "masks.mask_file": [],
    "masks.try_mask": [],
    "masks.saliency": [RECIPE, 1, 0.0, "more", "cut-out"],
    "rank.choose_concept": {"index": 1},
    "rank.choose_look": {"index": 1},
    "rank.add_term": [0.5],
    "rank.keep_terms": [["x"]],
    "rank.choose_count": [100],
    "rank.build": [],
    "rank.rank": [RECIPE, 1, -1, 16],
    "factors.learn": [3, 4, None, 256, 0, None],
    "factors.use": [("portraits", 3, "bundled:l3-call-psi0.8-192x12")],
    "factors.choose": ["bundled:l3-call-psi0.8-192x12"],
    "factors.rename_part": ["chin"],
    "factors.rename_appearance": ["grin"],
    "factors.fit": [RECIPE, 3, 4, 0, 256],
    "named.choose_named": {"index": 0},
    "named.named": [RECIPE, "open mouth"],
    "further.try_others": [],
    "further.sweep": [],
    "further.sweep_as_webp": [],
    "further.sweep_as_gif": [],
    "further.set_refine": ["dense", 32],
    "further.refine": [RECIPE, 5, "dense"],
    "remove.find_cover": [],
    "remove.choose_off": {"index": 0},
    "remove.choose_cover": {"index": 0},
    "remove.remove": [RECIPE, 1],
    "rewrite.choose_source": {"index": 1},
    "rewrite.choose_target": {"index": 2},
    "rewrite.choose_here": [True],
    "rewrite.do_rewrite": [],
    "rewrite.rewrite": [RECIPE, 1, 2, 1.0],
    "edits.settle": [1.0],
    "examples.open_example": {"index": 0},
    "gallery.publish_card": [],
    "gallery.open_card": {"index": 0, "of": "filled in below"},
    "gallery.show_newest": [],
}
# draw at random, take or make a file of any name, or only say something: the other tests have them
ELSEWHERE = {
    "app.roll",
    "page.begin",
    "page.stopped",
    "app.open_file",
    "gallery.show_shuffled",
    "gallery.unpublish",
    "masks.pack_pairs",
    "factors.open_files",
    "factors.use_files",
    "remove.cover",
    "generators.words",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"SPACES_ZERO_GPU": "true", "PANDA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment |= {"PANDA_GALLERY": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.test_zerogpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", TABLE)
def test_a_handler_gives_the_same_in_a_child_that_is_thrown_away(report, name):
    assert report["same"].get(name) is True, report["same"].get(name, f"the page has no handler {name}")


def test_every_handler_of_the_page_is_in_the_table(report):
    assert set(report["handlers"]) - TABLE.keys() - ELSEWHERE == set()


def test_work_was_done_in_children_only(report):
    assert report["pids"] >= len(TABLE) and not report["own"]


def test_a_mistake_in_a_child_is_the_same_sentence(report):
    assert "Seed is -5" in report["mistake"]


def test_what_a_job_put_aside_is_there_for_the_next_child(report):
    assert report["carried"] == ["kept", "kept"]


def test_a_preview_is_drawn_in_a_child_and_is_the_same(report):
    assert report["preview"] == [True, True]


# ---- what runs in the process of its own ----


class Zygote:
    """call(number, *args) -> what a fresh grandchild yields, forked from the memory of when this was made."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self.here, there = context.Pipe()
        context.Process(target=self.serve, args=(there,), daemon=True).start()

    def serve(self, pipe) -> None:
        while True:
            number, args = pipe.recv()
            pid = os.fork()
            if not pid:
                try:
                    made = TASKS[number](*args)
                    for value in made if isinstance(made, types.GeneratorType) else [made]:
                        pipe.send((os.getpid(), value, None))
                except BaseException as error:
                    pipe.send((os.getpid(), None, repr(error)))
                pipe.send(None)
                os._exit(0)
            os.waitpid(pid, 0)

    def call(self, number: int, *args):
        self.here.send((number, args))
        ended = False
        try:
            while (message := self.here.recv()) is not None:
                PIDS.add(message[0])
                if message[2] is not None:
                    raise RuntimeError(message[2])
                yield message[1]
            ended = True
        finally:  # whoever stops listening leaves nothing behind for the next call
            while not ended and self.here.recv() is not None:
                pass


TASKS: list = []
PIDS: set[int] = set()
zygote: list[Zygote] = []


def fake_spaces() -> types.ModuleType:
    import inspect

    def gpu(duration):
        def decorate(task):
            TASKS.append(task)
            number = len(TASKS) - 1
            if inspect.isgeneratorfunction(task):
                return lambda *args: zygote[0].call(number, *args)
            return lambda *args: next(iter(list(zygote[0].call(number, *args))))

        return decorate

    module = types.ModuleType("spaces")
    module.GPU, module.gradio_auto_wrap = gpu, lambda handler: handler  # as it is unless it is asked for
    return module


def main() -> None:
    sys.modules["spaces"] = fake_spaces()
    import gradio as gr
    import torch

    import app
    from panda_core.runtime import devices
    from ui import gallery, gpu, page, preview, rank, view

    torch.set_num_threads(1)
    blocks = {f"{f.fn.__module__.removeprefix('ui.')}.{f.fn.__name__}": f for f in app.demo.fns.values() if f.fn}
    named = {n: f for n, f in blocks.items() if f.fn.__module__.startswith(("ui.", "app")) and "<" not in n}
    base = rank.keep(page.open_link(None), terms=((1, rank.EVERYWHERE, 1.0),), count=16)
    _, H, W = view.renderer.generator(base.recipe).layers[base.layer]

    def keep(session, report):
        view.kept.get("a job's result", lambda: "kept")
        return "done"

    gallery.publish_card(base)
    TABLE["gallery.open_card"]["of"] = gallery.gallery().names()[0]
    job, look = gpu.job(keep), gpu.event(lambda session: view.kept.get("a job's result"))
    zygote.append(Zygote())

    def run(name: str, session):
        block, inputs = named[name], TABLE[name]
        if isinstance(inputs, dict):
            data = {k: f"0,{H // 2 * W},{(H - H // 2) * W}" if v == SHARED else v for k, v in inputs.items()}
            inputs = [gr.EventData(None, data)]
        if name == "page.open_page":
            inputs = [gr.Request(query_params=inputs[0])]
        if block.api_visibility == "public":
            made = block.fn(*inputs)
            return list(made)[-1] if isinstance(made, types.GeneratorType) else made
        visit = page.Visit()
        visit.session = session
        visit.in_hand = {f"ui.{name}" for name in named}  # whose results are awaited
        made = block.fn(visit, *inputs)
        if isinstance(made, types.GeneratorType):
            return [values for values in made if not isinstance(values[0], dict)]
        made = list(made) if isinstance(made, tuple | list) else [made]
        return [v.session if isinstance(v, page.Visit) else gpu._update(v) for v in made]

    def attempt(name: str, session):
        try:
            return run(name, session)
        except gr.Error as error:
            refused.append(name)
            return error.message

    def plain(value):
        """To compare: without the clock, pictures by their bytes."""
        from dataclasses import replace

        from PIL import Image

        from ui.session import Session

        if isinstance(value, tuple | list):
            return [plain(v) for v in value if "MB in use" not in str(v)]  # the status line: of the moment
        if isinstance(value, Session):
            return replace(value, moved_at=0.0)
        return value.tobytes() if isinstance(value, Image.Image) else value

    same, counted, refused = {}, [], []
    for name in [name for name in TABLE if name in named]:
        print(name, file=sys.stderr, flush=True)
        devices.wanted = True
        before = len(PIDS)
        there = plain(attempt(name, base))
        counted.append(len(PIDS) > before)
        devices.wanted = False
        here = plain(attempt(name, base))
        same[name] = there == here or f"{str(there)[:300]} is not {str(here)[:300]}"
    devices.wanted = True
    try:
        named["page.go_to_seed"].fn(None, -5)
        mistake = ""
    except gr.Error as error:
        mistake = error.message
    before, there = len(PIDS), preview.drawn(base.recipe)
    elsewhere, devices.wanted = len(PIDS) > before, False
    previewed, devices.wanted = [elsewhere, there == preview.drawn(base.recipe)], True
    done = list(job(base))[-1]
    carried = [view.kept.get("a job's result"), look(base)]
    assert done == ("", "done")
    said = {"same": same, "handlers": list(named), "refused": refused, "pids": len(PIDS), "own": counted.count(False)}
    print(json.dumps(said | {"mistake": mistake, "carried": carried, "preview": previewed}))


if __name__ == "__main__":
    main()
