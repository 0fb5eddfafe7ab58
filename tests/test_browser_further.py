"""The Edit tab's accordions and the Factors panel in headless Chromium, as a person uses them."""

import re
import zipfile

import pytest
from playwright.sync_api import expect

from .browser import rows, serious, tick, unfold

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("empty_home")]
FOLDS = ("On sixteen other pictures", "The strength as a film", "Parts refined to this picture")


def fit_quickly(page, samples: str = "32"):
    """Opens the panel, asks for a small fit and begins it."""
    unfold(page, "Factors")
    unfold(page, "How they are learned")
    page.get_by_label("Pictures to learn from").fill(samples)
    page.get_by_label("Pictures to learn from").press("Tab")
    page.get_by_role("button", name="Learn parts").click()


def test_a_named_edit_then_the_same_on_sixteen_seeds(visit):
    page = visit()
    tiles = page.locator("#named .tiles button")
    expect(tiles.nth(15)).to_be_visible()
    name = tiles.nth(2).inner_text()
    expect(page.locator("#named").get_by_role("button", name=name, exact=True)).to_be_visible()  # the label can be seen
    tiles.nth(2).click()
    expect(rows(page).nth(1)).to_contain_text(name)
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)
    unfold(page, "On sixteen other pictures")
    page.get_by_role("button", name="Try these edits").click()
    others = page.locator("#others .tiles button")
    expect(others).to_have_count(16)
    expect(page.locator("#others")).to_contain_text(re.compile(r"Seen in \d+ of 16 pictures"))
    after = others.nth(3).locator("img").get_attribute("src")
    others.nth(3).hover()
    expect(others.nth(3).locator("img")).not_to_have_attribute("src", after)
    seed = int(page.locator("#seed input").input_value())
    others.nth(3).click()
    expect(page.locator("#seed input")).to_have_value(str(seed + 4))
    expect(others.nth(3)).to_have_attribute("aria-pressed", "true")


def test_of_three_quick_clicks_on_named_edits_none_is_lost(visit):
    page = visit()
    tiles = page.locator("#named .tiles button")
    expect(tiles.nth(15)).to_be_visible()
    page.evaluate("for (const i of [0, 4, 8]) document.querySelectorAll('#named .tiles button')[i].click()")
    expect(rows(page)).to_have_count(4)
    expect(page.locator("#named button[aria-pressed=true]")).to_have_count(3)  # what comes later follows the last click


def test_a_named_edit_has_one_strength_and_a_second_click_takes_it_away(visit):
    page = visit()
    tile = page.locator("#named .tiles button").nth(0)
    name = tile.inner_text()
    tile.click()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1)).to_contain_text(f"{name}as usual")
    expect(tile).to_have_attribute("aria-pressed", "true")
    handle = page.locator("#strength input[type=range]")
    expect(page.locator("#strength")).to_contain_text(f"Strength of {name} (1 is usual)")
    expect(handle).to_have_attribute("max", "2")
    before = page.locator("#picture canvas").get_attribute("data-frames")
    handle.focus()
    page.keyboard.press("End")
    expect(rows(page).nth(1)).to_contain_text("× 2.0")
    expect(page.locator("#picture canvas")).not_to_have_attribute("data-frames", before)
    handle.press("Home")
    expect(rows(page).nth(1)).to_contain_text("× 0.0")  # and with what comes after the keys it is not another's
    other = page.locator("#named .tiles button").nth(4)
    other.click()  # they add up
    expect(rows(page)).to_have_count(3)
    expect(rows(page).nth(1)).to_contain_text(name)
    tile.click()
    expect(rows(page)).to_have_count(2)
    expect(tile).to_have_attribute("aria-pressed", "false")
    expect(rows(page).nth(1)).to_contain_text(f"{other.inner_text()}as usual")
    page.get_by_role("button", name="Undo").click()
    expect(rows(page).nth(1)).to_contain_text("× 0.0")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (900, 700), (390, 844)])
def test_the_picture_is_in_view_while_a_named_edit_is_clicked_and_dragged(visit, width, height):
    page = visit(viewport={"width": width, "height": height})
    tile, handle = page.locator("#named .tiles button").nth(20), page.locator("#strength input[type=range]")
    tile.click()
    expect(tile).to_have_attribute("aria-pressed", "true")
    for used in (tile, handle):
        used.scroll_into_view_if_needed()
        stage, box = page.locator("#picture .stage").bounding_box(), used.bounding_box()
        assert stage["y"] >= 0 and stage["y"] + stage["height"] <= height
        beside = box["x"] > stage["x"] + stage["width"]
        assert beside if width >= 900 else box["y"] > stage["y"] + stage["height"]
    history, address = page.evaluate("history.length"), page.url
    page.get_by_role("button", name="Skip to what can change").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Edit")).to_be_focused()
    assert (page.evaluate("history.length"), page.url) == (history, address)


def test_a_sweep_is_shown_and_saved_and_parts_are_refined(visit, tmp_path):
    page = visit()
    unfold(page, "The strength as a film")
    page.get_by_role("button", name="Animate the strength").click()
    expect(page.locator("#sweep img")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GIF").click()
    download.value.save_as(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes()[:6] == b"GIF89a"
    unfold(page, "Parts refined to this picture")
    expect(page.locator("#refine figure")).to_have_count(1)
    page.get_by_role("radio", name="Refined", exact=True).click()
    expect(page.locator("#refine figure")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("radio", name="As learned")).to_be_checked()


def test_own_parts_are_learned_named_and_taken_to_another_visit(visit, tmp_path):
    page = visit()
    fit_quickly(page)
    expect(page.locator("#using input")).to_have_value(re.compile("learned from 32 pictures"))
    expect(page.locator("#looks p")).to_be_visible()  # the looks of the part before are gone
    tick(page.get_by_role("checkbox", name="part 2", exact=True))
    page.locator("#looks button").first.click()
    expect(rows(page).nth(1)).to_contain_text("part 2")
    hostile = '<img src=x onerror="boom()">'
    page.locator("#name-part textarea, #name-part input").fill(hostile)
    page.locator("#name-part").get_by_role("button", name="Rename").click()
    expect(rows(page).nth(1)).to_contain_text(hostile)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast-body").first).to_contain_text("download the recipe and its factors")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download recipe and factors together").click()
    download.value.save_as(tmp_path / "own.zip")
    assert set(zipfile.ZipFile(tmp_path / "own.zip").namelist()) > {"recipe.json"}
    other = visit()
    unfold(other, "Factors")
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Open factors").click()
    chooser.value.set_files(tmp_path / "own.zip")
    expect(rows(other).nth(1)).to_contain_text(hostile)
    expect(other.get_by_role("checkbox", name=hostile, exact=True)).to_be_checked()


def test_a_fit_shows_how_far_it_is_and_cancelled_it_leaves_everything_as_it_was(visit):
    page = visit()
    parts = page.locator("#parts label").all_inner_texts()
    fit_quickly(page, "4096")
    expect(page.locator("#factors .job progress")).to_be_visible()
    expect(page.locator("#factors .job img")).to_be_visible()
    expect(page.locator("#factors .job")).to_contain_text(re.compile(r"\d% explained"))
    page.locator("#factors").get_by_role("button", name="Cancel").click()
    expect(page.locator("#factors .job progress")).to_be_hidden()
    expect(page.locator("#using input")).to_have_value(re.compile("bundled"))
    assert page.locator("#parts label").all_inner_texts() == parts


def test_a_wrong_file_and_a_wrong_number_are_one_sentence_each(visit, tmp_path):
    page = visit()
    (tmp_path / "odd.safetensors").write_bytes(b"not tensors at all")
    unfold(page, "Factors")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open factors").click()
    chooser.value.set_files(tmp_path / "odd.safetensors")
    expect(page.locator(".toast-body").first).to_contain_text("odd.safetensors is not a readable")
    unfold(page, "How they are learned")
    page.get_by_label("Pictures to learn from").fill("9999")
    page.get_by_label("Pictures to learn from").press("Tab")
    page.get_by_role("button", name="Learn parts").click()
    expect(page.locator(".toast-body").filter(has_text="samples is 9999")).to_be_visible()
    expect(page.locator("#using input")).to_have_value(re.compile("bundled"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_does_not_scroll_sideways(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for name in (*FOLDS, "Factors", "How they are learned"):
        unfold(page, name)
    page.get_by_role("button", name="Try these edits").click()
    expect(page.locator("#others .tiles button")).to_have_count(16)
    expect(page.locator("#named .tiles button").nth(15)).to_be_visible()
    page.get_by_role("radio", name="Refined among neighbours").click()
    expect(page.locator("#refine figure")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not serious(page)
