"""Limits: how much each visitor may ask for, how large a request may be; /status, and lines for the log."""

import ipaddress
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import torch

from panda_core.runtime import devices
from panda_core.uploads import MAX_BYTES

BURST, REFILL = 30.0, 1.0  # seconds of work that a visitor may ask for at once, and that come back every second
FIRST = 1.0  # seconds that a request is taken to need until it is known; so nobody fills a queue of 64 alone
MAX_VISITORS = 4096  # remembered at most; whoever was away longest is forgotten, and starts afresh
MAX_REQUEST, MAX_UPLOAD = 2**20, MAX_BYTES + 2**20  # bytes of a request, and of one that brings a file, its form too
BROUGHT = 4 * 2**20  # bytes of a file that are taken for a second of work
BUSY = "You have asked for a lot in a short time; wait a few seconds, then go on."
log = logging.getLogger("panda")


def visitor(peer: str, forwarded: str = "") -> str | None:
    """Who asks: the address nearest to us that is not a proxy's, one for all of an IPv6 network; None is this machine.

    Anybody can write the front of X-Forwarded-For; our own proxy, whose address is private, adds at its end.
    """
    names = [name.strip() for name in forwarded.split(",")[-8:] if name.strip()]
    addresses = [address for address in map(_address, [*names, peer]) if address is not None]
    outside = [address for address in addresses if address.is_global]
    inside = [address for address in addresses if not address.is_loopback]
    found = outside[-1] if outside else inside[0] if inside else None
    if found is None or found.version == 4:
        return found and str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _address(name: str):
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Budgets:
    """Seconds of work, or things, that each visitor may still ask for: a bucket that the clock fills.

    burst: what it holds; refill: what comes back every second. Safe between threads.
    """

    def __init__(
        self,
        most: int = MAX_VISITORS,
        burst: float = BURST,
        refill: float = REFILL,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._burst, self._refill = burst, refill
        self._most, self._clock, self._lock = most, clock, threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # visitor -> (seconds, when that was)
        self._jobs: set[str] = set()

    def __len__(self) -> int:
        return len(self._left)

    def spend(self, who: str | None, seconds: float) -> bool:
        """Take so much from a visitor's budget; False, and nothing is taken, where there is less."""
        return who is None or self._change(who, seconds, must_do=False)

    def settle(self, who: str | None, seconds: float) -> None:
        """What a request came to, against what was taken for it at the door."""
        if who is not None:
            self._change(who, seconds - FIRST, must_do=True)

    def _change(self, who: str, seconds: float, must_do: bool) -> bool:
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(who, (self._burst, now))
            left = min(self._burst, left + self._refill * (now - then))
            enough = must_do or seconds <= left
            self._left[who] = (min(self._burst, max(0.0, left - seconds)) if enough else left), now
            while len(self._left) > self._most:
                self._left.popitem(last=False)
            return enough

    @contextmanager
    def one_job(self, who: str | None) -> Iterator[None]:
        """Raises: ValueError if this visitor has a long piece of work in hand already."""
        with self._lock:
            if who in self._jobs:
                raise ValueError("One long piece of work at a time; wait for the other one, or cancel it.")
            if who is not None:
                self._jobs.add(who)
        try:
            yield
        finally:
            with self._lock:
                self._jobs.discard(who)


@contextmanager
def logged(event: str) -> Iterator[None]:
    """One line of JSON about an event: its number, how long it took and how it ended; nothing about who asked."""
    began, outcome = time.monotonic(), "fault"
    try:
        yield
        outcome = "done"
    except ValueError:
        outcome = "refused"
        raise
    finally:
        now, ms = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), round(1e3 * (time.monotonic() - began), 1)
        log.info(json.dumps({"time": now, "id": uuid4().hex[:12], "event": event, "ms": ms, "outcome": outcome}))


def memory_mb() -> int:
    """What this process holds; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096 // 10**6
    except (OSError, ValueError, IndexError):
        return 0


def device() -> str:
    return torch.cuda.get_device_name() if devices.allowed and torch.cuda.is_available() else "CPU"


class Limits:
    """ASGI middleware: refuses what is too large, too much or no request of ours, at once; answers /status itself."""

    def __init__(self, app: Callable, budgets: Budgets, status: Callable[[], Mapping]):
        self.app, self.budgets, self.status = app, budgets, status

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def watched(message: dict) -> None:
            nonlocal begun
            begun = True
            await send(message)

        code, words = self._refusal(scope)
        if not code:
            try:
                return await self.app(_telling_who(scope), receive, watched)
            except Exception as error:
                if begun:
                    raise
                log.warning("%s of %s", type(error).__name__, scope["path"][:80])
                code, words = 400, {"detail": "The page sends no such request; load it again."}
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers += [(b"retry-after", b"5"), (b"connection", b"close")] if code >= 400 else []
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(words).encode()})

    def _refusal(self, scope: dict) -> tuple[int, Mapping]:
        path = scope["path"].rstrip("/")
        if path.endswith("/status") and path.count("/") == 1:
            return 200, self.status()
        if scope["method"] != "POST":
            return 0, {}
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        uploads = path.endswith("/upload")
        length, most = headers.get(b"content-length", ""), MAX_UPLOAD if uploads else MAX_REQUEST
        if not length.isdecimal():
            return 411, {"detail": "The request does not say how long it is."}
        if len(length) > 9 or int(length) > most:
            return 413, {"detail": f"The request has {length[:12]} bytes; at most {most >> 20} MB are accepted."}
        called = path.replace("/gradio_api/", "/")
        works = any(part in called for part in ("/queue/join", "/component_server", "/run/", "/api/"))
        who = visitor((scope.get("client") or ("",))[0], headers.get(b"x-forwarded-for", ""))
        if (works or uploads) and not self.budgets.spend(who, int(length) / BROUGHT if uploads else FIRST):
            return 429, {"detail": BUSY}
        return 0, {}


def _telling_who(scope: dict) -> dict:
    """What an assistant asks for (MCP) is asked again by the server of itself, with the headers of the first request:
    they say who it was, or it would seem to come from this machine, which has no limits."""
    if "/gradio_api/mcp" not in scope["path"]:
        return scope
    headers, peer = dict(scope["headers"]), (scope.get("client") or ("",))[0].encode()
    headers[b"x-forwarded-for"] = b", ".join(filter(None, (headers.get(b"x-forwarded-for"), peer)))
    return scope | {"headers": list(headers.items())}
