"""What the page costs: bytes of each event, pictures a second of the slider and of a drag on the picture.

    python -m benchmarks.page [--threads 2] [--seconds 6]

Core: set the strength, run the tail, measure the change, encode a JPEG: all that the handler of a tick does.
Page: headless Chromium does twelve typical things, one after the other; counted is what the server sends for each until
it is silent, without packing. Then it pulls at the picture, and moves the slider of the change back and forth; counted
are the new pictures that the canvas drew. The browser has no machine of its own here: with few cores it takes from the
server what a visitor's would not. So the moves of the drag are also sent again while the browser rests, two at a time
as the page sends them, with strengths that were not drawn before.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from playwright.sync_api import Page, Request, sync_playwright

from panda_core.runtime.allocator import keep_freed_memory

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SILENCE, PATIENCE = 3.0, 60.0  # seconds without a byte after which an event is over, and after which it has failed
EVENTS = {  # in words: what is clicked
    "a thing is chosen": "#picture .places button >> nth=1",
    "what varies there": "#ends button:not([aria-disabled]) >> nth=0",
    "its strength": "#strength input[type=range]",
    "a popular change": "#popular button:not([aria-disabled]) >> nth=1",
    "from another picture": "#from-others button >> nth=0",
    "an edit off": "#edits input[type=checkbox] >> nth=0",
    "undo": "#undo",
    "a new picture": "#dice",
    "the tab Remove": "role=tab[name=Remove]",
    "the tab Masks": "role=tab[name=Masks]",
    "the tab Rewrite": "role=tab[name=Rewrite]",
    "back to Edit": "role=tab[name=Edit]",
}


def core_ticks(repeats: int) -> list[float]:
    """Seconds of ticks at `repeats` strengths that were not shown before."""
    import app
    from ui.dragging import Dragging

    session, dragging, seconds = app.opening.start(), Dragging(app.pictures), []
    for i in range(repeats + 5):
        began = time.perf_counter()
        session, _ = dragging.move(session, {"strength": round(-3.9 + 7.8 * i / (repeats + 5), 4)})
        seconds.append(time.perf_counter() - began)
    return seconds[5:]


@contextlib.contextmanager
def opened(threads: int) -> Iterator[Page]:
    """The page in a browser, with a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    environment = os.environ | address | {"OMP_NUM_THREADS": str(threads)}
    server = subprocess.Popen([sys.executable, "app.py"], cwd=Path(__file__).parents[1], env=environment)
    try:
        wait_for(port)
        executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.goto(f"http://127.0.0.1:{port}")
            page.wait_for_selector("#from-others button", timeout=1e3 * PATIENCE)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)


def event_bytes(page: Page) -> dict[str, int]:
    """Event -> bytes that the server sent for it."""
    arrived, sizes = [0, time.perf_counter()], {}

    def count(data: dict) -> None:
        arrived[:] = arrived[0] + data["dataLength"], time.perf_counter()

    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.dataReceived", count)

    def until_silent() -> None:
        began = time.perf_counter()
        while (now := time.perf_counter()) - max(arrived[1], began) < SILENCE:
            if now - began > PATIENCE:
                raise TimeoutError("The server does not come to rest.")
            page.wait_for_timeout(100)

    until_silent()
    for words, where in EVENTS.items():
        before = arrived[0]
        page.locator(where).click(timeout=1e3 * PATIENCE)
        until_silent()
        sizes[words] = arrived[0] - before
    network.detach()  # what it tells costs time
    return sizes


def frames(page: Page, where: str, seconds: float, path: Callable[[float], tuple[float, float]]) -> tuple:
    """(pictures drawn, seconds that it took, seconds between them) while the pointer, held down on an element, follows
    path(share of the time) -> (x, y) as shares of its sides."""
    page.evaluate("""() => { window.drawn = []; window.watching?.disconnect();
        window.watching = new MutationObserver(() => window.drawn.push(performance.now()));
        window.watching.observe(document.querySelector('#picture canvas'), {attributeFilter: ['data-frames']}); }""")
    element = page.locator(where)
    element.scroll_into_view_if_needed()
    box = element.bounding_box()

    def move(share: float) -> None:
        x, y = path(share)
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)

    move(0.0)
    page.mouse.down()
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        move(took / seconds)
        page.wait_for_timeout(20)
    drawn = page.evaluate("window.drawn")
    page.mouse.up()
    return len(drawn), took, [(b - a) / 1000 for a, b in itertools.pairwise(drawn)]


def swing(share: float) -> float:
    """0 to 1 and back, three times, at one speed: a pointer that rests asks for no picture."""
    return 1 - abs(6 * share % 2 - 1)


def to_and_fro(share: float) -> tuple[float, float]:
    return 0.05 + 0.9 * swing(share), 0.5


def longer_and_shorter(share: float) -> tuple[float, float]:
    """The end of the hair, along the way that the change in hand moves it: elsewhere a pull changes little."""
    return 0.2 - 0.05 * swing(share), 0.68 + 0.06 * swing(share)


def answered(request: Request, seconds: float) -> tuple[int, float, list[float]]:
    """(answers with a picture, seconds that it took, seconds between them) of moves like this one."""
    given, at, lock, arrived = request.post_data_json, itertools.count(), threading.Lock(), []
    headers = {name: value for name, value in request.headers.items() if name in ("content-type", "cookie")}
    began = time.perf_counter()

    def send() -> None:
        while (now := time.perf_counter()) - began < seconds:
            with lock:
                number = next(at)
            move = {"strength": round(-3.9 + 7.8 * swing((now - began) / seconds) + 1e-6 * number, 6)}
            move["at"] = 1e9 + number  # by the browser's clock, after all of its own
            body = json.dumps(given | {"data": move}).encode()
            with urllib.request.urlopen(urllib.request.Request(request.url, body, headers)) as answer:
                found = json.loads(answer.read())
            if found and found["frame"]:
                arrived.append(time.perf_counter())

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(arrived), time.perf_counter() - began, [b - a for a, b in itertools.pairwise(sorted(arrived))]


def said(what: str, count: int, took: float, gaps: list[float]) -> str:
    longest = f"median gap {1e3 * statistics.median(gaps):.0f} ms, longest {1e3 * max(gaps):.0f} ms" if gaps else ""
    return f"{what}, {took:.1f} s: {count} pictures, {count / took:.1f} a second; {longest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeats", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the page's server does
    import app
    from benchmarks.timing import machine

    start = app.opening.start()
    generator = app.renderer.generator(start.recipe)
    ticks = sorted(core_ticks(args.repeats))
    high = 1e3 * ticks[int(0.95 * len(ticks))]
    print(f"{generator.resolution} px, layer {start.layer}")
    print(f"core, a tick: median {1e3 * statistics.median(ticks):.1f} ms, 95 % under {high:.1f} ms")
    with opened(args.threads) as page:
        sizes = event_bytes(page)
        for words, size in sizes.items():
            print(f"{size / 1e3:8.1f} kB  {words}")
        print(f"{sum(sizes.values()) / 1e3:8.1f} kB  in all, {statistics.mean(sizes.values()) / 1e3:.0f} kB an event")
        page.goto(page.url.partition("?")[0])  # the picture that it opens with: what is pulled at is there
        page.wait_for_selector("#from-others button", timeout=1e3 * PATIENCE)
        page.wait_for_timeout(3000)
        page.locator("#reset").click()  # one change, at the place that is pulled at
        page.locator("#picture .places button", has_text="all hair").click()
        page.wait_for_timeout(3000)
        page.locator("#ends button", has_text=re.compile("(longer|shorter) hair")).first.click()
        page.wait_for_timeout(3000)
        with page.expect_request(lambda r: "component_server" in r.url) as first:
            print(said("a drag on the picture", *frames(page, "#picture canvas", args.seconds, longer_and_shorter)))
        page.wait_for_timeout(3000)
        print(said("the slider", *frames(page, "#strength input[type=range]", args.seconds, to_and_fro)))
        page.wait_for_timeout(3000)
        print(said("the same moves, sent without a browser", *answered(first.value, args.seconds)))
    print(machine(generator.device))


if __name__ == "__main__":
    main()
