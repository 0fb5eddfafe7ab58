"""The page on ZeroGPU, emulated: every event's work runs in a child that knows nothing of what came before it.

A stand-in for `spaces` forks one process when the page is up; that one forks a child for every call, and throws its
memory away. So a child sees neither what the page has kept since, nor what other children did. Handlers give the same
there as in the page's own process.
"""

import inspect
import json
import multiprocessing
import os
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RECIPE = '{"v":2,"generator":"portraits","seed":5}'
# What every component's script might send; a handler takes from it what it knows.
SENT = {"index": 0, "part": 2, "parts": [2], "several": False, "seed": 12, "action": "switch", "from": [0.5, 0.5],
        "to": [0.55, 0.45], "strength": 1.0}  # fmt: skip
# draw at random or take a file's name: they cannot be the same twice
ELSEWHERE = {"seeds.roll", "tabs.masks.pack_pairs", "binding.begin", "binding.stopped"}
MAX_REFUSED = 0.4  # share of handlers that these inputs may be wrong for: they must be refused in the same words


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"SPACES_ZERO_GPU": "true", "PANDA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment |= {"PANDA_GALLERY": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.test_zerogpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_handler_gives_the_same_in_a_child_that_is_thrown_away(report):
    assert {name: said for name, said in report["same"].items() if said is not True} == {}
    assert len(report["same"]) > 60


def test_most_handlers_were_given_what_they_take(report):
    assert len(report["refused"]) <= MAX_REFUSED * len(report["same"]), report["refused"]


def test_work_was_done_in_children_only(report):
    assert report["own"] == ["panels.generators.card"]  # it says what is in a table, and nothing else
    assert report["pids"] >= len(report["same"]) - len(report["own"])


def test_a_mistake_in_a_child_is_the_same_sentence(report):
    assert "Seed is -5" in report["mistake"]


def test_what_a_job_put_aside_is_there_for_the_next_child(report):
    assert report["carried"] == ["kept", "kept"]


def test_a_preview_and_a_move_are_drawn_in_a_child_and_are_the_same(report):
    assert report["preview"] == report["move"] == [True, True]


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
        GIVEN.append(args)
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
GIVEN: list[tuple] = []  # all that children were ever given
zygote: list[Zygote] = []


def fake_spaces() -> types.ModuleType:
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


def unlike(one, other) -> str:
    """Where two answers differ first; nothing where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        found = (f"{key}: {said}" for key in one if (said := unlike(one[key], other[key])))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = (f"{i}: {said}" for i in range(len(one)) if (said := unlike(one[i], other[i])))
    else:
        same = np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        return "" if same else f"{str(one)[:300]} is not {str(other)[:300]}"
    return next(found, "")


def main() -> None:
    sys.modules["spaces"] = fake_spaces()
    import gradio as gr
    import torch
    from PIL import Image

    import app
    from panda_core.runtime import devices
    from panda_core.studio.ordering import Term
    from panda_core.studio.session import Session, work_name
    from ui.dragging import Dragging
    from ui.server import gpu
    from ui.server.preview import LinkPreview
    from ui.visit import Visit, moving

    torch.set_num_threads(1)
    named: dict = {}
    for block in app.demo.fns.values():
        if any(isinstance(b, gr.State) for b in block.inputs[1:]):  # a job's result, which comes from the server
            continue
        if (
            block.fn
            and block.fn.__module__.startswith(("ui.", "panda_core.studio.", "app"))
            and "<" not in block.fn.__name__
        ):
            named.setdefault(f"{block.fn.__module__.removeprefix('ui.')}.{block.fn.__name__}", block)
    base = app.rank_tab.keep(app.opening.start(), chosen=Term("appearance", 1, -1), count=16)
    _, H, W = app.renderer.generator(base.recipe).layers[base.layer]
    SENT["rle"] = f"0,{H // 2 * W},{(H - H // 2) * W}"

    def keep(session, report):
        app.pictures.kept.get("a job's result", lambda: "kept")
        return "done"

    app.gallery_panel.publish_card(base)
    job, look = gpu.job(keep), gpu.event(lambda session: app.pictures.kept.get("a job's result"))
    links, move = LinkPreview(app.pictures, app.opening), moving(Dragging(app.pictures).move)
    zygote.append(Zygote())

    def value(component):
        """Something that this field could hold."""
        if isinstance(component, gr.Slider):
            return (component.minimum + component.maximum) / 2
        if isinstance(component, gr.Radio | gr.Dropdown) and component.choices:
            return component.choices[0][1]
        if isinstance(component, gr.Textbox):
            return RECIPE if component.label == "recipe" else "dense"
        if type(component).__name__ == "Api":
            return RECIPE if component.label.startswith("1st") else 3
        return 3

    def run(name: str, session):
        block = named[name]
        kinds = [p.annotation for p in inspect.signature(block.fn).parameters.values()]
        inputs = [value(b) for b in block.inputs if not isinstance(b, gr.State)]
        if gr.EventData in kinds:
            inputs = [gr.EventData(None, SENT)]
        elif gr.Request in kinds:
            inputs = [gr.Request(query_params={"r": "1broken"})]
        visit = Visit(app.opening.start)
        visit.session = session
        for other in named.values():  # whose results are awaited
            visit.begin(work_name(other.fn))
        made = block.fn(visit, *inputs) if block.inputs and isinstance(block.inputs[0], gr.State) else block.fn(*inputs)
        if isinstance(made, types.GeneratorType):
            return list(made)[-1:]
        made = list(made) if isinstance(made, tuple | list) else [made]
        return [v.session if isinstance(v, Visit) else gpu._update(v) for v in made]

    def attempt(name: str, session):
        try:
            return run(name, session)
        except gr.Error as error:
            refused.add(name)
            return error.message

    def plain(value):
        """To compare: without the clock, pictures by their bytes."""
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        if isinstance(value, Session):
            return replace(value, moved_at=0.0)
        return value.tobytes() if isinstance(value, Image.Image) else value

    same, own, refused = {}, [], set()
    for name in named.keys() - ELSEWHERE:
        print(name, file=sys.stderr, flush=True)
        devices.wanted, before = True, len(PIDS)
        there = plain(attempt(name, base))
        if len(PIDS) == before:
            own.append(name)
        devices.wanted = False
        here = plain(attempt(name, base))
        same[name] = unlike(there, here) or True
    devices.wanted = True
    try:
        named["seeds.go_to_seed"].fn(Visit(app.opening.start), -5)
        mistake = ""
    except gr.Error as error:
        mistake = error.message
    link = app.sharing.link(base)
    before, there = len(PIDS), links.jpeg(link)
    elsewhere, devices.wanted = len(PIDS) > before, False
    previewed = [elsewhere, there == LinkPreview(app.pictures, app.opening).jpeg(link)]
    frames, before = [], len(PIDS)
    for devices.wanted in (True, False):
        frames.append(move(Visit(app.opening.start), SENT | {"at": 1.0}))
    moved = [len(PIDS) > before, frames[0] == frames[1] and "frame" in frames[0]]
    devices.wanted = True
    done = list(job(base))[-1]
    carried = [app.pictures.kept.get("a job's result"), look(base)]
    assert done == ("", "done")
    said = {"same": same, "refused": sorted(refused), "pids": len(PIDS), "own": own}
    print(json.dumps(said | {"mistake": mistake, "carried": carried, "preview": previewed, "move": moved}))


if __name__ == "__main__":
    main()
