"""What every tab shares: the visitor's session, what on the page follows it, and how an event changes it."""

import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from panda_core.recipes import decode_link

from . import view
from .session import Session

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
GATE = threading.BoundedSemaphore(4)  # networks that run at once; events outside the queue pass here too
PATIENCE = 30.0  # seconds that an event waits at the gate


def plainly(function: Callable) -> Callable:
    """A handler whose mistakes reach the visitor as one sentence, with the page left as it was."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if not GATE.acquire(timeout=PATIENCE):
            raise gr.Error("Too many pictures are being made at the moment; try again shortly.", title="Busy")
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise gr.Error(str(error), title="That did not work", print_exception=False) from error
        finally:
            GATE.release()

    return wrapped


class Page:
    """Collects what follows the session and what changes it while the tabs lay themselves out; `wire` connects all.

    A component follows the session through a function Session -> value. An event changes it through a function
    (session, *values of its inputs) -> session. So a tab knows nothing of the others.
    """

    def __init__(self) -> None:
        self.session = gr.State(None)
        self._now: list[tuple[Any, Callable[[Session], Any]]] = []
        self._later: list[tuple[Any, Callable[[Session], Any]]] = []
        self._events: list[tuple[Any, Callable, list, dict]] = []

    def follow(self, component, value: Callable[[Session], Any], later: bool = False) -> None:
        """`component` shows value(session) after every change; later: in a second step, once the picture is there."""
        (self._later if later else self._now).append((component, value))

    def on(self, event, change: Callable, *inputs, **options) -> None:
        """When `event` happens, the session becomes change(session, *inputs)."""
        self._events.append((event, change, list(inputs), options))

    def wire(self, demo: gr.Blocks) -> None:
        for event, change, inputs, options in self._events:
            self._connect(event, change, [self.session, *inputs], options)
        self._connect(demo.load, open_page, [], {})

    def _connect(self, event, change: Callable, inputs: list, options: dict) -> None:
        now, later = list(self._now), list(self._later)

        @functools.wraps(change)
        def first(*args):
            session = change(*args)
            return (session, *[value(session) for _, value in now])

        def then(session: Session | None):
            return [value(session or view.start()) for _, value in later]

        # "always_last": while one runs, the latest waits. "multiple" where each counts, one after the other.
        options = {"trigger_mode": "always_last", "concurrency_limit": 1} | options
        outputs = [self.session, *[component for component, _ in now]]
        done = event(plainly(first), inputs, outputs, **QUIET, **options)
        done.success(plainly(then), self.session, [component for component, _ in later], **QUIET)


def open_page(request: gr.Request) -> Session:
    """The page as it opens: the recipe of its link, or the start page, with a sentence if the link was no good."""
    return open_link(request.query_params.get("r"))


def open_link(text: str | None) -> Session:
    if text is None:
        return view.start()
    try:
        return view.opened(decode_link(text))
    except ValueError as error:
        return replace(view.start(), notice=f"The link could not be opened: {error}")


def sent(event: gr.EventData, name: str) -> Any:
    """What a component's script sent under this name, unchecked; None where there is nothing."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def current(session: Session | None) -> Session:
    """The session in hand; the start page's where the server has forgotten it (a restart, an hour without a word)."""
    return replace(session or view.start(), notice="")
