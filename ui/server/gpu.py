"""Where the networks of an event run: here, or on a shared GPU (ZeroGPU) in a child whose memory is thrown away.

The child was forked once the page was laid out, and knows its handlers by number. What goes there and comes back is
pickled: event data is taken apart first, components become updates, a mistake comes home as a value. Results of jobs
travel both ways, since the next event may meet another child. Elsewhere a handler is called directly.
"""

import functools
import os
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: no look-ups outside
try:
    import spaces  # before torch: it stands in for CUDA in the parent
except ImportError:
    spaces = None
import gradio as gr
import torch

from panda_core.hub.errors import HubError
from panda_core.runtime import devices
from panda_core.runtime.kept import Kept

from .jobs import run_job

EVENT, JOB = 10, 60  # seconds asked for: an event takes under 1 with its weights there; they move in on the first call
FULL = "The GPU's memory is full; this goes on on the processor, more slowly."
SHARED = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
when_full: list[Callable[[], None]] = []  # what gives the GPU's memory back: those that run networks add themselves
_handlers: list[Callable] = []


def on_gpu(seconds: int) -> Callable[[Callable], Callable]:
    return spaces.GPU(duration=seconds) if SHARED else lambda function: function


def surviving(function: Callable) -> Callable:
    """The function, begun again on the CPU, with a sentence, if the GPU's memory cannot hold it."""

    @functools.wraps(function)
    def again(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except torch.cuda.OutOfMemoryError:
            for leave in when_full:
                leave()
            gr.Info(FULL)
            return function(*args, **kwargs)

    return again


def event(function: Callable) -> Callable:
    """function(session, *inputs) -> values, run where the networks are."""
    function = surviving(function)
    if not SHARED:
        return function
    number = _listed(function)

    @functools.wraps(function)
    def away(*args):
        if not devices.wanted:
            return function(*args)
        given = pickle.dumps(([_plain(a) for a in args], _results()))
        fault, made, results = pickle.loads(_run(number, given))
        _take(results)
        if fault is not None:
            raise fault
        return made

    return away


def job(work: Callable, picture: Callable | None = None) -> Callable[..., Iterator[tuple[str, Any]]]:
    """work(*args, report=...) as an iterator of (progress as HTML, None), then ("", result), run where they are."""
    work = surviving(work)

    def here(*args) -> Iterator[tuple[str, Any]]:
        return run_job(functools.partial(work, *args), picture and functools.partial(picture, *args))

    if not SHARED:
        return here
    number = _listed(here)

    def away(*args) -> Iterator[tuple[str, Any]]:
        if not devices.wanted:
            yield from here(*args)
            return
        for sent in _stream(number, pickle.dumps((args, _results()))):
            fault, words, value, results = pickle.loads(sent)
            _take(results)
            if fault is not None:
                raise fault
            yield words, value

    return away


# The bytes are our own, of this moment: pickled here, since torch's way of sending a tensor between processes leaves it
# with the one that sent it, which may be gone.


@on_gpu(EVENT)
def _run(number: int, given: bytes) -> bytes:
    args = _enter(given)
    try:
        made = _handlers[number](*args)
        made = tuple(map(_update, made)) if isinstance(made, tuple | list) else _update(made)
        return pickle.dumps((None, made, _results()))
    except ValueError as error:
        return pickle.dumps((_fault(error), None, {}))


@on_gpu(JOB)
def _stream(number: int, given: bytes) -> Iterator[bytes]:
    args, before = _enter(given), _everything().keys()
    try:
        for words, value in _handlers[number](*args):
            made = {name: item for name, item in _everything().items() if name not in before}
            yield pickle.dumps((None, words, value, {} if value is None else made))
    except ValueError as error:
        yield pickle.dumps((_fault(error), "", None, {}))


def start(load: Callable[[], None]) -> None:
    """Once the page is laid out: load what is offered, on the GPU; afterwards only children may use a shared one."""
    if SHARED:
        load()
    devices.allowed = not SHARED


def _listed(function: Callable) -> int:
    _handlers.append(function)
    return len(_handlers) - 1


def _enter(given: bytes) -> list:
    """What a child does first; the arguments of its call."""
    devices.allowed = devices.wanted = True
    args, results = pickle.loads(given)
    _take(results)
    return args


def _results() -> dict:
    return {(i, key): value for i, kept in enumerate(Kept.everywhere) for key, value in kept.results.items()}


def _everything() -> dict:
    return {(i, key): value for i, kept in enumerate(Kept.everywhere) for key, value in kept.items()}


def _take(results: dict) -> None:
    for (i, key), value in results.items():
        Kept.everywhere[i].hold(key, value)


def _fault(error: ValueError) -> ValueError:
    """A mistake that can travel: a HubError says its kind too."""
    return error if isinstance(error, HubError) else ValueError(str(error))


def _plain(value):
    """An event's data or request without what belongs to the server."""
    if isinstance(value, gr.EventData):
        return SimpleNamespace(_data=value._data)
    return SimpleNamespace(query_params=dict(value.query_params)) if isinstance(value, gr.Request) else value


def _update(value):
    """A component that a handler returns as the update that it stands for."""
    is_block = isinstance(value, gr.blocks.Block)
    return {**value.constructor_args, "__type__": "update"} if is_block else value
