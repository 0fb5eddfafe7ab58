"""How fast the page follows a drag of the strength slider, and what a tick costs without the page.

    python -m benchmarks.page [--threads 2] [--seconds 6]

Core: set the strength, run the tail, measure the change, encode two JPEGs: all that the handler of a tick does.
Page: headless Chromium drags the slider back and forth; counted are the new pictures that the canvas drew.
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
    from ui import edits, view

    session, seconds = view.start(), []
    for i in range(repeats + 5):
        began = time.perf_counter()
        session, *_ = edits.tick(session, round(-3.9 + 7.8 * i / (repeats + 5), 4))
        seconds.append(time.perf_counter() - began)
    return seconds[5:]


def page_frames(seconds: float, threads: int) -> tuple[int, float, list[float]]:
    """(frames drawn, seconds that it took, seconds between them) while the slider is dragged."""
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


def drag(sync_playwright, url: str, seconds: float) -> tuple[int, float, list[float]]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(url)
        page.wait_for_function("document.querySelectorAll('#looks button').length === 12", timeout=60_000)
        page.evaluate("""() => { window.drawn = [];
            new MutationObserver(() => window.drawn.push(performance.now())).observe(
                document.querySelector('#picture canvas'), {attributes: true, attributeFilter: ['data-frames']}); }""")
        box = page.locator("#strength input[type=range]").bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.5, y)
        page.mouse.down()
        began, i = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            share = abs((i % 100) / 50 - 1)
            page.mouse.move(box["x"] + box["width"] * (0.05 + 0.9 * share), y)
            page.wait_for_timeout(20)
            i += 1
        took = time.perf_counter() - began
        drawn = page.evaluate("window.drawn")
        page.mouse.up()
        browser.close()
    return len(drawn), took, [(b - a) / 1000 for a, b in itertools.pairwise(drawn)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeats", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    from benchmarks.timing import machine
    from ui import view

    generator = view.renderer.generator(view.start().recipe)
    ticks = sorted(core_ticks(args.repeats))
    high = 1e3 * ticks[int(0.95 * len(ticks))]
    print(f"{generator.resolution} px, layer {view.start().layer}")
    print(f"core, a tick: median {1e3 * statistics.median(ticks):.1f} ms, 95 % under {high:.1f} ms")
    frames, took, gaps = page_frames(args.seconds, args.threads)
    longest = f"median gap {1e3 * statistics.median(gaps):.0f} ms, longest {1e3 * max(gaps):.0f} ms" if gaps else ""
    print(f"page, a drag of {took:.1f} s: {frames} pictures, {frames / took:.1f} a second; {longest}")
    print(machine(generator.device))


if __name__ == "__main__":
    main()
