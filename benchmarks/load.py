"""The page under load: real gradio clients on loopback, every picture checked against its recipe; strangers beside.

    python -m benchmarks.load [--visitors 50] [--minutes 10] [--every 6] [--hostile 0] [--threads 2] [--checked 1000]

Each visitor makes one edit every --every seconds; counted from the request to the picture in hand. --hostile: so many
distinct hostile requests, spread over the time: mutated recipes, links' parameters and numbers, and broken HTTP bodies.
Each must be refused at once or answered with the picture of the recipe that it returns; anything else is a fault.

Clients and server share this machine, so the clients do no more than a visitor's would: the pictures are checked once
all is over (--checked of the visitors' and of the strangers', at random: each is drawn again), all clients are
connected before the time begins (each reads what it may call, 0.1 s of its processor), and no certificates are read for
connections that use none (httpx would read them three times an edit).
"""

import argparse
import contextlib
import copy
import hashlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from benchmarks.page import wait_for
from panda_core.images import to_arrays
from panda_core.recipes import parse_recipe
from panda_core.rendering import Renderer

ROOT = Path(__file__).parents[1]
DOWNLOADS = tempfile.TemporaryDirectory(prefix="panda-load-")
TOLERANCE = 2  # of 255: the same recipe with another number of threads (contract)
REFUSALS = (AppError, ValueError)
NASTY = [None, True, -1, 0.5, float("nan"), 1e308, 2**70, "", "x", "A" * 20_000, "<script>", "../../etc/passwd", [], {},
         [[]] * 500, [2**70], {"parts": []}, "1,2,3", "fit:5,128,64,9999,0,0.8,all", "hub:a/b@main/c"]  # fmt: skip
BODIES = [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe\x00", b'{"data": NaN}', b'{"fn_index": 1e999}', b"A" * 2**21]


class Tally:
    """What happened, from all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seconds: list[float] = []
        self.drawn: list[tuple[str, str, str]] = []  # the outcome if it is right, the picture's file, the recipe
        self.memory: list[int] = []
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.seen: set[str] = set()

    def count(self, outcome: str, fault: str = "") -> None:
        with self.lock:
            self.outcomes[outcome] += 1
            if fault:
                self.faults.append(fault[:300])

    def draw(self, outcome: str, picture: str, recipe: str, seconds: float | None = None) -> None:
        with self.lock:
            self.drawn.append((outcome, picture, recipe))
            if seconds is not None:
                self.seconds.append(seconds)

    def check(self, most: int) -> None:
        """Whether pictures are the ones that their recipes say: so many of each outcome, at random."""
        renderer = Renderer(cached=0)
        for outcome in sorted({drawn[0] for drawn in self.drawn}):
            drawn = [drawn for drawn in self.drawn if drawn[0] == outcome]
            chosen = random.Random(0).sample(drawn, min(most, len(drawn)))
            self.outcomes[f"{outcome}, not checked"] += len(drawn) - len(chosen)
            for _, picture, recipe in chosen:
                right = is_right(renderer, picture, recipe)
                self.count(outcome if right else "wrong", "" if right else f"wrong picture for {recipe}")


def is_right(renderer: Renderer, picture: str, recipe: str) -> bool:
    """Whether the file shows what its recipe says."""
    want = to_arrays(renderer.image(parse_recipe(recipe)))[0].astype(np.int16)
    with Image.open(picture) as image:
        got = np.asarray(image.convert("RGB"), np.int16)
    return got.shape == want.shape and int(np.abs(got - want).max()) <= TOLERANCE


def connect(url: str, number: int) -> Client:
    """A client with an address of its own, as a proxy would tell it."""
    address = f"9.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    folder, headers = tempfile.mkdtemp(dir=DOWNLOADS.name), {"x-forwarded-for": address}
    return Client(url, verbose=False, headers=headers, download_files=folder, ssl_verify=False)


def visit(client: Client, number: int, every: float, until: float, tally: Tally) -> None:
    """One visitor: an edit, a look at it, the next edit."""
    dice = random.Random(number)
    time.sleep(dice.uniform(0, every))
    while time.monotonic() < until:
        began = time.monotonic()
        recipe = json.dumps({"v": 1, "generator": "portraits", "seed": dice.randrange(2**32)})
        values = recipe, "add", dice.randrange(12), dice.randrange(100), round(dice.uniform(-4, 4), 1)
        try:
            picture, made = client.predict(*values, api_name="/edit")
            tally.draw("right", picture, made, time.monotonic() - began)
        except Exception as error:
            tally.count("error", f"{type(error).__name__}: {error}")
        time.sleep(max(0.0, every - (time.monotonic() - began)))


def mutate(dice: random.Random) -> str:
    """A recipe with one to three of its values replaced, dropped or doubled; sometimes cut, or a byte changed."""
    region = {"parts": [1], "refine": "graph", "k": 4, "keep": {"size": [16, 16], "rle": "0,256"}}
    edit = {"op": "add", "layer": 5, "factors": "bundled:l5-call-psi0.8-128x16", "region": region}
    edits = [edit | {"appearance": 2, "strength": 1.0}]
    fields = {"v": 1, "generator": "portraits", "seed": dice.randrange(2**32), "psi": 0.8, "edits": edits}
    for _ in range(dice.randint(1, 3)):
        node = fields
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = dice.choice(keys) if keys else None
            if key is None or not isinstance(node[key], dict | list) or dice.random() < 0.3:
                break
            node = node[key]
        if key is not None and dice.random() < 0.2:
            del node[key]
        elif key is not None:
            node[key] = copy.deepcopy(dice.choice([*NASTY, dice.uniform(-1e3, 1e3), dice.randrange(-9, 300)]))
    text = json.dumps(fields)
    if dice.random() < 0.3:
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice(["", chr(dice.randrange(256)), '"', "}"]) + text[at + dice.randint(0, 9) :]
    return text


def attack(client: Client, number: int, count: int, until: float, tally: Tally) -> None:
    """A stranger: `count` hostile requests, spread over the time that is left, each from another address."""
    dice, url = random.Random(10**6 + number), client.src.rstrip("/")
    pause = (until - time.monotonic()) / max(count, 1)
    for i in range(count):
        began = time.monotonic()
        if began > until:
            return
        client.headers["x-forwarded-for"] = f"8.{number}.{i >> 8 & 255}.{i & 255}"
        raw = dice.random() < 0.15
        given = dice.choice(BODIES) + bytes([dice.randrange(32, 127) for _ in range(6)]) if raw else mutate(dice)
        with tally.lock:
            tally.seen.add(hashlib.sha256(given if raw else given.encode("utf-8", "replace")).hexdigest())
        try:
            if raw:
                headers = {"content-type": "application/json", "x-forwarded-for": client.headers["x-forwarded-for"]}
                code = httpx.post(
                    f"{url}/gradio_api/queue/join", content=given, headers=headers, timeout=60, verify=False
                ).status_code
                tally.count(f"hostile, {code}", f"{code} for a body" if code >= 500 or code < 400 else "")
            else:
                picture, made = client.predict(given, api_name="/generate")
                tally.draw("hostile, drawn", picture, made)
        except REFUSALS as error:
            strange = "Something went wrong" in str(error)
            tally.count("hostile, refused", f"{error} for {given!r:.200}" if strange else "")
        except Exception as error:
            tally.count("hostile, error", f"{type(error).__name__}: {error} for {given!r:.100}")
        time.sleep(max(0.0, pause - (time.monotonic() - began)))


def serve(threads: int) -> tuple[subprocess.Popen, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": str(threads)}
    more = address | {"PANDA_HOME": tempfile.mkdtemp(), "GRADIO_TEMP_DIR": tempfile.mkdtemp()}
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | more, stdout=subprocess.DEVNULL)
    wait_for(port)
    return server, f"http://127.0.0.1:{port}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two edits of a visitor")
    parser.add_argument("--hostile", type=int, default=0, help="hostile requests, all of them distinct")
    parser.add_argument("--threads", type=int, default=2, help="of the server's networks")
    parser.add_argument("--checked", type=int, default=1000, help="pictures of each kind that are drawn again")
    args = parser.parse_args()
    server, url = serve(args.threads)
    tally = Tally()
    try:
        visitors = [connect(url, i) for i in range(args.visitors)]
        strangers = [connect(url, 10**6 + i) for i in range(min(4, args.hostile))]
        until, each = time.monotonic() + 60 * args.minutes, -(-args.hostile // max(len(strangers), 1))
        work = [(visit, (client, i, args.every, until, tally)) for i, client in enumerate(visitors)]
        work += [(attack, (client, i, each, until, tally)) for i, client in enumerate(strangers)]
        threads = [threading.Thread(target=target, args=given, daemon=True) for target, given in work]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                tally.memory.append(httpx.get(f"{url}/status", timeout=30).json()["memory_mb"])
            time.sleep(min(5.0, 6.0 * args.minutes))
        for thread in threads:
            thread.join(60)
        alive = httpx.get(f"{url}/status", timeout=30).json()
    finally:
        server.terminate()
        server.wait()
    tally.check(args.checked)
    report(args, tally, alive)


def report(args: argparse.Namespace, tally: Tally, alive: dict) -> None:
    from benchmarks.timing import machine

    times = sorted(tally.seconds) or [float("nan")]
    quarter = max(1, len(tally.memory) // 4)
    early, late = tally.memory[quarter : 2 * quarter] or tally.memory, tally.memory[-quarter:]
    print(f"{args.visitors} visitors, an edit every {args.every:g} s each, {args.minutes:g} minutes")
    high, most = times[int(0.9 * len(times))], times[int(0.99 * len(times))]
    middle = statistics.median(times)
    print(f"edits: {len(tally.seconds)}; median {middle:.3f} s, 90 % {high:.3f} s, 99 % {most:.3f} s, "
          f"longest {times[-1]:.3f} s")  # fmt: skip
    print("outcomes:", ", ".join(f"{name} {count}" for name, count in sorted(tally.outcomes.items())))
    print(f"hostile requests: {len(tally.seen)} distinct")
    print(f"memory: begin {tally.memory[0]}, second quarter {statistics.median(early):.0f}, last "
          f"{statistics.median(late):.0f}, most {max(tally.memory)} MB; at the end {alive}")  # fmt: skip
    print(f"faults: {len(tally.faults)}", *tally.faults[:10], sep="\n  ")
    print(machine(Renderer().generator(parse_recipe('{"v":1,"generator":"portraits"}')).device))


if __name__ == "__main__":
    main()
