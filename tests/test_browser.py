"""The page in headless Chromium, as a person uses it. Waits on conditions only: a busy machine makes it slow."""

import re

import pytest
from playwright.sync_api import expect

from .browser import PIXELS_JS, click_part, no_pointer, pixels, rows, serious, unfold

pytestmark = pytest.mark.browser


def test_click_a_part_choose_a_look_drag_undo(visit):
    page = visit()
    expect(rows(page)).to_have_count(1)
    name = click_part(page)
    expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    expect(page.locator("#parts input:checked")).to_have_count(1)
    expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(0)  # the new part's own sheet is there
    page.locator("#looks button").nth(2).click()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1)).to_contain_text(name)
    expect(page.locator("#looks button").nth(2)).to_have_attribute("aria-pressed", "true")
    no_pointer(page)
    before = pixels(page)
    handle = page.locator("#strength input[type=range]")
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.85, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2, steps=12)
    page.mouse.up()
    expect(rows(page).nth(1)).to_contain_text(re.compile(r", -\d"))
    page.wait_for_function(f"() => ({PIXELS_JS})() !== '{before}'")
    page.get_by_role("button", name="Undo").click()
    expect(rows(page).nth(1)).to_contain_text(re.compile(r", \+\d"))
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Redo").click()
    expect(rows(page)).to_have_count(2)


def test_of_clicks_while_the_page_is_busy_the_last_counts(visit):
    page = visit()
    page.evaluate("""() => { const look = i => document.querySelectorAll('#looks button')[i].click();
        look(2); setTimeout(() => look(7), 60); }""")
    expect(page.locator("#looks button").nth(7)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(1)
    expect(rows(page)).to_have_count(1)
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()  # each was a step, and no other


def test_shift_click_chooses_several(visit):
    page = visit()
    name = click_part(page)
    expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    click_part(page, ["Shift"])
    expect(page.locator("#parts input:checked")).to_have_count(2)


def test_brush_eraser_and_the_painted_edit(visit):
    page = visit()
    page.get_by_role("button", name="Brush").click()
    box = page.locator("#picture canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4, steps=6)
    page.mouse.up()
    expect(page.locator("#parts input:checked")).to_have_count(0)
    expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(0)
    page.locator("#looks button").first.click()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1)).to_contain_text("painted area")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#looks p")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)


def test_before_is_held_and_difference_is_switched(visit):
    page = visit()
    no_pointer(page)
    shown = pixels(page)
    before = page.get_by_role("button", name="Hold for before")
    before.focus()
    page.keyboard.down(" ")
    expect(page.locator("#picture .flag")).to_have_text("Before")
    assert pixels(page) != shown
    page.keyboard.up(" ")
    expect(page.locator("#picture .flag")).to_be_hidden()
    assert pixels(page) == shown
    page.get_by_role("button", name="Difference").click()
    expect(page.locator("#picture .flag")).to_have_text("Difference")
    expect(page.locator("#words")).to_contain_text(re.compile(r"\w+.*\."))


def test_a_link_opens_the_picture_in_a_fresh_profile(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    click_part(page)
    page.wait_for_function("document.querySelectorAll('#looks button[aria-pressed=true]').length === 0")
    page.locator("#looks button").nth(1).click()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#copied textarea")).to_have_value(re.compile(r"\?r=1"))
    address = page.locator("#copied textarea").input_value()
    assert page.evaluate("navigator.clipboard.readText()") == address
    no_pointer(page)
    rows_here, shown = rows(page).all_inner_texts(), page.locator("#picture canvas").get_attribute("aria-label")
    other = visit("?" + address.split("?")[1])
    expect(rows(other)).to_have_count(2)
    assert rows(other).all_inner_texts() == rows_here
    expect(other.locator("#picture canvas")).to_have_attribute("aria-label", shown)
    no_pointer(other)
    other.wait_for_function(f"() => ({PIXELS_JS})() === '{pixels(page)}'")


def test_a_broken_link_says_so_and_opens_the_start_page(visit):
    page = visit("?r=1broken")
    expect(page.get_by_role("alert")).to_contain_text("The link could not be opened")
    expect(rows(page)).to_have_count(1)


def test_a_mistake_is_one_sentence_and_changes_nothing(visit):
    page = visit()
    label = page.locator("#picture canvas").get_attribute("aria-label")
    page.locator("#seed input").fill("-5")
    page.locator("#seed input").press("Enter")
    expect(page.locator(".toast-body").first).to_contain_text("Seed is -5")
    assert page.locator("#picture canvas").get_attribute("aria-label") == label


def test_a_downloaded_png_dropped_on_the_page_opens(visit, tmp_path):
    page = visit()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download PNG").click()
    download.value.save_as(tmp_path / "picture.png")
    page.get_by_role("button", name="Reset").click()
    expect(rows(page)).to_have_count(0)
    data = list((tmp_path / "picture.png").read_bytes())
    page.evaluate(
        """(data) => { const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(data)], 'picture.png', {type: 'image/png'}));
        document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true})); }""",
        data,
    )  # fmt: skip
    expect(rows(page)).to_have_count(1)


def test_dice_and_history(visit):
    page = visit()
    first = page.locator("#seed input").input_value()
    page.get_by_role("button", name="New picture").click()
    expect(page.locator("#visited button")).to_have_count(2)
    expect(page.locator("#seed input")).not_to_have_value(first)
    page.get_by_role("button", name=f"Seed {first}", exact=True).click()
    expect(page.locator("#seed input")).to_have_value(first)
    expect(rows(page)).to_have_count(1)


def test_keyboard_alone(visit):
    """Tab to a part, a look and the slider; no pointer."""
    page = visit()

    def tab_to(selector: str):
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"Tab never reaches {selector}")

    tab_to("#parts input:not(:checked)")
    name = page.evaluate("document.activeElement.closest('label').innerText.trim()")
    page.keyboard.press(" ")
    expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(0)
    tab_to("#looks button")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    for key, at in (("ArrowRight", 1), ("End", 11), ("ArrowLeft", 10), ("Home", 0)):  # one stop, then the arrows
        page.keyboard.press(key)
        expect(page.locator("#looks button").nth(at)).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    expect(page.locator("#strength input[type=range]")).to_be_enabled()
    tab_to("#strength input[type=range]")
    page.keyboard.press("Home")
    expect(rows(page).nth(1)).to_contain_text(re.compile(r", -\d"))


def test_the_focus_is_never_lost(visit):
    page = visit()
    page.locator("#looks button").nth(3).click()
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    for name, next_one in (("Undo", "Redo"), ("Redo", "Reset"), ("Reset", "Copy link")):
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=next_one)).to_be_focused()
    page.locator("#looks button").nth(3).click()
    page.get_by_role("button", name=re.compile("^Remove: ")).focus()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(0)
    page.wait_for_function("document.activeElement.tagName === 'BUTTON'")


def test_the_address_follows_the_slider_however_it_is_moved(visit):
    page = visit()
    handle = page.locator("#strength input[type=range]")
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(rows(page).first).to_contain_text("+4.7")
    page.wait_for_function("location.search.startsWith('?r=')")
    before = page.evaluate("location.search")
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] - 60, steps=6)  # and let go elsewhere
    page.mouse.up()
    page.wait_for_function(f"location.search !== '{before}'")
    there = rows(page).first.inner_text()
    expect(rows(visit(page.evaluate("location.search"))).first).to_have_text(there)


def test_of_drags_on_a_slow_line_the_last_one_stays(visit):
    page = visit()
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 600, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    handle = page.locator("#strength input[type=range]")
    box = handle.bounding_box()
    for before, after in ((0.9, 0.2), (0.2, 0.8), (0.8, 0.4)):
        page.mouse.move(box["x"] + box["width"] * before, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * after, box["y"] + box["height"] / 2, steps=6)
        page.mouse.up()
    left = handle.input_value()
    page.wait_for_timeout(6000)  # whatever is under way has come
    expect(handle).to_have_value(left)
    expect(rows(page).first).to_contain_text(f"{float(left):+.1f}")


def test_phone_width_and_touch(visit):
    page = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    canvas = page.locator("#picture canvas")
    box = canvas.bounding_box()
    assert box["width"] > 300
    canvas.tap(position={"x": box["width"] * 0.06, "y": box["height"] * 0.06})
    canvas.tap(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    expect(page.locator("#parts input:checked")).to_have_count(1)
    expect(page.locator("#picture .tip")).to_be_hidden()
    page.get_by_role("button", name="Brush").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    page = visit(color_scheme=scheme)
    for name in ("Picture settings", "More"):
        unfold(page, name)
    page.get_by_role("button", name="Change the whole picture").click()
    expect(page.get_by_role("radio", name="Everywhere")).to_be_checked()
    assert not serious(page)
