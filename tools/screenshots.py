"""The README's pictures of the page, from the running app; and all of the page, to be looked at.

    python -m tools.screenshots               # assets/screenshots: edit.png, and demo.webp, a moving picture
    python -m tools.screenshots --all FOLDER  # every tab after what it is for, at three widths, light and dark

demo.webp: the start page, a thing, a change, a pull at the picture.
"""

import argparse
import io
import os
import shutil
import socket
import tempfile
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

OUT = Path(__file__).parents[1] / "assets" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LIMIT = 900_000  # bytes of one file
OBJECT = "12", (0.08, 0.42)  # a picture with something to remove, and where it is
THING, CHANGE = (
    (0.5, 0.65),
    "mouth open",
)  # what demo.webp shows: where a thing is, and what these factors call a change
PULLED = (0.5, 0.8), (0.5, 0.75), (0.5, 0.8)  # and the way of the pointer that pulls
SIZES = {"1440": {"viewport": {"width": 1440, "height": 900}}, "1366": {"viewport": {"width": 1366, "height": 768}},
         "390": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}}  # fmt: skip


def save(data: bytes, path: Path) -> None:
    """As PNG, with as many colours as fit under the limit."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.save(path, optimize=True)
    for colours in (256, 128, 64):
        if path.stat().st_size <= LIMIT:
            break
        image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size // 1000} kB")


def open_page(browser, url: str, **options) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(url)
    for tiles in ("#ends", "#popular"):
        expect(page.locator(f"{tiles} button").first).to_be_attached(timeout=60_000)
    page.wait_for_function("[...document.images].every(i => i.complete)")
    page.evaluate("document.fonts.ready")
    return page


def hover(page: Page, x: float, y: float) -> None:
    box = page.locator("#picture canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


def place(page: Page, name: str):
    return page.locator(".places").get_by_role("button", name=name, exact=True)


def remove(page: Page) -> None:
    page.wait_for_timeout(3000)  # what follows the tab has come, and writes nothing over what is typed
    page.locator("#seed input").fill(OBJECT[0])
    page.locator("#seed input").press("Enter")
    expect(page.locator("#visited button")).to_have_count(2, timeout=60_000)
    hover(page, *OBJECT[1])
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#edits li")).to_have_count(1, timeout=60_000)  # it has gone at once
    expect(page.locator("#removals button").first).to_be_visible(timeout=60_000)


def masks(page: Page) -> None:
    expect(page.locator("#mask-view img")).to_have_count(2, timeout=60_000)
    expect(page.locator("#masks button").first).to_be_visible(timeout=60_000)


def rewrite(page: Page) -> None:
    place(page, "clothes").click()
    found = page.locator("#rewrite-targets .tiles:not(.passing) button").first
    expect(found).to_be_visible(timeout=60_000)
    page.wait_for_timeout(1500)
    found.click()
    expect(page.locator("#edits li")).to_have_count(3, timeout=60_000)


def rank(page: Page) -> None:
    page.locator("#rank-variations button").first.click()
    page.wait_for_timeout(1500)
    if page.locator("#rank-order").is_enabled():  # nobody has asked before
        page.locator("#rank-order").click()
    expect(page.locator("#rank-axis button")).not_to_have_count(0, timeout=120_000)


class Film:
    """Screenshots of a page while a pointer, drawn on it, does something."""

    POINTER = """() => {
        const svg = '<svg width="26" height="26" viewBox="0 0 26 26"><path d="M3 1v19l5-5 4 9 4-2-4-8h8z" '
            + 'fill="black" stroke="white" stroke-width="1.6"/></svg>';
        document.body.insertAdjacentHTML('beforeend',
            `<div id="pointer" style="position:fixed;z-index:9999;pointer-events:none">${svg}</div>`);
        const put = (e) => Object.assign(document.getElementById('pointer').style,
            {left: e.clientX - 3 + 'px', top: e.clientY - 1 + 'px'});
        addEventListener('mousemove', put, true); addEventListener('pointermove', put, true); }"""

    def __init__(self, page: Page):
        self.page, self.at, self.frames, self.lasts = page, (700.0, 500.0), [], []
        page.evaluate(self.POINTER)

    def show(self, milliseconds: int) -> None:
        self.frames.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        self.lasts.append(milliseconds)

    def glide(self, locator, x: float = 0.5, y: float = 0.5, steps: int = 5) -> None:
        """To a point of an element, given as shares of its size."""
        box, start = locator.bounding_box(), self.at
        self.at = box["x"] + box["width"] * x, box["y"] + box["height"] * y
        for i in range(1, steps + 1):
            self.page.mouse.move(*(a + (b - a) * i / steps for a, b in zip(start, self.at)))
            self.page.wait_for_timeout(150)
            self.show(70)

    def press(self, milliseconds: int, wait: int = 900) -> None:
        self.page.mouse.down()
        self.page.mouse.up()
        self.page.wait_for_timeout(wait)
        self.show(milliseconds)

    def save(self, path: Path, width: int = 880) -> None:
        first = self.frames[0]
        size = width, round(first.height * width / first.width)
        small = [frame.resize(size, Image.Resampling.LANCZOS) for frame in self.frames]
        small[0].save(path, save_all=True, append_images=small[1:], duration=self.lasts, loop=0, quality=60, method=6)
        print(f"{path}: {width} x {size[1]}, {len(small)} frames, {path.stat().st_size // 1000} kB")


def demo(page: Page) -> Film:
    """The start page, a thing chosen in the picture, a change, the picture pulled by hand, and the link."""
    film, canvas = Film(page), page.locator("#picture canvas")
    film.show(1800)
    film.glide(canvas, *THING)
    film.show(700)
    film.press(300, wait=300)
    tile = page.locator("#ends .tiles:not(.passing) button", has_text=CHANGE)  # those of the thing have come
    expect(tile).to_be_visible(timeout=60_000)
    page.wait_for_function("[...document.images].every(i => i.complete)")
    film.show(900)
    film.glide(tile)
    film.press(900, wait=3000)
    film.glide(canvas, *PULLED[0])
    page.mouse.down()
    for frm, to in pairwise(PULLED):
        for i in range(1, 10):
            film.glide(canvas, *(a + (b - a) * i / 9 for a, b in zip(frm, to)), steps=1)
            film.lasts[-1] = 130
    page.mouse.up()
    page.wait_for_timeout(2500)
    film.show(1200)
    film.glide(page.locator("#copy-link"))
    film.press(1500)
    return film


def every_tab(browser, url: str, out: Path) -> None:
    for size, options in SIZES.items():
        for scheme in ("light", "dark"):
            for tab, use in {"Edit": None, "Remove": remove, "Masks": masks, "Rewrite": rewrite, "Rank": rank}.items():
                page = open_page(browser, url, color_scheme=scheme, **options)
                if use:
                    page.get_by_role("tab", name=tab).click()
                    use(page)
                    page.mouse.move(2, 2)
                page.wait_for_function("[...document.images].every(i => i.complete)")
                save(page.screenshot(full_page=True), out / f"{tab.lower()}-{size}-{scheme}.png")
                page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    args = parser.parse_args()
    out = args.all or OUT
    out.mkdir(parents=True, exist_ok=True)
    os.environ["PANDA_HOME"] = tempfile.mkdtemp()  # nothing ranked or published before
    import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, url, _ = app.demo.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", server_port=port, quiet=True, **app.LAUNCH
    )
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=args.chromium, headless=True, args=FLAGS)
        if args.all:
            every_tab(browser, url, out)
        else:
            page = open_page(browser, url, **SIZES["1440"])
            hover(page, 0.5, 0.42)
            save(page.screenshot(), out / "edit.png")
            demo(open_page(browser, url, **SIZES["1366"])).save(out / "demo.webp")
        browser.close()
    app.demo.close()


if __name__ == "__main__":
    main()
