"""The README's pictures of the page, from the running app.

    python -m tools.screenshots [OUT]      # default: assets/screenshots

edit.png (1440 px wide, a part under the pointer), brush.png (a painted region), dark.png, phone.png (390 px), one of
every other tab after the thing that it is for, and demo.webp, a moving picture: a part, a look, a drag, a named edit.
"""

import argparse
import io
import os
import shutil
import socket
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

OUT = Path(__file__).parents[1] / "assets" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LIMIT = 900_000  # bytes of one file
DEMO = "glasses off", (0.27, 0.25), 5  # what demo.webp shows: these weights' own
HATTED, WORN = "25", "hat"  # a portrait with something to cut out and to order by, and its look's name


def save(data: bytes, path: Path) -> None:
    """As PNG, with as many colours as fit under the limit."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.save(path, optimize=True)
    for colours in (256, 128, 64):
        if path.stat().st_size <= LIMIT:
            break
        image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size // 1000} kB")


def open_page(browser, url: str, width: int, height: int, **options) -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
    page.goto(url)
    expect(page.locator("#looks button")).to_have_count(12, timeout=60_000)
    page.wait_for_function("[...document.images].every(i => i.complete)")
    page.evaluate("document.fonts.ready")
    return page


def hover(page: Page, x: float, y: float) -> None:
    box = page.locator("#picture canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


def remove(page: Page) -> None:
    tile = page.locator("#off").get_by_role("button", name="glasses off")
    tile.click()
    expect(tile).to_have_attribute("aria-pressed", "true", timeout=60_000)
    expect(page.locator("#removed img")).to_have_count(2, timeout=60_000)


def masks(page: Page) -> None:
    page.locator("#seed input").fill(HATTED)
    page.locator("#seed input").press("Enter")
    tile = page.locator("#mask-concepts").get_by_title(WORN, exact=True)
    tile.click(timeout=60_000)
    expect(tile).to_have_attribute("aria-pressed", "true", timeout=60_000)


def rewrite(page: Page) -> None:
    for role, index in (("source", 0), ("target", 2)):
        tile = page.locator(f"#rewrite-{role} button").nth(index)
        tile.click()
        expect(tile).to_have_attribute("aria-pressed", "true", timeout=60_000)
    page.get_by_role("button", name="Rewrite", exact=True).click()
    expect(page.locator("#edits li")).to_have_count(2, timeout=60_000)


def rank(page: Page) -> None:
    page.locator("#rank-concepts").get_by_title(WORN, exact=True).click()
    page.get_by_role("button", name="Order them").click()
    expect(page.locator("#rank-most button")).to_have_count(12, timeout=120_000)


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


def demo(page: Page, named: str, where: tuple[float, float], look: int) -> Film:
    """A click on the picture at `where`, the look of this number, a drag of the strength, then a named edit."""
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(page.locator("#edits li")).to_have_count(0, timeout=60_000)
    film = Film(page)
    film.show(900)
    film.glide(page.locator("#picture canvas"), *where)
    film.press(700, wait=2500)
    film.glide(page.locator("#looks button").nth(look))
    film.press(800, wait=2000)
    slider = page.locator("#strength input[type=range]")
    low, value, high = (float(slider.evaluate(f"e => e.{name}")) for name in ("min", "value", "max"))
    film.glide(slider, (value - low) / (high - low))
    page.mouse.down()
    for share in (0.7, 0.5, 0.3, 0.1, 0.02, 0.2, 0.4, 0.6, 0.8, 0.95):
        film.glide(slider, share, steps=1)
        film.lasts[-1] = 130
    page.mouse.up()
    film.show(700)
    film.glide(page.locator("#named button", has_text=named))
    film.press(1800, wait=2500)
    return film


TABS = {"Remove": remove, "Masks": masks, "Rewrite": rewrite, "Rank": rank}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
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
        page = open_page(browser, url, 1440, 1000)
        hover(page, 0.5, 0.42)
        save(page.screenshot(full_page=True), args.out / "edit.png")
        page.get_by_role("button", name="Brush").click()
        hover(page, 0.3, 0.25)
        page.mouse.down()
        for x, y in ((0.45, 0.18), (0.6, 0.2), (0.7, 0.3)):
            hover(page, x, y)
        page.mouse.up()
        expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(0)
        page.locator("#looks button").nth(0).click()
        expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(1)
        save(page.screenshot(full_page=True), args.out / "brush.png")
        for tab, use in TABS.items():
            page = open_page(browser, url, 1440, 1000)
            page.get_by_role("tab", name=tab).click()
            use(page)
            page.mouse.move(2, 2)
            page.wait_for_function("[...document.images].every(i => i.complete)")
            save(page.screenshot(), args.out / f"{tab.lower()}.png")
        page = open_page(browser, url, 1440, 1000, color_scheme="dark")
        save(page.screenshot(full_page=True), args.out / "dark.png")
        page = open_page(browser, url, 390, 844, is_mobile=True, has_touch=True, device_scale_factor=2)
        save(page.screenshot(full_page=True), args.out / "phone.png")
        page = open_page(browser, url, 1280, 1300)
        demo(page, *DEMO).save(args.out / "demo.webp")
        browser.close()
    app.demo.close()


if __name__ == "__main__":
    main()
