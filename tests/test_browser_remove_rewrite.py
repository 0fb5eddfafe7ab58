"""The Remove and Rewrite tabs in headless Chromium, as a person uses them."""

import re

import pytest
from playwright.sync_api import expect

from .browser import PIXELS_JS, click_part, no_pointer, open_tab, pixels, rows, serious, tick, unfold

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(visit):
    """tab(name, **context) -> page with that tab open and no edits."""

    def go(name: str, **options):
        page = visit(**options)
        page.get_by_role("button", name="Reset").click()
        expect(rows(page)).to_have_count(0)
        open_tab(page, name)
        return page

    return go


def test_remove_an_object_try_another_cover_undo(tab):
    page = tab("Remove")
    page.get_by_role("checkbox", name=re.compile("hair|hat")).first.check()
    no_pointer(page)
    before = pixels(page)
    page.get_by_role("button", name="Remove it").click()
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#removed img")).to_have_count(2)
    page.wait_for_function(f"() => ({PIXELS_JS})() !== '{before}'")
    covers = page.locator("#covers button")
    expect(covers.first).to_have_attribute("aria-pressed", "true")
    covers.nth(1).click()
    expect(covers.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(covers.first).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(0)


def test_what_is_known_goes_with_a_click_and_comes_back_with_another(tab):
    page = tab("Remove")
    known = page.locator("#off button")
    expect(known).to_have_count(3)
    before = pixels(page)
    known.first.click()
    expect(rows(page)).to_have_count(1)
    expect(known.first).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"() => ({PIXELS_JS})() !== '{before}'")
    known.first.click()
    expect(rows(page)).to_have_count(0)


def test_removing_everything_is_one_sentence(tab):
    page = tab("Edit")
    unfold(page, "More")
    page.get_by_role("button", name="Change the whole picture").click()
    open_tab(page, "Remove")
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator(".toast-body").first).to_contain_text("Nothing outside the region counts as background")
    expect(rows(page)).to_have_count(0)


def choose(page, source: int, target: int):
    for role, number in (("source", source), ("target", target)):
        tile = page.locator(f"#rewrite-{role} button").nth(number)
        tile.click()
        expect(tile).to_have_attribute("aria-pressed", "true")


def test_rewrite_a_concept_here_on_other_pictures_undo(tab):
    page = tab("Rewrite")
    name = click_part(page)
    choose(page, 2, 0)
    expect(page.locator(".concept img")).to_have_count(2)
    tick(page.get_by_role("radio", name=f"Only here: {name}"))
    expect(page.get_by_text(re.compile(f"becomes .*, in {name}"))).to_be_visible()
    page.locator("button#rewrite").click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("becomes")
    unfold(page, "On sixteen other pictures")
    page.get_by_role("button", name="Try these edits").click()
    expect(page.locator("#others .tiles button")).to_have_count(16)
    expect(page.locator("#strength input[type=range]")).to_have_attribute("min", "0")
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(0)


def test_the_same_concept_twice_is_one_sentence(tab):
    page = tab("Rewrite")
    choose(page, 3, 3)
    expect(page.locator(".hint", has_text="Both are").first).to_be_visible()
    page.locator("button#rewrite").click()
    expect(page.locator(".toast-body").first).to_contain_text("choose another look")
    expect(rows(page)).to_have_count(0)


@pytest.mark.parametrize("name", ["Remove", "Rewrite"])
def test_phone_width_dark_and_axe(tab, name):
    page = tab(name, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark")
    if name == "Rewrite":
        choose(page, 2, 5)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not serious(page)
