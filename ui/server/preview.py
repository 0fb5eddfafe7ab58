"""What a chat shows of a link posted there: the page's own tags, and /preview.jpg, the picture before and after."""

import gzip
import html
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import gradio as gr
from anyio import to_thread
from gradio.context import LocalContext
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from panda_core.images import CARD, card, to_pil
from panda_core.links import decode_link
from panda_core.recipes import Recipe
from panda_core.runtime.lru import LRUCache
from panda_core.studio.opening import Opening, check_factors_id

from ..pictures import PagePictures
from .events import BUDGETS, asking, counted, plainly
from .limits import BUSY, FIRST

TITLE = "PandA: click a part, change it"
WORDS = "Click a part of a generated picture, choose what it should look like, and share the result as a link."
FOUND = re.compile(r"""<meta\s[^>]*?(?:property|name)=["'](?:og:|twitter:|description["'])[^>]*>\s*""")
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class Spent(Exception):
    """A visitor has used up what a budget holds."""


class LinkPreview:
    """What a link shows: a title and a picture."""

    def __init__(self, pictures: PagePictures, opening: Opening):
        self.pictures, self.renderer, self.opening = pictures, pictures.renderer, opening
        self.kept = LRUCache(128)  # recipe -> JPEG, about 50 kB each; None is the start page's
        self._draw = plainly(self.draw)

    def read(self, link: str | None) -> Recipe | None:
        """The recipe of a link, if it can be drawn without a download or a fit; None is the start page."""
        try:
            recipe = decode_link(link or "")
            if recipe.sources() or recipe.generator not in self.opening.offered().values():
                return None
            self.renderer.generator(recipe)  # refuses other weights
            self.opening.default(recipe)  # now those that were fitted here before are known
            for name in {edit.factors for edit in recipe.edits}:
                check_factors_id(name)
                if not name.startswith("bundled:") and not self.renderer.catalogue.knows(recipe.generator, name):
                    return None
            return recipe
        except ValueError:
            return None

    def title(self, recipe: Recipe | None) -> str:
        if recipe is None or not recipe.ordered():
            return TITLE
        words = self.pictures.edits_words(self.opening.session(recipe), plain=True)  # this runs where no network does
        return f"PandA: {words}"[:120]

    def described(self, link: str | None) -> tuple[str, bool]:
        """What the page is called, and whether the link can be drawn here."""
        afford()
        with counted("described"):
            recipe = self.read(link)
            return self.title(recipe), recipe is not None

    def jpeg(self, link: str | None) -> bytes:
        """The JPEG of a link, or of the start page if it is no good. Raises: gr.Error if it cannot be drawn now."""
        afford()
        with counted("previewed"):
            recipe = self.read(link)
        if jpeg := self.kept.get(recipe):
            return jpeg
        afford()
        return self.kept.put(recipe, self._draw(recipe))

    def draw(self, recipe: Recipe | None) -> bytes:
        """The JPEG, drawn where the networks are."""
        try:
            recipe = self.opening.opened(recipe or self.opening.start().recipe).recipe
        except ValueError:  # it does not fit the generator
            recipe = self.opening.start().recipe
        pictures = [self.renderer.base(recipe)] * bool(recipe.ordered()) + [self.renderer.image(recipe)]
        return card([to_pil(picture)[0] for picture in pictures])


def afford() -> None:
    if not BUDGETS.spend(asking(), FIRST):
        raise Spent


def origin(scope: dict) -> str:
    """The page's public address as the proxy tells it, without a slash; empty where it is none."""
    headers, root = Headers(scope=scope), scope.get("root_path", "").rstrip("/")
    if root.startswith(("http://", "https://")):
        return root
    host, scheme = (headers.get(f"x-forwarded-{name}", "").split(",")[0].strip() for name in ("host", "proto"))
    scheme = scheme if scheme in ("http", "https") else scope["scheme"]
    host = host or headers.get("host", "")
    return f"{scheme}://{host}{root}" if HOST.fullmatch(host) else ""


def tags(title: str, home: str, link: str | None) -> str:
    """<meta> lines for the head. home: the page's public address; link: of the picture, None for the start page's."""
    query = "?r=" + quote(link) if link else ""
    og = {"type": "website", "title": title, "description": WORDS}
    twitter = {"card": "summary_large_image", "title": title, "description": WORDS}
    if home:
        image = f"{home}/preview.jpg{query}"
        og |= {"url": f"{home}/{query}", "image": image, "image:width": CARD[0], "image:height": CARD[1]}
        twitter |= {"image": image}
    named = [("name", "description", WORDS), *(("property", f"og:{key}", value) for key, value in og.items())]
    named += [("name", f"twitter:{key}", value) for key, value in twitter.items()]
    return "\n".join(f'<meta {kind}="{name}" content="{html.escape(str(value))}" />' for kind, name, value in named)


def with_tags(page: str, lines: str) -> str:
    """A page whose head has these tags and no others of their kind; nothing from its first script on is touched."""
    head, script, rest = page.partition("<script")
    return f"{FOUND.sub('', head)}{lines}\n{script}{rest}"


async def asked(request: Request, function: Callable[[str | None], Any]) -> Any:
    """function(the request's link) in a thread, on the account of who asks."""

    def run() -> Any:
        LocalContext.request.set(request)  # of this thread's context alone
        return function(request.query_params.get("r"))

    return await to_thread.run_sync(run)


class Preview:
    """ASGI middleware: answers /preview.jpg, gives the page's HTML its tags, and packs it."""

    def __init__(self, app: Callable, links: LinkPreview):
        self.app, self.links = app, links

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", "").rstrip("/"))
        if (scope["type"], scope.get("method")) != ("http", "GET") or path not in ("", "/", "/preview.jpg"):
            return await self.app(scope, receive, send)
        request = Request(scope)
        if path == "/preview.jpg":
            return await (await answer(self.links, request))(scope, receive, send)
        link = request.query_params.get("r")
        name, good = TITLE, False
        if link:
            with suppress(gr.Error, Spent):
                name, good = await asked(request, self.links.described)
        lines = tags(name, origin(scope), link if good else None)
        started, body = {}, b""

        async def tagged(message: dict) -> None:
            nonlocal started, body
            if message["type"] == "http.response.start":
                started = message
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    headers = MutableHeaders(scope=started)
                    if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                        body = with_tags(body.decode(), lines).encode()
                        if "gzip" in request.headers.get("accept-encoding", ""):  # 450 kB to 35, in 4 ms
                            body, headers["content-encoding"] = gzip.compress(body, 5), "gzip"
                        headers.add_vary_header("accept-encoding")
                        headers["content-length"] = str(len(body))
                    await send(started)
                    await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, tagged)


async def answer(links: LinkPreview, request: Request) -> Response:
    """The JPEG, or a refusal in a sentence."""
    try:
        kept_for, jpeg = "public, max-age=86400", await asked(request, links.jpeg)
    except Spent:
        return JSONResponse({"detail": BUSY}, 429, {"retry-after": "5", "cache-control": "no-store"})
    except gr.Error as error:  # no network is free, or the link's one failed
        kept_for, jpeg = "no-store", links.kept.get(None)
        if jpeg is None:
            return JSONResponse({"detail": error.message}, 503, {"retry-after": "30", "cache-control": kept_for})
    return Response(jpeg, media_type="image/jpeg", headers={"cache-control": kept_for})
