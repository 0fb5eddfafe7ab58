"""How fast the page follows a drag of the slider or of the picture, what a tick costs, and bytes per event.

    python -m benchmarks.page [--threads 2] [--seconds 6]

Core: set the strength, run the tail, measure the change, encode two JPEGs: all that the handler of a tick does.
Page: headless Chromium drags the slider back and forth, then the picture; counted are the new pictures that the canvas
drew. Bytes: of what the server answers to typical events, as they pass over the line.
"""

import argparse
import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def core_ticks(repeats: int) -> list[float]:
    """Seconds of ticks at `repeats` strengths that were not shown before."""
    import app
    from ui.edit_list import Edits

    session, seconds, edits = app.opening.start(), [], Edits(app.pictures)
    for i in range(repeats + 5):
        began = time.perf_counter()
        session, *_ = edits.tick(session, round(-3.9 + 7.8 * i / (repeats + 5), 4))
        seconds.append(time.perf_counter() - began)
    return seconds[5:]


def page_frames(seconds: float, threads: int) -> tuple[dict, dict[str, int]]:
    """What was dragged -> (frames drawn, seconds that it took, seconds between them); event -> bytes."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    environment = os.environ | address | {"OMP_NUM_THREADS": str(threads)}
    server = subprocess.Popen([sys.executable, "app.py"], cwd=Path(__file__).parents[1], env=environment)
    try:
        wait_for(port)
        return drag(sync_playwright, f"http://127.0.0.1:{port}", seconds)
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)


def drag(sync_playwright, url: str, seconds: float) -> tuple[dict, dict[str, int]]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(url)
        page.wait_for_function("document.querySelectorAll('#ends button').length > 1", timeout=60_000)
        page.evaluate("""() => { window.drawn = [];
            new MutationObserver(() => window.drawn.push(performance.now())).observe(
                document.querySelector('#picture canvas'), {attributes: true, attributeFilter: ['data-frames']}); }""")
        found = {
            "slider": moving(page, "#strength input[type=range]", seconds, along_x),
            "picture": moving(page, "#picture canvas", seconds, upwards),
        }
        sent = event_bytes(page)
        browser.close()
    return found, sent


def along_x(i: int) -> tuple[float, float]:
    return 0.05 + 0.9 * abs((i % 100) / 50 - 1), 0.5


def upwards(i: int) -> tuple[float, float]:
    return 0.3, 0.8 - 0.3 * abs((i % 60) / 30 - 1)


def moving(page, selector: str, seconds: float, where) -> tuple[int, float, list[float]]:
    """(pictures drawn, seconds, gaps between them) while the pointer, held down, moves over an element."""
    box = page.locator(selector).bounding_box()

    def move(i: int) -> None:
        x, y = where(i)
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)

    move(0)
    page.mouse.down()
    page.evaluate("window.drawn = []")
    began, i = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        move(i := i + 1)
        page.wait_for_timeout(20)
    took = time.perf_counter() - began
    drawn = page.evaluate("window.drawn")
    page.mouse.up()
    page.wait_for_timeout(4000)
    return len(drawn), took, [(b - a) / 1000 for a, b in itertools.pairwise(drawn)]


def event_bytes(page) -> dict[str, int]:
    """Bytes that the server answers to some events, what comes after the picture included."""
    line, total = page.context.new_cdp_session(page), [0]
    line.send("Network.enable")
    line.on("Network.dataReceived", lambda e: total.__setitem__(0, total[0] + e["dataLength"]))
    events = {
        "a thing chosen": lambda: page.locator(".places button").nth(1).click(),
        "an end chosen": lambda: page.locator("#ends button").nth(1).click(),
        "undo": lambda: page.get_by_role("button", name="Undo").click(),
        "redo": lambda: page.get_by_role("button", name="Redo").click(),
        "an edit off": lambda: page.locator("#edits input").first.click(),
        "another tab": lambda: page.get_by_role("tab", name="Masks").click(),
        "back": lambda: page.get_by_role("tab", name="Edit").click(),
        "another picture": lambda: page.get_by_role("button", name="New picture").click(),
    }
    sent = {}
    for name, do in events.items():
        total[0] = 0
        do()
        page.wait_for_timeout(8000)
        sent[name] = total[0]
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeats", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import app
    from benchmarks.timing import machine

    start = app.opening.start()
    generator = app.renderer.generator(start.recipe)
    ticks = sorted(core_ticks(args.repeats))
    high = 1e3 * ticks[int(0.95 * len(ticks))]
    print(f"{generator.resolution} px, layer {start.layer}")
    print(f"core, a tick: median {1e3 * statistics.median(ticks):.1f} ms, 95 % under {high:.1f} ms")
    found, sent = page_frames(args.seconds, args.threads)
    for what, (frames, took, gaps) in found.items():
        longest = f"median gap {1e3 * statistics.median(gaps):.0f} ms, longest {1e3 * max(gaps):.0f} ms" if gaps else ""
        print(f"page, a drag of the {what}, {took:.1f} s: {frames} pictures, {frames / took:.1f} a second; {longest}")
    for what, size in sent.items():
        print(f"bytes, {what}: {size / 1000:.0f} kB")
    print(f"bytes, all {len(sent)} events: {sum(sent.values()) / 1e6:.2f} MB")
    print(machine(generator.device))


if __name__ == "__main__":
    main()
