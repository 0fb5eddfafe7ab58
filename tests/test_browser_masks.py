"""The Masks tab in headless Chromium, as a person uses it."""

import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from .browser import no_pointer, open_tab, rows, serious, tick, unfold

pytestmark = pytest.mark.browser


def open_masks(visit, **options):
    page = visit(**options)
    open_tab(page, "Masks")
    expect(page.locator("#mask-view img")).to_have_count(2)
    expect(page.locator("#mask-concepts button")).to_have_count(24)
    return page


def share(page) -> int:
    """How many hundredths of the picture are kept."""
    return int(re.match(r"\d+", page.locator("#mask-words p").inner_text())[0])


def test_cut_out_move_the_threshold_download_and_edit_inside(visit, tmp_path):
    page = open_masks(visit)
    expect(page.locator("#mask-view")).to_contain_text("All but background")
    before = share(page)
    handle = page.locator("#mask-offset input[type=range]")
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#mask-offset input[type=number]")).to_have_value("0.5")
    expect(page.locator("#mask-words p")).not_to_contain_text(f"{before}%")
    assert share(page) > before  # less of the picture counts as background
    with page.expect_download() as download:
        page.get_by_role("button", name="Download cut-out").click()
    download.value.save_as(tmp_path / "cut-out.png")
    alpha = np.asarray(Image.open(tmp_path / "cut-out.png"))[..., 3]
    assert abs(100 * (alpha == 255).mean() - share(page)) < 1 and set(np.unique(alpha)) == {0, 255}
    page.get_by_role("button", name="Edit inside the mask").click()
    expect(page.locator("#mask-words p")).to_contain_text("painted area now")
    open_tab(page, "Edit")
    expect(page.locator("#looks button[aria-pressed=true]")).to_have_count(0)  # the painted area's own sheet is there
    page.locator("#looks button").first.click()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1)).to_contain_text("painted area")
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)


def test_another_concept_on_other_pictures(visit):
    page = open_masks(visit)
    tile = page.locator("#mask-concepts button", has_text="look").first  # one without a name of its own
    name = tile.inner_text()
    tile.click()
    expect(page.locator("#mask-view")).to_contain_text(f"Only {name}")
    tick(page.get_by_role("radio", name="Less of it"))
    expect(page.locator("#mask-view")).to_contain_text(f"Only less of {name}")
    unfold(page, "Other pictures")
    page.get_by_role("button", name="Try the mask on 16").click()
    expect(page.locator("#mask-sheet button")).to_have_count(16)
    first = page.locator("#mask-sheet img").first
    shown = first.get_attribute("src")
    tick(page.get_by_role("radio", name="The rest"))
    expect(first).not_to_have_attribute("src", shown)  # the pictures are there already: their masks follow
    seed = int(page.locator("#seed input").input_value())
    page.locator("#mask-sheet button").nth(2).click()
    expect(page.locator("#seed input")).to_have_value(str(seed + 3))
    expect(page.locator("#mask-sheet button").nth(2)).to_have_attribute("aria-pressed", "true")


def test_a_zip_is_cancelled_and_then_made(visit, tmp_path):
    page = open_masks(visit)
    unfold(page, "Other pictures")
    number = page.locator("#pairs input[type=number]")
    number.fill("256")
    number.press("Tab")
    page.get_by_role("button", name="Make the zip").click()
    expect(page.locator(".progress progress")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".progress progress")).to_have_count(0)
    expect(page.get_by_role("button", name="Download the zip")).to_have_count(0)
    number.fill("16")
    number.press("Tab")
    page.get_by_role("button", name="Make the zip").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the zip").click()
    assert download.value.suggested_filename == "panda-portraits-masks.zip"
    download.value.save_as(tmp_path / "masks.zip")
    with zipfile.ZipFile(tmp_path / "masks.zip") as file:
        seed = page.locator("#seed input").input_value()
        assert file.testzip() is None and file.namelist()[:2] == [f"{seed}.png", f"{seed}-mask.png"]
        assert len(file.namelist()) == 32


def test_nothing_kept_is_a_mistake_in_one_sentence_and_the_tab_reads_well(visit):
    page = open_masks(visit, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    tick(page.get_by_role("radio", name="It", exact=True))
    expect(page.locator("#mask-view")).to_contain_text("Only background")  # its answer begins the threshold anew
    page.locator("#mask-offset input[type=range]").press("End")
    expect(page.locator("#mask-words p")).to_contain_text(re.compile("^0%"))
    page.get_by_role("button", name="Edit inside the mask").click()
    expect(page.locator(".toast-body").first).to_contain_text("nowhere to edit")
    expect(page.locator("#mask-words p")).not_to_contain_text("painted area now")
    page.locator(".toast-body button").first.click()
    no_pointer(page)
    assert not serious(page)
