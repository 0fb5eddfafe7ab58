"""One visit on the server, and events as handlers of it: of two in flight neither undoes the other."""

import functools
import hashlib
import json
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

import gradio as gr

from panda_core.studio.session import Session

from .components.plain import Picture
from .server.events import plainly

OUTPUT_ONLY = (gr.HTML, gr.Button, gr.DownloadButton, gr.Markdown)
T = TypeVar("T")
CATCH_UP = 3  # times that what is shown is made, while the session changes meanwhile


class Visit:
    """A visitor's session, changed by one event at a time.

    start: makes the start page's session, for a visit that has none yet or whose session the server has forgotten.
    """

    _all, _door = weakref.WeakSet(), threading.Lock()

    def __init__(self, start: Callable[[], Session]) -> None:
        with self._door:
            self._all.add(self)
        self._start = start
        self._session: Session | None = None
        self.lock = threading.Lock()
        self._sent: dict[tuple, str] = {}  # (component, key) -> digest of what it was sent last
        self._turn = 0
        self._in_hand: set[str] = set()  # long work, by name
        self._moved: dict[str, float] = {}  # slider -> when it was moved last, by the browser's clock

    def __deepcopy__(self, memo: dict) -> Self:
        """What gradio gives to every visitor: a visit that begins."""
        return type(self)(self._start)

    @property
    def session(self) -> Session:
        """Without its notice: that was for one event."""
        return replace(self._session or self._start(), notice="")

    @session.setter
    def session(self, session: Session) -> None:
        self._session = session

    def aside(self, name: str, default: T) -> T:
        """What its session keeps under this name; none is begun for it."""
        return self._session.aside(name, default) if self._session else default

    def end(self) -> None:
        self._session = None

    def others(self) -> list[Self]:
        """All other visits that this server remembers."""
        with self._door:
            return [visit for visit in self._all if visit is not self]

    def begin(self, work: str) -> None:
        self._in_hand.add(work)

    def take(self, work: str) -> bool:
        """True for who comes first of a piece of work's result and its Cancel button; under the lock."""
        first = work in self._in_hand or self._session is None  # a server that has forgotten knows of no work
        self._in_hand.discard(work)
        return first

    def is_new(self, slider: str, at: float) -> bool:
        """Whether this move of a slider has not come before, nor a later one; under the lock."""
        new = at > self._moved.get(slider, -1.0)
        if new:
            self._moved[slider] = at
        return new

    def news(self, components: Sequence[Any], values: Sequence[Any]) -> list:
        """What differs from what each component was sent last; the rest is skipped. Fields, whose value a visitor may
        have changed since, get theirs in any case; a Picture gets the keys that differ."""
        return [self._new(component, value) for component, value in zip(components, values, strict=True)]

    def _new(self, component: Any, value: Any) -> Any:
        if not isinstance(component, OUTPUT_ONLY) or value == gr.skip():
            return value
        if isinstance(component, Picture):
            self._turn += 1  # every event says what is shown now, also to a browser that had the same answer before
            news = {key: item for key, item in value.items() if self._is_news((component, key), item)}
            return news | {"shown": [*value.get("shown", []), self._turn]}
        return value if self._is_news((component, None), value) else gr.skip()

    def _is_news(self, key: tuple, value: Any) -> bool:
        data = value.constructor_args if isinstance(value, gr.blocks.Block) else value
        digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
        before, self._sent[key] = self._sent.get(key), digest
        return digest != before

    def forget(self, shown: Sequence[Any]) -> None:
        """What these components, or all that have these keys, show is not known any more: the next event sends it."""
        self._sent = {sent: digest for sent, digest in self._sent.items() if not set(shown).intersection(sent)}


def changing(
    function: Callable,
    work: str | None = None,
    slider: str | None = None,
    shown: Sequence[Any] = (),
) -> Callable:
    """function(session, *inputs) -> (session, *values), or None where nothing changes, as an event's handler.

    shown: the components that get the values. work: whose result this takes in; nothing changes where that was
    cancelled. slider: whose moves these are; what the browser sends is [value, when] (page.js). For a move that was
    overtaken, or came before (a tick, and then perhaps another edit in hand), it is function(session) alone.
    """
    plain = plainly(function)

    @functools.wraps(function)
    def wrapped(visit: Visit, *args):
        with visit.lock:
            dropped = work is not None and not visit.take(work)
            if slider and isinstance(args[0], list):
                *args, at = args[0][:2] if len(args[0]) > 1 else (None, None)
                args = args if not isinstance(at, int | float) or visit.is_new(slider, at) else []
            made = None if dropped else plain(visit.session, *args)
            if made is None:
                return gr.skip()
            visit.session, *values = made
            return visit, *visit.news(shown, values)

    return wrapped


def moving(function: Callable[[Session, dict], tuple[Session, dict]]) -> Callable:
    """function(session, given) -> (session, answer) for moves that come many times a second, as a handler of a visit
    and what the browser sent: each says `at`, when it was made, and one that was overtaken is not answered."""
    plain = plainly(function)

    def handler(visit: Visit, given: dict) -> dict | None:
        at = given.get("at") if isinstance(given, dict) else None
        with visit.lock:
            if not isinstance(at, int | float) or not visit.is_new("strength", at):
                return None
            visit.session, answer = plain(visit.session, given)
            visit.forget(answer)
        return answer

    return handler


def reading(function: Callable, shown: Sequence[Any] | None = None) -> Callable:
    """function(session, *inputs) -> value, as an event's handler: of the session as it is at the end, not before.

    shown: the components that get the values, of which there is a list then.
    """
    plain = plainly(function)

    @functools.wraps(function)
    def wrapped(visit: Visit, *given) -> Any:
        for _ in range(CATCH_UP):
            before = visit.session
            value = plain(before, *given)
            if before == visit.session:
                break
        if shown is None:
            return value
        with visit.lock:
            return visit.news(shown, value)

    return wrapped
