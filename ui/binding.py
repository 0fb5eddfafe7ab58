"""How the page hangs together: what on it follows the visitor's session, and which events change it."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, Self

import gradio as gr
from anyio import to_thread

from panda_core.studio.session import Session, work_name

from .components.html import sentence
from .components.plain import Tiles
from .server import gpu
from .server.events import BUDGETS, JOBS, asking, counted
from .visit import Visit, changing, moving, reading

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
SAVE_JS = """(text) => { const f = JSON.parse(text), a = document.createElement('a');
  const bytes = Uint8Array.from(atob(f.data), c => c.charCodeAt(0));
  a.href = URL.createObjectURL(new Blob([bytes])); a.download = f.name; a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000); }"""


class View(NamedTuple):
    """The tab and the accordions that are open; `Session.view`."""

    tab: str = "Edit"
    folds: frozenset[str] = frozenset()

    @classmethod
    def of(cls, session: Session) -> Self:
        return session.view or cls()


def open_tab(session: Session, tab: str) -> Session:
    return replace(session, view=View.of(session)._replace(tab=tab))


def unfold(session: Session, fold: str, is_open: bool) -> Session:
    view = View.of(session)
    return replace(session, view=view._replace(folds=view.folds | {fold} if is_open else view.folds - {fold}))


class Follower(NamedTuple):
    """A component and what it shows of a session. tabs, fold: only while one of those, and that, are open."""

    component: Any
    value: Callable[[Session], Any]
    tabs: tuple[str, ...]
    fold: str | None

    def shown(self, session: Session) -> Any:
        tab, folds = View.of(session)
        is_open = (not self.tabs or tab in self.tabs) and self.fold in (None, *folds)
        return self.value(session) if is_open else gr.skip()


class Page:
    """Collects what follows the session and what changes it while the tabs lay themselves out; `wire` connects all.

    A component follows the session through a function Session -> value. An event changes it through a function
    (session, *values of its inputs) -> session, or None where nothing changes. So a tab knows nothing of the others.
    """

    def __init__(self, start: Callable[[], Session]) -> None:
        self.visit = gr.State(Visit(start))
        self._tabs: tuple[str, ...] = ()
        self._fold: str | None = None
        self._now: list[Follower] = []
        self._later: list[Follower] = []  # after the picture
        self._events: list[tuple[Any, Callable, list, dict]] = []
        self._failures: list = []  # events with fields, after which the page shows what is, not what was typed

    @contextmanager
    def tab(self, name: str) -> Iterator[None]:
        """What is laid out inside is on this tab, and follows the session only while it is open."""
        with gr.Tab(name, elem_id=f"tab-{name.lower()}") as tab:
            self._tabs = (name,)
            yield
            self._tabs = ()

        # gradio also tells of the tab that a page opens with, perhaps before the page's own session is there
        def select(session: Session) -> Session | None:
            return None if View.of(session).tab == name else open_tab(session, name)

        self.on(tab.select, select, trigger_mode="multiple")

    @contextmanager
    def beside(self, *tabs: str) -> Iterator[None]:
        """What is laid out inside is under the tabs, seen with these; it follows the session only while one is open."""
        with gr.Column(elem_classes=["beside", *(f"with-{tab.lower()}" for tab in tabs)]):
            self._tabs = tabs
            yield
            self._tabs = ()

    @contextmanager
    def fold(self, name: str, **more) -> Iterator[None]:
        """What is laid out inside is in an accordion, and follows the session only while that is open."""
        with gr.Accordion(name, open=False, **more) as fold:
            self._fold = name
            yield
            self._fold = None
        self.on(fold.expand, lambda session: unfold(session, name, True), trigger_mode="multiple")
        self.on(fold.collapse, lambda session: unfold(session, name, False), trigger_mode="multiple")

    def follow(self, component, value: Callable[[Session], Any], later: bool = False) -> None:
        """`component` shows value(session) after every change; later: in a second step, once the picture is there."""
        (self._later if later else self._now).append(Follower(component, value, self._tabs, self._fold))

    def tiles(self, group: str, value: Callable[[Session], dict], choose: Callable, later=True,
              about: Callable[[Session], str] | None = None, **more) -> Tiles:  # fmt: skip
        """Picture buttons that show value(session); with a click on one the session becomes choose(session, event).

        about(session): what they are about, a place or a picture (pictures.of_place, of_picture): while the page shows
        another they fade, and cannot be pressed.
        """
        tiles = Tiles(group=group, elem_classes=["about"] if about else [], **more)
        self.follow(tiles, (lambda s: value(s) | {"about": about(s)}) if about else value, later)
        self.on(tiles.choose, choose)
        return tiles

    def button(self, words: str, change: Callable, *inputs, when: Callable[[Session], Any] | None = None,
               each: bool = False, **more) -> gr.Button:  # fmt: skip
        """A button: the session becomes change(session, *inputs); it can be pressed where when(session) is true.

        each: of quick presses each counts.
        """
        button = gr.Button(words, size="sm", **more)
        if when:
            self.follow(button, lambda s: gr.Button(interactive=bool(when(s))))
        self.on(button.click, change, *inputs, **({"trigger_mode": "multiple"} if each else {}))
        return button

    def field(self, field, value: Callable[[Session], Any], change: Callable, **options) -> None:
        """`field` shows value(session); with what a visitor enters the session becomes change(session, entered)."""
        self.follow(field, value)
        each = {"slider": field} if isinstance(field, gr.Slider) else {"trigger_mode": "multiple"}
        self.on(field.input, change, field, **each, **options)

    def answering(self, name: str, move: Callable[[Session, dict], tuple[Session, dict]]) -> Callable:
        """move(session, what the script sent) -> (session, answer), for a component's script to call by this name.

        Past gradio's events: after each of those the browser looks through all of the page, for tens of milliseconds.
        """
        handler = moving(move)

        async def answer(given, request: gr.Request) -> dict | None:
            visits = request.app.state_holder[(await request.json())["session_hash"]]
            return await to_thread.run_sync(handler, visits[self.visit._id], given)

        answer.__name__ = name
        return answer

    def on(self, event, change: Callable, *inputs, **options) -> None:
        """When `event` happens, the session becomes change(session, *inputs).

        options: gradio's, `changing`'s work, and slider: the one whose event this is.
        """
        self._events.append((event, change, list(inputs), options))

    def job(self, event, work: Callable, *inputs, done: Callable[[Session, Any], Session] | None = None, picture=None,
            enough: Callable[[Session], None] | None = None):  # fmt: skip
        """A long piece of work, with a line of progress and a Cancel button where this is called.

        work(session, *inputs, report) runs beside everything else; report(Progress) is False once it should stop.
        done(session, result) -> session, with the session as it is by then: the visitor may have gone on meanwhile.
        Without one the session keeps the result: session.made(work).
        enough(session) tells the work to end with what there is, at the press of a second button.
        picture(session, *inputs, progress) -> HTML of what there is so far, with the session as it was.
        """
        with gr.Row(visible=False, equal_height=True, elem_classes="job") as row:
            line = gr.HTML(elem_classes="progress")
            take = gr.Button("Good enough", size="sm", min_width=110, scale=0) if enough else None
            cancel = gr.Button("Cancel", size="sm", min_width=80, scale=0)
        result, steps = gr.State(None), gpu.job(work, picture)
        done = done or (lambda session, value: session.keep_made(work, value))
        name = work_name(work)

        def begin(visit: Visit) -> tuple:
            visit.begin(name)
            return sentence("Waiting for a free place …"), gr.Row(visible=True)

        def run(visit: Visit, *values) -> Iterator:
            try:
                with counted(work.__name__), BUDGETS.one_job(asking()):
                    for words, value in steps(visit.session, *values):
                        yield gr.skip() if value is None else value, words, gr.skip()
            except gr.Error:
                yield gr.skip(), "", gr.Row(visible=False)
                raise

        run.__name__, run.__qualname__, run.__module__ = work.__name__, work.__qualname__, work.__module__
        begun = event(begin, self.visit, [line, row], queue=False, **QUIET)
        # "multiple": what was begun again right after Cancel is not taken for the one that is just ending
        ran = begun.then(run, [self.visit, *inputs], [result, line, row], trigger_mode="multiple", **QUIET, **JOBS)
        self.on(ran.success, done, result, work=name)
        ran.success(lambda: ("", gr.Row(visible=False)), None, [line, row], queue=False, **QUIET)
        if inputs:
            self._failures.append(ran.failure)

        def stopped(visit: Visit) -> tuple:
            with visit.lock:
                in_time = visit.take(name)
            if in_time:
                gr.Info("Nothing of it is kept.", title="Cancelled")
            else:
                gr.Info("It had just finished; what it found is there.", title="Not cancelled")
            return "", gr.Row(visible=False)

        if take:
            take.click(reading(enough), self.visit, None, queue=False, **QUIET)
        # in the queue: else nobody sees its words
        cancel.click(stopped, self.visit, [line, row], cancels=[ran], **QUIET)

    def save(self, event, make: Callable[..., str], *inputs) -> None:
        """When `event` happens, the browser saves a file: make(session, *inputs), as `sharing.as_file` writes it."""
        given = gr.Textbox(visible="hidden")
        event(reading(make), [self.visit, *inputs], given, **QUIET).success(None, given, None, js=SAVE_JS)

    def show_all(self, session: Session) -> None:
        """Make what the page shows of a session, so that it is there when somebody comes."""
        for follower in (*self._now, *self._later):
            follower.shown(session)

    def wire(self, demo: gr.Blocks, open_page: Callable) -> None:
        """open_page(session, request) -> the session that the page opens with."""
        for event, change, inputs, options in self._events:
            self._connect(event, change, [self.visit, *inputs], options)
        self._connect(demo.load, open_page, [self.visit], {})

        def show_now(session: Session) -> list:
            return [f.shown(session) for f in self._now]

        shown = [f.component for f in self._now]
        for failure in self._failures:  # a field with a wrong number shows the right one again
            failure(reading(show_now, shown), self.visit, shown, **QUIET)

    def _connect(self, event, change: Callable, inputs: list, options: dict) -> None:
        slider = options.pop("slider", None)

        @functools.wraps(change)
        def first(session: Session, *given):
            session = change(session, *given) if given or not slider else session
            return session and (session, *(f.shown(session) for f in self._now))

        # "always_last": while one runs, the latest waits, and reads its fields then; a click's own data would be that
        # of the click which ran, so that those are "multiple": each counts, one after the other
        has_data = any(p.annotation is gr.EventData for p in inspect.signature(change).parameters.values())
        options = {"trigger_mode": "multiple" if has_data else "always_last", "concurrency_limit": 1} | options
        if slider:
            options["js"] = entered(slider)
        shown, work = [f.component for f in self._now], options.pop("work", None)
        handler = changing(first, work, slider and slider.elem_id, shown)
        done = event(handler, inputs, [self.visit, *shown], **QUIET, **options)

        if len(inputs) > 1:  # more than the visit: fields, which may hold something wrong now
            self._failures.append(done.failure)

        def show_later(session: Session) -> list:
            return [f.shown(session) for f in self._later]

        # of clicks that come while this runs the last one counts; without "always_last" gradio drops it
        outputs = [f.component for f in self._later]
        later = reading(show_later, outputs)
        if options.get("queue", True):
            done.success(later, self.visit, outputs, trigger_mode="always_last", **QUIET)


def entered(slider: gr.Slider) -> str:
    """A script: what a visitor entered last, and when, in place of what the slider says."""
    return f"(visit, value) => window.entered('{slider.elem_id}', visit, value)"
