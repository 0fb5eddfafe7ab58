"""The page on ZeroGPU, emulated: every event's work runs in a child that knows nothing of what came before it.

A stand-in for `spaces` forks one process when the page is up; that one forks a child for every call, and throws its
memory away. So a child sees neither what the page has kept since, nor what other children did. Handlers give the same
there as in the page's own process. No handler is listed here: it is called with what its fields show of the session,
with what its component's script sends, or with the values that programs give.
"""

import inspect
import json
import multiprocessing
import os
import random
import subprocess
import sys
import types
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer

ROOT = Path(__file__).parents[1]
SENT = {  # event -> what the component's script sends with it; a tile is told by its number and which tiles there were
    "pick": {"part": 2},
    "paint": {"rle": "filled in below: the upper half of the grid"},
    "place": {"where": "all"},
    "pull": {"from": [0.5, 0.5], "to": [0.5, 0.6], "strength": 1.0},
    "pulled": {"from": [0.5, 0.5], "to": [0.5, 0.6], "strength": 1.0},
    "act": {"action": "switch", "index": 0},
}
GIVEN = {  # argument -> what a program gives
    "recipe": '{"v":2,"generator":"portraits","seed":5}', "part": 1, "appearance": 2, "strength": 1.0, "variation": 0,
    "seed": 6, "source": 1, "target": 2, "layer": 3, "method": "dense", "count": 16, "parts": 4, "samples": 32,
    "token": "the owner's", "unpublish name": f"0000000000-{'0' * 16}",
}  # fmt: skip
TYPED = {"name-part": "chin", "appearance": 3, "rank-terms": []}  # into fields that show nothing to begin with
FILES = {"open_file", "open_files", "use_files"}  # what they are given is refused: there are no files here


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"SPACES_ZERO_GPU": "true", "PANDA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment |= {"PANDA_GALLERY": "1", "PANDA_OWNER_TOKEN": GIVEN["token"]}
    command = [sys.executable, "-m", "tests.test_zerogpu"]
    with HubServer() as hub:
        environment |= hub.environ(home)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_handler_gives_the_same_in_a_child_that_is_thrown_away(report):
    assert len(report["same"]) > 60
    assert {name: how for name, how in report["same"].items() if how is not True} == {}


def test_every_handler_takes_what_it_is_given_but_those_of_files(report):
    assert {name for name in report["refused"] if name.rpartition(".")[2] not in FILES} == set()


def test_work_was_done_in_children_only(report):
    assert report["own"] == []


def test_a_mistake_in_a_child_is_the_same_sentence(report):
    assert "Seed is -5" in report["mistake"]


def test_what_a_job_put_aside_is_there_for_the_next_child(report):
    assert report["carried"] == ["kept", "kept"]


def test_a_preview_is_drawn_in_a_child_and_is_the_same(report):
    assert report["preview"] == [True, True]


# ---- what runs in the process of its own ----


class Zygote:
    """call(number, *args) -> what a fresh grandchild yields, forked from the memory of when this was made."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.here, there = context.Pipe()
        context.Process(target=self.serve, args=(there,), daemon=True).start()

    def serve(self, pipe) -> None:
        while True:
            number, args = pipe.recv()
            pid = os.fork()
            if not pid:
                random.seed(0)
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


class Visitor:
    """Finds the page's handlers, and calls them as a visitor's browser would."""

    def __init__(self) -> None:
        import app

        ours = [f for f in app.demo.fns.values() if f.fn and f.fn.__module__.startswith(("ui.", "app"))]
        self.app, self.shown = app, {}  # component's id -> the value that it shows
        self.hidden: set[int] = set()
        jobs = [f for f in ours if inspect.isgeneratorfunction(f.fn) and is_private(f)]
        self.others = [f for f in ours if hasattr(f.fn, "__wrapped__") or not is_private(f)]
        self.jobs = {f"{f.fn.__module__}.{f.fn.__qualname__}" for f in jobs}
        self.handlers = {f"{f.fn.__module__}.{f.fn.__qualname__}": f for f in [*jobs, *self.others]}
        self.opens = [f for f in self.others if {event for _, event in f.targets} & {"expand", "select"}]
        self.later = next(f for f in self.others if f.fn.__name__ == "show_later")

    def visit(self, session):
        from ui.visit import Visit

        visit = Visit(self.app.opening.start)
        visit.session = session
        for job in self.jobs:  # whose results are awaited
            visit.begin(job)
        return visit

    def takers(self, job: str) -> list:
        """The handlers that a job's result goes to."""
        result = self.handlers[job].outputs[0]
        return [f for f in self.others if any(i is result for i in f.inputs)]

    def look_around(self, session) -> None:
        """Opens every tab and fold, so that what is on them shows what it shows of this session."""
        for block in sorted(self.opens, key=lambda f: "select" in {event for _, event in f.targets}):
            visit = self.visit(session)
            self.see(block, block.fn(visit))
            self.see(self.later, self.later.fn(visit))
            session = visit.session

    def see(self, block, made) -> None:
        for component, value in zip(block.outputs, made if isinstance(made, list | tuple) else [made]):
            update = plain(value)
            is_update = isinstance(update, dict) and update.get("__type__") == "update"
            if is_update and "visible" in update:
                (self.hidden.discard if update["visible"] else self.hidden.add)(component._id)
            if not is_update or "value" in update:
                self.shown[component._id] = update["value"] if is_update else value

    def mates(self, name: str) -> list[str]:
        """The handlers of the same panel or tab."""
        module = self.handlers[name].fn.__module__
        return [other for other, block in self.handlers.items() if block.fn.__module__ == module and other != name]

    def can(self, name: str) -> bool:
        """Whether a visitor sees what it takes: a generator without classes has no field for them."""
        return not any(target in self.hidden for target, _ in self.handlers[name].targets)

    def values(self, block, session) -> list:
        """What a handler is called with, apart from the visit."""
        import gradio as gr

        takes = {p.annotation for p in inspect.signature(block.fn).parameters.values()}
        target, event = block.targets[0] if block.targets else (None, "")
        if gr.Request in takes:
            return [gr.Request(query_params={"r": "1broken"})]
        if gr.EventData in takes:
            data = SENT.get(event, {"index": 0, "of": (self.shown.get(target) or {}).get("of"), "seed": 12})
            if "rle" in data:
                _, H, W = self.app.renderer.generator(session.recipe).layers[session.layer]
                data = {"rle": f"0,{H // 2 * W},{(H - H // 2) * W}"}
            return [gr.EventData(None, data)]
        if not is_private(block):
            return [self.argument(block.fn.__name__, p) for p in inspect.signature(block.fn).parameters.values()]
        return [TYPED.get(i.elem_id, self.shown.get(i._id, getattr(i, "value", None))) for i in block.inputs[1:]]

    def argument(self, endpoint: str, parameter: inspect.Parameter) -> Any:
        from panda_core.popular import popular

        if (endpoint, parameter.name) == ("named", "name"):
            return popular(self.app.renderer.catalogue, "portraits")[0].name
        return GIVEN.get(f"{endpoint} {parameter.name}", GIVEN.get(parameter.name, parameter.default))

    def run(self, block, session):
        """What comes of a call, to compare."""
        import gradio as gr

        values = self.values(block, session)
        visit = self.visit(session)
        made = block.fn(*values) if not is_private(block) else block.fn(visit, *values)
        if isinstance(made, types.GeneratorType):  # of a job its result, not how far it was when
            made = [values for values in made if values and (not is_private(block) or plain(values[0]) != gr.skip())]
        made = list(made) if isinstance(made, tuple | list) else [made]
        return [visit.session if value is visit else value for value in made]


def is_private(block) -> bool:
    return block.api_visibility == "private"


def plain(value) -> Any:
    """To compare: pictures by their bytes, files by their names (safetensors shuffles what it writes), components as
    updates, sessions without the clock, no line of the moment."""
    import numpy as np
    import torch
    from gradio.blocks import Block
    from PIL import Image

    from ui.session import Session

    if isinstance(value, tuple | list):
        return [plain(v) for v in value if "MB in use" not in str(v)]
    if isinstance(value, str) and (value.startswith("/") or ".safetensors" in value[:100]):
        return Path(value[:100].split('"data"')[0]).name
    if isinstance(value, Session):
        value = replace(value, moved_at=0.0)
    if is_dataclass(value):
        return [type(value).__name__, *(plain(getattr(value, field.name)) for field in fields(value))]
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.tolist()
    if isinstance(value, Block):
        return {**value.constructor_args, "__type__": "update"}
    return value.tobytes() if isinstance(value, Image.Image) else value


def main() -> None:
    sys.modules["spaces"] = fake_spaces()
    import gradio as gr
    import torch

    import app
    from panda_core.runtime import devices
    from ui.server import gpu
    from ui.server.preview import LinkPreview
    from ui.session import Session

    torch.set_num_threads(1)
    visitor, kept, links = Visitor(), app.pictures.kept, LinkPreview(app.pictures, app.opening)

    def keep(session, report):
        kept.get("a job's result", lambda: "kept")
        return "done"

    base = app.edit_tab.choose_popular(app.opening.start(), gr.EventData(None, {"index": 0}))
    job, look = gpu.job(keep), gpu.event(lambda session: kept.get("a job's result"))
    app.gallery_panel.publish_card(base)
    zygote.append(Zygote())
    refused: set[str] = set()
    own: list[str] = []

    def attempt(name: str, session) -> tuple[Any, bool]:
        """What comes of a call, or what it was refused with; and whether it was taken."""
        random.seed(0)
        try:
            return visitor.run(visitor.handlers[name], session), True
        except gr.Error as error:
            return error.message, False

    def both(name: str, session) -> tuple[Any, Any]:
        """What a handler makes here, and what in a child. Where something must be chosen first, that is done first."""
        print(name, file=sys.stderr, flush=True)
        devices.wanted = False
        here, taken = attempt(name, session)
        for mate in () if taken else visitor.mates(name):
            made, chosen = attempt(mate, session)
            session = made[0] if chosen and isinstance(made[0], Session) else session
            here, taken = attempt(name, session)
            if taken:
                break
        if not taken:
            refused.add(name)
        devices.wanted, before = True, len(PIDS)
        there, _ = attempt(name, session)
        devices.wanted = False
        if len(PIDS) == before:
            own.append(name)
        return here, there

    def compared(here, there) -> bool | str:
        here, there = plain(here), plain(there)
        first = max(len(os.path.commonprefix([str(here), str(there)])) - 99, 0)  # where they begin to differ
        return here == there or f"{str(there)[first:][:300]} is not {str(here)[first:][:300]}"

    devices.wanted = False
    visitor.look_around(base)
    same, after = {}, base
    for name in sorted(visitor.jobs):
        here, there = both(name, base)
        same[name] = compared(here, there)
        if name not in refused:
            visitor.see(visitor.handlers[name], here[-1])
            for block in visitor.takers(name):
                after = visitor.run(block, after)[0]
    session = replace(base, results=after.results)  # there is something to show, and to save
    visitor.look_around(session)
    for name in filter(visitor.can, sorted(visitor.handlers.keys() - visitor.jobs)):
        same[name] = compared(*both(name, session))
    devices.wanted = True
    try:
        visitor.handlers["ui.seeds.go_to_seed"].fn(visitor.visit(base), -5)
        mistake = ""
    except gr.Error as error:
        mistake = error.message
    before, there = len(PIDS), links._draw(base.recipe)
    elsewhere, devices.wanted = len(PIDS) > before, False
    previewed, devices.wanted = [elsewhere, there == links._draw(base.recipe)], True
    done = list(job(base))[-1]
    carried = [kept.get("a job's result"), look(base)]
    assert done == ("", "done")
    said = {"same": same, "refused": sorted(refused), "own": own, "mistake": mistake}
    print(json.dumps(said | {"carried": carried, "preview": previewed}))


if __name__ == "__main__":
    main()
