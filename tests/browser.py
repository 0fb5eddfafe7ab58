"""What the browser tests share: waiting, clicking a thing, reading the canvas. The fixtures are in conftest.py."""

import json
import re

from axe_playwright_python import sync_playwright as axe
from playwright.sync_api import expect

PATIENCE = 40_000  # ms; two cores, often busy with something else
expect.set_options(timeout=PATIENCE)
PIXELS_JS = """() => { const c = document.querySelector('#picture canvas');
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let h = 0;
    for (let i = 0; i < d.length; i += 5) h = (h * 31 + d[i]) | 0;
    return String(h); }"""


def ready(page):
    """The start page is complete: its picture, what varies there, its edits."""
    expect(page.locator("#picture canvas")).to_have_attribute("data-frames", re.compile(r"\d+"))
    expect(page.locator("#ends button").first).to_be_visible()
    return page


def open_tab(page, name: str):
    page.get_by_role("tab", name=name).click()
    drawn(page)


def unfold(page, name: str):
    page.get_by_role("button", name=re.compile(f"^{name}")).click()
    drawn(page)


def drawn(page):
    """A tab or an accordion has just been opened: gradio gives its fields their first values a frame later, again.

    What was typed before that is gone; a person is slower than a frame, a test is not.
    """
    page.evaluate("""() => new Promise(done => {
        const wait = frames => frames ? requestAnimationFrame(() => wait(frames - 1)) : done();
        wait(3); })""")


def tick(box):
    """Tick a box. An answer to what was done before may untick it for an instant, and `check` does not wait."""
    box.click()
    expect(box).to_be_checked()


def point(page, x: float, y: float) -> tuple[float, float]:
    """On the page, of a place on the picture given as shares of its sides."""
    box = page.locator("#picture canvas").bounding_box()
    return box["x"] + box["width"] * x, box["y"] + box["height"] * y


def click_thing(page, modifiers=()) -> str:
    """Click the first thing that is not chosen, where it is strongest; its name."""
    found = page.evaluate("""() => {
        const cv = document.querySelector('#picture canvas'), r = cv.getBoundingClientRect();
        const chosen = [...document.querySelectorAll('.places [aria-pressed=true]')].map(b => b.textContent);
        const tip = document.querySelector('#picture .tip');
        for (let y = 1; y < 16; y++) for (let x = 1; x < 16; x++) {
            const at = {clientX: r.left + r.width * x / 16, clientY: r.top + r.height * y / 16};
            cv.dispatchEvent(new PointerEvent('pointermove', {...at, pointerType: 'mouse'}));
            if (!tip.hidden && !chosen.includes(tip.textContent)) return [x / 16, y / 16, tip.textContent];
        }
        return null; }""")
    x, y, name = found
    for key in modifiers:
        page.keyboard.down(key)
    page.mouse.click(*point(page, x, y))
    for key in modifiers:
        page.keyboard.up(key)
    return name


def place(page, name: str):
    """The button of a thing under the picture."""
    return page.locator(".places").get_by_role("button", name=name, exact=True)


def pixels(page) -> str:
    """A print of what the canvas shows."""
    return page.evaluate(PIXELS_JS)


def no_pointer(page):
    page.mouse.move(2, 2)


def rows(page):
    return page.locator("#edits li")


def serious(page, **only) -> str:
    """What axe finds serious on the page, by all of its rules or those given, as JSON; nothing is an empty text."""
    page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")  # half-faded text is pale
    found = axe.Axe().run(page, options=only).response["violations"]
    bad = [[v["id"], [n["html"][:200] for n in v["nodes"]]] for v in found if v["impact"] in ("serious", "critical")]
    return json.dumps(bad, indent=1) if bad else ""
