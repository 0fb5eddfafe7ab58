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
EVENT = {
    "go_back": {"index": 0},
    "choose_look": {"index": 3},
    "pick": {"part": 2},
    "paint": {"rle": SHARED},
    "act": {"action": "switch", "index": 0},
    "open_card": {"index": 0, "of": "filled in below"},
}
# What each handler of the page is called with; one line more for a new one. None: nothing but the session.
TABLE: dict[str, list | None] = {
    "set_psi": [0.6],
    "go_to_seed": [77],
    "set_layer": [3],
    "set_generator": ["portraits"],
    "open_tab": None,
    "open_page": [{"r": "1broken"}],
    "choose_parts": [[1]],
    "choose_where": ["all"],
    "choose_everywhere": None,
    "choose_number": [5],
    "let_go": None,
    "tick": [1.5],
    "do_undo": None,
    "do_redo": None,
    "do_reset": None,
    "share_link": None,
    "share_python": None,
    "share_picture": None,
    "learn": [3, 4],
    "use": ["3 bundled:l3-call-psi0.8-192x12"],
    "show_later": None,
    "publish_card": None,
    "show_newest": None,
    "generate": ['{"v":1,"generator":"portraits","seed":5}'],
    "edit": ['{"v":1,"generator":"portraits","seed":5}', 1, 2, 2.0],
    **{name: [data] for name, data in EVENT.items()},
}
ELSEWHERE = {"roll", "show_shuffled", "open_file", "unpublish"}  # draw at random; test_app, test_gallery


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"SPACES_ZERO_GPU": "true", "PANDA_HOME": str(home), "OMP_NUM_THREADS": "1"}
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
    assert "seed is -5" in report["mistake"]


def test_what_a_job_put_aside_is_there_for_the_next_child(report):
    assert report["carried"] == ["kept", "kept"]


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
                made = TASKS[number](*args)
                for value in made if isinstance(made, types.GeneratorType) else [made]:
                    pipe.send((os.getpid(), value))
                pipe.send(None)
                os._exit(0)
            os.waitpid(pid, 0)

    def call(self, number: int, *args):
        self.here.send((number, args))
        while (message := self.here.recv()) is not None:
            PIDS.add(message[0])
            yield message[1]


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
    module.GPU = gpu
    return module


def main() -> None:
    sys.modules["spaces"] = fake_spaces()
    import gradio as gr
    import torch

    import app
    from panda_core import devices
    from ui import gallery, gpu, page, view

    torch.set_num_threads(1)
    named = {f.fn.__name__: f.fn for f in app.demo.fns.values() if f.fn and not f.fn.__name__.startswith("<")}
    base = page.open_link(None)
    _, H, W = view.renderer.generator(base.recipe).layers[base.layer]

    def keep(session, report):
        view.kept.put("a job's result", "kept")
        return "done"

    gallery.publish_card(base)
    EVENT["open_card"]["of"] = gallery.gallery().names()[0]
    job, look = gpu.job(keep), gpu.event(lambda session: view.kept.get("a job's result"))
    zygote.append(Zygote())

    def run(name: str, session):
        inputs = TABLE[name] or []
        if name in EVENT:
            data = {k: f"0,{H // 2 * W},{(H - H // 2) * W}" if v == SHARED else v for k, v in EVENT[name].items()}
            inputs = [gr.EventData(None, data)]
        if name == "open_page":
            inputs = [gr.Request(query_params=inputs[0])]
        if name in ("generate", "edit"):
            return named[name](*inputs)
        visit = page.Visit()
        visit.session = session
        made = named[name](visit, *inputs)
        if isinstance(made, types.GeneratorType):
            return [values for values in made if not isinstance(values[0], dict)]
        made = list(made) if isinstance(made, tuple | list) else [made]
        return [v.session if isinstance(v, page.Visit) else gpu._update(v) for v in made]

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

    same, counted = {}, []
    for name in [name for name in TABLE if name in named]:
        devices.wanted = True
        before = len(PIDS)
        there = plain(run(name, base))
        counted.append(len(PIDS) > before)
        devices.wanted = False
        here = plain(run(name, base))
        same[name] = there == here or f"{str(there)[:300]} is not {str(here)[:300]}"
    devices.wanted = True
    try:
        named["go_to_seed"](None, -5)
        mistake = ""
    except gr.Error as error:
        mistake = error.message
    done = list(job(base))[-1]
    carried = [view.kept.get("a job's result"), look(base)]
    assert done == ("", "done")
    handlers = [n for n, f in named.items() if f.__module__.startswith(("ui", "app"))]
    print(json.dumps({"same": same, "handlers": handlers, "pids": len(PIDS), "own": counted.count(False),
                      "mistake": mistake, "carried": carried}))  # fmt: skip


if __name__ == "__main__":
    main()
