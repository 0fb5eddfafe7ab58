"""Long work: it runs in a thread of its own, tells how far it is, and stops when nobody waits for it any more."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from panda_core.progress import Progress

BEAT = 0.25  # seconds between two looks at a job; a cancelled one is let go within this time
LONGEST = 600.0  # seconds after which a job is stopped, whatever it does
STAGES = {
    "sampling": "Drawing samples",
    "solving": "Finding parts",
    "start": "Looking for something like it",
    "latents": "Finding it",
    "styles": "Refining the match",
    "features": "Adding what is still missing",
    "ranking": "Looking at pictures",
    "downloading": "Downloading",
}


def run_job(work: Callable[..., Any], picture: Callable[[Progress], str] | None = None) -> Iterator[tuple[str, Any]]:
    """Run work(report=...) and yield (progress as HTML, None) while it runs, then ("", result).

    picture: progress -> HTML of what there is so far, shown under the words.

    Closing the iterator stops the work at its next report. Raises: what the work raises; ValueError after LONGEST.
    """
    reports: queue.SimpleQueue = queue.SimpleQueue()
    stopped = threading.Event()

    def report(progress: Progress) -> bool:
        reports.put(progress)
        return not stopped.is_set()

    def body() -> None:
        try:
            reports.put((work(report=report), None))
        except Exception as error:
            reports.put((None, error))

    threading.Thread(target=body, daemon=True).start()
    began, line = time.monotonic(), words(Progress("", 0, 0), 0.0)
    clock: tuple[str, float] = ("", began)  # the stage in hand and when it began
    try:
        while time.monotonic() - began < LONGEST:
            yield line, None
            latest = newest(reports)
            if isinstance(latest, Progress):
                if latest.stage != clock[0]:
                    clock = latest.stage, time.monotonic()
                line = words(latest, time.monotonic() - clock[1]) + (picture(latest) if picture else "")
            elif latest is not None:
                result, error = latest
                if error is not None:
                    raise error
                yield "", result
                return
        raise ValueError(f"The work was stopped after {LONGEST / 60:.0f} minutes; ask for less at once.")
    finally:
        stopped.set()


def newest(reports: queue.SimpleQueue):
    """The last thing reported within a beat, or the end of the work; None where nothing came."""
    latest, until = None, time.monotonic() + BEAT
    while (left := until - time.monotonic()) > 0 or not reports.empty():
        try:
            latest = reports.get(timeout=max(left, 0.001))
        except queue.Empty:
            break
        if not isinstance(latest, Progress):
            break
    return latest


def words(progress: Progress, seconds: float) -> str:
    """HTML: what is being done, how far it is, and about how long it still takes."""
    stage = STAGES.get(progress.stage, progress.stage or "Beginning")
    if not progress.done:
        return f'<p role="status">{stage} …</p>'
    left = seconds / progress.done * max(progress.total - progress.done, 0)
    energy = "" if progress.energy is None else f", {progress.energy:.0%} explained"
    about = f", about {left:.0f} s left" if seconds > 1 and left >= 1 else ""
    most = "at most " if progress.stage in ("sampling", "solving") else ""  # a fit ends once it is good enough
    count = f"{progress.done:,} of {most}{progress.total:,}"
    if progress.stage == "downloading":
        count = f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB" if progress.total else ""
    bar = f'<progress value="{progress.done}" max="{progress.total}" aria-label="{stage}"></progress>'
    return f'<p role="status">{stage}: {count}{energy}{about}</p>{bar}'
