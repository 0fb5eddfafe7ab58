"""The page in headless Chromium, as a person uses it. Waits on conditions only: a busy machine makes it slow."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from panda_core.links import decode_link

from .browser import PIXELS_JS, click_thing, no_pointer, open_tab, pixels, place, point, rows, serious, unfold

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def choose(page, index: int = 0):
    """Another thing, and a change that is offered there; the change's name."""
    name = click_thing(page)
    expect(place(page, name)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#ends button[aria-pressed=true]")).to_have_count(0)  # the new thing's own tiles are there
    tile = page.locator("#ends button").nth(index)
    name = tile.inner_text()
    tile.click()
    return name


def strength(page):
    return page.locator("#strength input[type=range]")


def drag_slider(page, frm: float, to: float, dy: float = 0):
    box = strength(page).bounding_box()
    page.mouse.move(box["x"] + box["width"] * frm, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * to, box["y"] + box["height"] / 2 + dy, steps=8)
    page.mouse.up()


def test_the_page_opens_on_before_and_after_and_a_click_ends_that(visit):
    page = visit()
    wipe = page.locator("#picture .wipe")
    expect(wipe).to_be_visible()
    wipe.focus()
    page.keyboard.press("ArrowRight")
    expect(wipe).to_have_attribute("aria-valuenow", "55")
    page.mouse.click(*point(page, 0.55, 0.3))  # on the line itself: a click, not a drag
    expect(wipe).to_be_hidden()
    expect(page.locator(".places [aria-pressed=true]")).to_have_count(1)
    page.get_by_role("button", name="Before | after").click()
    expect(wipe).to_have_attribute("aria-valuenow", "50")


def test_click_a_thing_choose_drag_the_slider_undo(visit):
    page = visit()
    expect(rows(page)).to_have_count(2)
    name = choose(page)
    expect(rows(page)).to_have_count(3)
    expect(rows(page).nth(2)).to_contain_text(name)
    expect(page.locator("#ends button").first).to_have_attribute("aria-pressed", "true")
    no_pointer(page)
    before, size = pixels(page), strength(page).input_value()
    drag_slider(page, 0.85, 0.4)
    expect(strength(page)).not_to_have_value(size)
    page.wait_for_function(f"() => ({PIXELS_JS})() !== '{before}'")
    page.get_by_role("button", name="Undo").click()
    expect(strength(page)).to_have_value(size)
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Redo").click()
    expect(rows(page)).to_have_count(3)


@pytest.mark.parametrize("touch", [False, True])
def test_pulling_at_the_picture_moves_the_strength_and_is_one_step(visit, touch):
    page = visit(**(PHONE if touch else {}))
    expect(page.locator("#picture canvas")).to_have_class(re.compile("pulls"))
    value = page.locator("#strength input[type=number]")
    before = value.input_value()
    places = [point(page, 0.3, 0.75 - 0.02 * i) for i in range(8)]
    if touch:
        line = page.context.new_cdp_session(page)
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * 7], places):
            line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
            page.wait_for_timeout(100)
        line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:
        page.mouse.move(*places[0])
        page.mouse.down()
        for at in places[1:]:
            page.mouse.move(*at)
            page.wait_for_timeout(100)
        page.mouse.up()
    expect(value).not_to_have_value(before)
    page.get_by_role("button", name="Undo").click()
    expect(value).to_have_value(before)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_second_click_narrows_to_the_part_and_shift_adds_a_thing(visit):
    page = visit()
    name = "mouth"  # of more parts than one
    place(page, name).click()
    expect(place(page, name)).to_have_attribute("aria-pressed", "true")
    page.locator(".places .small").first.click()
    expect(page.locator(".places .small[aria-pressed=true]")).to_have_count(1)
    place(page, name).click()
    expect(place(page, name)).to_have_attribute("aria-pressed", "true")
    other = click_thing(page, ["Shift"])
    for one in (name, other):
        expect(place(page, one)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Parts", exact=True).click()
    expect(page.get_by_role("button", name="Parts", exact=True)).to_have_attribute("aria-pressed", "true")


def test_tiles_of_another_place_cannot_be_pressed_and_those_of_the_same_come_back(visit):
    page, tiles, faded = visit(), "#ends .tiles", re.compile("passing")
    passed = """() => new MutationObserver((_, me) => {
        const t = document.querySelector('#ends .tiles');
        if (t.classList.contains('passing')) { window.faded = getComputedStyle(t).pointerEvents; me.disconnect(); }
    }).observe(document.body, {subtree: true, attributes: true})"""
    page.evaluate(passed)
    name = click_thing(page)
    expect(place(page, name)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(tiles)).not_to_have_class(faded)
    assert page.evaluate("window.faded") == "none"
    about = page.locator(tiles).get_attribute("data-about")
    assert about in page.evaluate("window.shown")
    for _ in range(3):  # the same place again: no other tiles come
        place(page, name).click()
        expect(page.locator(tiles)).not_to_have_class(faded)
    assert page.locator(tiles).get_attribute("data-about") == about


def test_of_quick_clicks_on_popular_changes_none_is_lost(visit):
    page = visit()
    free = "#popular button:not([aria-disabled]):not([aria-pressed=true])"
    expect(page.locator(free).nth(2)).to_be_visible()
    before = page.locator("#popular button[aria-pressed=true]").count()
    page.evaluate(f"[...document.querySelectorAll('{free}')].slice(0, 3).forEach(b => b.click())")
    expect(rows(page)).to_have_count(5)
    expect(page.locator("#popular button[aria-pressed=true]")).to_have_count(before + 3)


def test_brush_clear_and_what_varies_in_a_painted_area(visit):
    page = visit()
    page.get_by_role("button", name="Brush").click()
    page.mouse.move(*point(page, 0.3, 0.3))
    page.mouse.down()
    page.mouse.move(*point(page, 0.6, 0.4), steps=6)
    page.mouse.up()
    expect(place(page, "painted area")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="See what varies here").click()
    expect(page.get_by_role("button", name="See what varies here")).to_be_hidden(timeout=120_000)
    page.locator("#ends").get_by_role("button", name="variation").first.click()
    expect(rows(page)).to_have_count(3)
    expect(rows(page).nth(2)).to_contain_text("painted area")
    page.get_by_role("button", name="Clear").click()
    expect(place(page, "painted area")).to_have_count(0)


def test_a_link_opens_the_picture_in_a_fresh_profile(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    choose(page, 1)
    expect(rows(page)).to_have_count(3)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#copied textarea")).to_have_value(re.compile(r"\?r=2"))
    address = page.locator("#copied textarea").input_value()
    assert page.evaluate("navigator.clipboard.readText()") == address
    rows_here, shown = rows(page).all_inner_texts(), page.locator("#picture canvas").get_attribute("aria-label")
    other = visit("?" + address.split("?")[1])
    expect(rows(other)).to_have_count(3)
    assert rows(other).all_inner_texts() == rows_here
    expect(other.locator("#picture canvas")).to_have_attribute("aria-label", shown)


def test_a_broken_link_says_so_and_opens_the_start_page(visit):
    page = visit("?r=1broken")
    expect(page.get_by_role("alert")).to_contain_text("The link could not be opened")
    expect(rows(page)).to_have_count(2)


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
        page.get_by_role("button", name="Download", exact=True).click()
    download.value.save_as(tmp_path / "picture.png")
    page.get_by_role("button", name="Reset").click()
    expect(rows(page)).to_have_count(0)
    data = list((tmp_path / "picture.png").read_bytes())
    page.evaluate(
        """(data) => { const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(data)], 'picture.png', {type: 'image/png'}));
        document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true})); }""",
        data,
    )
    expect(rows(page)).to_have_count(2)


def test_dice_and_history(visit):
    page = visit()
    first = page.locator("#seed input").input_value()
    page.get_by_role("button", name="New picture").click()
    expect(page.locator("#visited button")).to_have_count(2)
    expect(page.locator("#seed input")).not_to_have_value(first)
    page.get_by_role("button", name=f"Seed {first}", exact=True).click()
    expect(page.locator("#seed input")).to_have_value(first)
    expect(rows(page)).to_have_count(2)


def test_keyboard_alone(visit):
    """Tab to a thing, a tile and the slider; no pointer."""
    page = visit()

    def tab_to(selector: str):
        for _ in range(90):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"Tab never reaches {selector}")

    tab_to(".places button:nth-child(6)")  # one that is not edited yet, and in which several things vary
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(place(page, name)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#ends button[aria-pressed=true]")).to_have_count(0)
    tab_to("#ends button")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    for key, at in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("Home", 0)):  # one stop, then the arrows
        page.keyboard.press(key)
        expect(page.locator("#ends button").nth(at)).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(3)
    expect(strength(page)).to_be_enabled()
    tab_to("#strength input[type=range]")
    page.keyboard.press("Home")
    expect(strength(page)).to_have_value("-4")


def test_the_focus_is_never_lost(visit):
    page = visit()
    choose(page, 1)
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    for name, next_one in (("Undo", "Redo"), ("Redo", "Reset")):
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=next_one)).to_be_focused()
    page.get_by_role("button", name=re.compile("^Remove: ")).first.focus()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    page.wait_for_function("document.activeElement.tagName === 'BUTTON'")


def test_of_drags_on_a_slow_line_the_last_one_stays(visit):
    page = visit()
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 600, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    for before, after in ((0.85, 0.2), (0.2, 0.8), (0.8, 0.4)):
        drag_slider(page, before, after, dy=-40)  # and let go elsewhere
    left = strength(page).input_value()
    page.wait_for_timeout(8000)  # whatever is under way has come
    expect(strength(page)).to_have_value(left)
    page.wait_for_function("location.search.startsWith('?r=')")
    made = decode_link(parse_qs(urlsplit(page.url).query)["r"][0])
    assert made.edits[1].strength == float(left)


# the other tabs


def test_what_is_clicked_on_the_remove_tab_goes_and_can_go_another_way(visit):
    page = visit()
    open_tab(page, "Remove")
    place(page, "eyes").click()  # a name chooses; a click on the picture removes at once
    expect(page.locator("#removals button").first).to_be_visible()
    count = rows(page).count()
    page.locator("#removals button[aria-pressed=false]").first.click()
    expect(rows(page)).not_to_have_count(0)
    assert abs(rows(page).count() - count) <= 1
    expect(page.locator("#ends")).to_be_hidden()


def test_masks_tiles_threshold_download_and_edit_inside(visit, tmp_path):
    page = visit()
    open_tab(page, "Masks")
    expect(page.locator("#mask-view img")).to_have_count(2)
    expect(page.locator("#strength")).to_be_hidden()  # no control of another tab
    before = page.locator("#mask-words p").inner_text()
    handle = page.locator("#mask-offset input[type=range]")
    handle.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#mask-words p")).not_to_have_text(before)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download cut-out").click()
    assert download.value.suggested_filename.endswith("-cut-out.png")
    page.locator("#masks button").nth(1).click()
    expect(page.locator("#masks button").nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Edit what is cut out").click()
    expect(place(page, "painted area")).to_have_attribute("aria-pressed", "true")


def test_rewriting_what_a_place_shows(visit):
    page = visit()
    open_tab(page, "Rewrite")
    expect(page.locator("#rewrite-targets button").first).to_be_visible()
    page.locator("#rewrite-targets button").first.click()
    expect(rows(page)).to_have_count(3)
    expect(rows(page).nth(2)).to_contain_text("now")
    expect(page.locator("#strength")).to_be_visible()


def test_ranking_by_what_varies(visit, empty_home):
    page = visit()
    open_tab(page, "Rank")
    page.locator("#rank-variations button").first.click()
    page.get_by_role("button", name="Rank them").click()
    expect(page.locator("#rank-axis button").nth(22)).to_be_visible(timeout=120_000)
    expect(page.locator("#rank-axis button[aria-pressed=true]")).to_have_count(1)
    expect(page.locator("#rank-asked")).to_contain_text("more of it than")


def test_a_card_is_published_opened_and_taken_back(visit, empty_home):
    one = visit()
    choose(one, 1)
    expect(rows(one)).to_have_count(3)
    one.locator("#publish").click()
    cards = one.locator("#gallery button")
    expect(cards).to_have_count(1)
    other = visit()
    other.locator("#gallery button").first.click()
    expect(rows(other)).to_have_count(3)
    one.get_by_role("button", name="Take it out of the gallery").click()
    expect(cards).to_have_count(0)


def test_a_fit_is_cancelled_and_another_comes_into_use(visit, empty_home):
    page = visit()
    unfold(page, "Explore")
    page.get_by_label("Pictures to learn from").fill("64")
    page.get_by_label("Pictures to learn from").press("Tab")
    page.get_by_role("button", name="Learn parts").click()
    expect(page.locator("#about-factors")).to_contain_text("16 parts", timeout=180_000)
    expect(page.locator(".places .small, .places button").first).to_be_visible()


# screens


def in_view(page, width: int, height: int, *selectors: str):
    """The page laid out for a screen of this size shows all these without scrolling."""
    page.set_viewport_size({"width": width, "height": height})
    for selector in selectors:
        box = page.locator(selector).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, (selector, width)


def test_picture_tiles_strength_list_and_link_are_in_view_at_once(visit):
    page = visit()
    expect(page.locator("#popular button").first).to_be_visible()
    for size in ((1366, 768), (1440, 900)):
        in_view(page, *size, "#picture .stage", "#worlds button:last-child", "#ends .tiles", "#strength", "#edits li",
                "#copy-link")  # fmt: skip


def test_phone_picture_tiles_strength_and_link_are_in_view_and_a_tap_chooses(visit):
    page = visit(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    in_view(page, 390, 844, "#picture .stage", "#worlds button:last-child", "#ends .tiles", "#strength", "#copy-link")
    page.touchscreen.tap(*point(page, 0.1, 0.1))
    expect(page.locator(".places [aria-pressed=true]")).to_have_count(1)
    expect(page.locator("#picture .tip")).to_be_hidden()
    page.get_by_role("button", name="Brush").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_axe_finds_nothing_serious_on_any_tab_in_light_and_dark(visit):
    page = visit()
    for name in ("Picture settings", "Explore"):
        unfold(page, name)
    expect(page.locator("#appearances button").first).to_be_visible()
    for tab in ("Edit", "Remove", "Masks", "Rewrite", "Rank"):
        if tab != "Edit":
            open_tab(page, tab)
            page.wait_for_timeout(3000)  # what it shows has come; what comes later is looked at with the next tab
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("body.dark")).to_have_count(int(scheme == "dark"))
            only = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # nothing else differs
            assert not serious(page, **only), (tab, scheme)
