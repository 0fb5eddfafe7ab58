"""How an event runs: on its visitor's budget, a few networks at once, and whatever goes wrong becomes one sentence."""

import errno
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.context import LocalContext

from panda_core.hub.errors import HubError

from . import gpu
from .limits import Budgets, log, logged, visitor

BUDGETS = Budgets()
GATE = threading.BoundedSemaphore(4)  # networks that run at once; events outside the queue pass here too
JOBS = {"concurrency_id": "jobs", "concurrency_limit": 2}  # long work of all visitors and programs together
FAULT = "Something went wrong on the server, and was noted; the page is as it was."
# kind of a HubError -> what a visitor reads; its own words, with settings and addresses, are the owner's, in the log
NO_FILE = "The file cannot be downloaded from here; go on with what is here, or choose another generator."
TRANSFERS = {
    "offline": "This page downloads nothing; choose a generator that is here already.",
    "network": "The server that has the file cannot be reached; try again later, or choose a generator that is here.",
    "server": "The server that has the file has a fault of its own; try again in a few minutes.",
    "rate-limited": "The server that has the file takes no more requests for now; try again in a few minutes.",
    "truncated": "The connection broke; what came is kept, so try again.",
    "corrupt": "The file did not arrive as it should be and was thrown away; try again, or choose another generator.",
    "disk": "There is no room here for the file; choose a generator that is here already.",
}
PATIENCE = 30.0  # seconds that an event waits at the gate


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
    except HubError as error:
        log.warning("%s: %s", event, error)
        raise mistake(TRANSFERS.get(error.kind, NO_FILE)) from error
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
    """For the page and for programs: plain text, without the characters that the page would read as HTML."""
    words = str(error).translate({ord("<"): "‹", ord(">"): "›"})
    return gr.Error(words, title="That did not work", print_exception=False)
