"""What every tab shares: the visitor's session, what on the page follows it, and how an event changes it."""

import errno
import functools
import html
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import gradio as gr
import PIL.Image
from gradio.context import LocalContext

from panda_core.door import Budgets, log, logged, visitor
from panda_core.images import to_pil
from panda_core.recipes import Edit, Recipe, decode_link, parse_recipe

from . import gpu, view
from .jobs import sending
from .session import OPEN_FOLDS, Session
from .widgets import Tiles

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
T = TypeVar("T")
BUDGETS = Budgets()
GATE = threading.BoundedSemaphore(4)  # networks that run at once; events outside the queue pass here too
JOBS = {"concurrency_id": "jobs", "concurrency_limit": 2}  # long work of all visitors and programs together
FAULT = "Something went wrong on the server, and was noted; the page is as it was."
CATCH_UP = 3  # times that what is shown is made, while the session changes meanwhile
PATIENCE = 30.0  # seconds that an event waits at the gate
SAVE_JS = """(text) => { const f = JSON.parse(text), a = document.createElement('a');
  const bytes = Uint8Array.from(atob(f.data), c => c.charCodeAt(0));
  a.href = URL.createObjectURL(new Blob([bytes])); a.download = f.name; a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000); }"""


def plainly(function: Callable) -> Callable:
    """A handler whose mistakes reach the visitor as one sentence, with the page left as it was."""
    run = gpu.event(function)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if not GATE.acquire(timeout=PATIENCE):
            raise gr.Error("Too many pictures are being made at the moment; try again shortly.", title="Busy")
        try:
            with counted(function.__name__):
                return run(*args, **kwargs)
        finally:
            GATE.release()

    return wrapped


@contextmanager
def counted(event: str) -> Iterator[None]:
    """An event of the page: logged, taken from its visitor's budget, and whatever goes wrong becomes one sentence."""
    began = time.monotonic()
    try:
        with logged(event):
            yield
    except (gr.Error, GeneratorExit):
        raise
    except ValueError as error:
        raise mistake(error) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO):
            log.exception(event)
            raise mistake(FAULT) from error
        raise mistake(f"The disk could not be used ({error.strerror}); what was saved before is untouched.") from error
    except Exception as error:
        log.exception(event)
        raise mistake(FAULT) from error
    finally:
        BUDGETS.settle(asking(), time.monotonic() - began)


def asking() -> str | None:
    """The visitor whose event this is, by the request that brought it."""
    request = LocalContext.request.get(None)
    client = getattr(request, "client", None)
    return visitor(client.host, request.headers.get("x-forwarded-for", "")) if client else None


def mistake(error: Exception | str) -> gr.Error:
    return gr.Error(html.escape(str(error)), title="That did not work", print_exception=False)


class Visit:
    """A visitor's session on the server, changed by one event at a time: of two in flight neither undoes the other."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.lock = threading.Lock()
        self.in_hand: set[str] = set()  # long work, by name
        self.entered: dict[str, float] = {}  # slider -> when it was moved last, by the browser's clock

    def take(self, work: str) -> bool:
        """True for who comes first of a piece of work's result and its Cancel button; under the lock."""
        first = work in self.in_hand or self.session is None  # a server that has forgotten the visit knows of no work
        self.in_hand.discard(work)
        return first

    def is_new(self, slider: str, at: float) -> bool:
        """Whether this move of a slider has not come before, nor a later one; under the lock."""
        new = at > self.entered.get(slider, -1.0)
        if new:
            self.entered[slider] = at
        return new


def with_session(function: Callable) -> Callable:
    """function(session, *inputs), given the start page's session where the server has none, without an old notice."""

    @functools.wraps(function)
    def wrapped(session: Session | None, *args):
        return function(current(session), *args)

    return wrapped


def changing(function: Callable, work: str | None = None, slider: str | None = None) -> Callable:
    """function(session, *inputs) -> (session, *values), or None where nothing changes, as an event's handler.

    work: whose result this takes in; nothing changes where that was cancelled. slider: whose moves these are; what the
    browser sends is [value, when] (page.js). For a move that was overtaken, or came before (a tick, and then perhaps
    another edit in hand), it is function(session) alone.
    """
    plain = plainly(with_session(function))

    @functools.wraps(function)
    def wrapped(visit: Visit | None, *args):
        visit = visit or Visit()
        with visit.lock:
            dropped = work is not None and not visit.take(work)
            if slider and isinstance(args[0], list):
                *args, at = args[0][:2] if len(args[0]) > 1 else (None, None)
                args = args if not isinstance(at, int | float) or visit.is_new(slider, at) else []
            made = None if dropped else plain(visit.session, *args)
            if made is None:
                return gr.skip()
            visit.session = made[0]
            return visit, *made[1:]

    return wrapped


def reading(function: Callable) -> Callable:
    """function(session) -> value, as an event's handler: of the session as it is at the end, not as it was before."""
    plain = plainly(with_session(function))

    @functools.wraps(function)
    def wrapped(visit: Visit | None):
        for _ in range(CATCH_UP):
            session = visit and visit.session
            value = plain(session)
            if session is (visit and visit.session):
                break
        return value

    return wrapped


class Follower(NamedTuple):
    """A component and what it shows of a session. tab, fold: only while those are open."""

    component: Any
    value: Callable[[Session], Any]
    tab: str | None
    fold: str | None

    def shown(self, session: Session) -> Any:
        is_open = self.tab in (None, session.tab) and self.fold in (None, *session.folds)
        return self.value(session) if is_open else gr.skip()


class Page:
    """Collects what follows the session and what changes it while the tabs lay themselves out; `wire` connects all.

    A component follows the session through a function Session -> value. An event changes it through a function
    (session, *values of its inputs) -> session, or None where nothing changes. So a tab knows nothing of the others.
    """

    def __init__(self) -> None:
        self.visit = gr.State(None)
        self._tab: str | None = None
        self._fold: str | None = None
        self._now: list[Follower] = []
        self._later: list[Follower] = []  # after the picture
        self._events: list[tuple[Any, Callable, list, dict]] = []
        self._failures: list = []  # events with fields, after which the page shows what is, not what was typed

    @contextmanager
    def tab(self, name: str) -> Iterator[None]:
        """What is laid out inside is on this tab, and follows the session only while it is open."""
        with gr.Tab(name) as tab:
            self._tab = name
            yield
            self._tab = None

        # gradio also tells of the tab that a page opens with, perhaps before the page's own session is there
        def open_tab(session: Session) -> Session | None:
            return None if session.tab == name else session.open_tab(name)

        self.on(tab.select, open_tab, trigger_mode="multiple")

    @contextmanager
    def fold(self, name: str, **more) -> Iterator[None]:
        """What is laid out inside is in an accordion, and follows the session only while that is open."""
        with gr.Accordion(name, open=name in OPEN_FOLDS, **more) as fold:
            self._fold = name
            yield
            self._fold = None
        self.on(fold.expand, lambda session: session.unfold(name, True), trigger_mode="multiple")
        self.on(fold.collapse, lambda session: session.unfold(name, False), trigger_mode="multiple")

    def follow(self, component, value: Callable[[Session], Any], later: bool = False) -> None:
        """`component` shows value(session) after every change; later: in a second step, once the picture is there."""
        (self._later if later else self._now).append(Follower(component, value, self._tab, self._fold))

    def tiles(self, group: str, value: Callable[[Session], dict], choose: Callable, later=True, **more) -> Tiles:
        """Picture buttons that show value(session); with a click on one the session becomes choose(session, event)."""
        tiles = Tiles(group=group, **more)
        self.follow(tiles, value, later)
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

    def field(self, field, value: Callable[[Session], Any], change: Callable) -> None:
        """`field` shows value(session); with what a visitor enters the session becomes change(session, entered)."""
        self.follow(field, value)
        each = {"slider": field} if isinstance(field, gr.Slider) else {"trigger_mode": "multiple"}
        self.on(field.input, change, field, **each)

    def live(self, slider: gr.Slider, tick: Callable, *shown) -> None:
        """While `slider` moves, nothing but `shown` follows: tick(session, value) -> (session, *what they show)."""

        @functools.wraps(tick)
        def moved(session: Session, *value):
            return tick(session, *value) if value else None

        options = {"queue": False, "trigger_mode": "always_last", "js": entered(slider)} | QUIET
        slider.input(changing(moved, slider=slider.elem_id), [self.visit, slider], [self.visit, *shown], **options)

    def on(self, event, change: Callable, *inputs, **options) -> None:
        """When `event` happens, the session becomes change(session, *inputs).

        options: gradio's, `changing`'s work, and slider: the one whose event this is.
        """
        self._events.append((event, change, list(inputs), options))

    def job(self, event, work: Callable, *inputs, done: Callable[[Session, Any], Session] | None = None, picture=None,
            send=None):  # fmt: skip
        """A long piece of work, with a line of progress and a Cancel button where this is called.

        work(session, *inputs, report) runs beside everything else; report(Progress) is False once it should stop.
        done(session, result) -> session, with the session as it is by then: the visitor may have gone on meanwhile.
        Without one the session keeps the result: session.made(work).
        picture(session, *inputs, progress) -> HTML of what there is so far, with the session as it was.
        send(result, token, report) -> result: done with it in this process, as whoever has signed in to the Hub. The
        token is there for this call only; work, which may run elsewhere, never has it.
        """
        with gr.Row(visible=False, equal_height=True, elem_classes="job") as row:
            line = gr.HTML(elem_classes="progress")
            cancel = gr.Button("Cancel", size="sm", min_width=80, scale=0)
        result, steps = gr.State(None), gpu.job(work, picture)
        steps = sending(steps, send) if send else steps
        done = done or (lambda session, value: session.keep_made(work, value))
        name = f"{work.__module__}.{work.__name__}"

        def begin(visit: Visit | None) -> tuple:
            if visit:
                visit.in_hand.add(name)
            return sentence("Waiting for a free place …"), gr.Row(visible=True)

        def run(visit: Visit | None, *values) -> Iterator:
            try:
                with counted(work.__name__), BUDGETS.one_job(asking()):
                    for words, value in steps(current(visit and visit.session), *values):
                        yield gr.skip() if value is None else value, words, gr.skip()
            except gr.Error:
                yield gr.skip(), "", gr.Row(visible=False)
                raise

        def signed(visit: Visit | None, token: gr.OAuthToken | None, *values) -> Iterator:
            yield from run(visit, token, *values)

        handler = signed if send else run
        handler.__name__, handler.__module__ = work.__name__, work.__module__
        begun = event(begin, self.visit, [line, row], queue=False, **QUIET)
        # "multiple": what was begun again right after Cancel is not taken for the one that is just ending
        ran = begun.then(handler, [self.visit, *inputs], [result, line, row], trigger_mode="multiple", **QUIET, **JOBS)
        self.on(ran.success, done, result, work=name)
        ran.success(lambda: ("", gr.Row(visible=False)), None, [line, row], queue=False, **QUIET)
        if inputs:
            self._failures.append(ran.failure)

        def stopped(visit: Visit | None) -> tuple:
            visit = visit or Visit()
            with visit.lock:
                in_time = visit.take(name)
            if in_time:
                kept = "What had been sent by then is on the Hub." if send else "The picture is as it was."
                gr.Info(f"Cancelled. {kept}", title="Stopped")
            else:
                gr.Info("It had just finished; what it found is there.", title="Not cancelled")
            return "", gr.Row(visible=False)

        # in the queue: else nobody sees its words
        cancel.click(stopped, self.visit, [line, row], cancels=[ran], **QUIET)

    def save(self, event, make: Callable[[Session], str]) -> None:
        """When `event` happens, the browser saves a file; make(session) -> what view.as_file makes of it."""
        given = gr.Textbox(visible="hidden")
        event(reading(make), self.visit, given, **QUIET).success(None, given, None, js=SAVE_JS)

    def wire(self, demo: gr.Blocks) -> None:
        for event, change, inputs, options in self._events:
            self._connect(event, change, [self.visit, *inputs], options)
        self._connect(demo.load, open_page, [self.visit], {})

        def show_now(session: Session) -> list:
            return [f.shown(session) for f in self._now]

        for failure in self._failures:  # a field with a wrong number shows the right one again
            failure(reading(show_now), self.visit, [f.component for f in self._now], **QUIET)

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
        handler = changing(first, options.pop("work", None), slider and slider.elem_id)
        done = event(handler, inputs, [self.visit, *[f.component for f in self._now]], **QUIET, **options)

        if len(inputs) > 1:  # more than the visit: fields, which may hold something wrong now
            self._failures.append(done.failure)

        def show_later(session: Session) -> list:
            return [f.shown(session) for f in self._later]

        # of clicks that come while this runs the last one counts; without "always_last" gradio drops it
        outputs = [f.component for f in self._later]
        done.success(reading(show_later), self.visit, outputs, trigger_mode="always_last", **QUIET)


def entered(slider: gr.Slider) -> str:
    """A script: what a visitor entered last, and when, in place of what the slider says."""
    return f"(visit, value) => window.entered('{slider.elem_id}', visit, value)"


def open_page(session: Session, request: gr.Request) -> Session:
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


def clicked(event: gr.EventData, what: str, choices: Sequence[T], of: str | None = None) -> T | None:
    """The choice that the tile clicked stands for; None for a tile of other Tiles than those that are there now (`of`),
    and a word to the visitor, who saw no others yet.

    Raises: ValueError if there is no such tile.
    """
    index = sent(event, "index")
    if sent(event, "of") not in (None, of):
        gr.Info("What is offered here has just changed; choose again.", title="Not yet")
        return None
    if type(index) is not int or not 0 <= index < len(choices):
        raise ValueError(f"{what} is {index!r:.20}; {len(choices)} are offered here.")
    return choices[index]


def open_seed(session: Session, evt: gr.EventData) -> Session:
    """A tile of another picture was clicked: it comes into the panel, and the edits stay."""
    return go_to_seed(session, sent(evt, "seed"))


def go_to_seed(session: Session, seed: float | None) -> Session:
    return session.go_to(number("Seed", seed, 0, 2**32 - 1, whole=True))


def current(session: Session | None) -> Session:
    """The session in hand; the start page's where the server has forgotten it (a restart, an hour without a word)."""
    return replace(session or view.start(), notice="")


def number(what: str, given, low: float, high: float, whole: bool = False) -> float:
    """A visitor's number. Raises: ValueError if it is none, or out of range; NaN is in no range."""
    fits = type(given) in (int, float) and low <= given <= high and (not whole or given == int(given))
    if not fits:
        kind = "whole number" if whole else "number"
        found = "empty" if given is None else f"{given!r:.20}"
        raise ValueError(f"{what} is {found}; it must be a {kind} from {low:.10g} to {high:.10g}.")
    return int(given) if whole else float(given)


def heading(text: str) -> str:
    return f'<div class="heading" role="heading" aria-level="2">{text}</div>'


def sentence(text: str) -> str:
    return f'<p role="status">{text}</p>'


def hint(text: str) -> gr.HTML:
    """What a tab is for."""
    return gr.HTML(f"<p>{text}</p>", elem_classes="hint")


def figure(source: str, caption: str) -> str:
    """A picture with words under it. caption: plain text."""
    words = html.escape(caption)
    return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def pair(shown: dict[str, str]) -> str:
    """Two pictures side by side; caption -> source."""
    return f'<div class="pair">{"".join(figure(source, caption) for caption, source in shown.items())}</div>'


def read_recipe(text: str) -> Recipe:
    """The recipe of an endpoint's first argument, with factors that this page has."""
    return view.opened(parse_recipe(text)).recipe


def answer(recipe: Recipe) -> tuple[PIL.Image.Image, str]:
    """What an endpoint gives back: the picture, and the recipe with its weights."""
    return to_pil(view.renderer.image(recipe))[0], view.renderer.pin(recipe).to_json()


def answer_with(recipe: Recipe, *edits: Edit) -> tuple[PIL.Image.Image, str]:
    """As `answer`, with more edits: a stranger's recipe and numbers, checked as one recipe."""
    return answer(read_recipe(replace(recipe, edits=(*recipe.edits, *edits)).to_json()))


def whole(number: float):
    """A JSON number that is whole as an int, anything else as it is, for the validator to refuse."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
