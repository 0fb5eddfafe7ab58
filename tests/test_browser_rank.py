"""The Rank tab in headless Chromium, as a person uses it."""

import re

import pytest
from playwright.sync_api import expect

from ui import rank

from .browser import click_part, open_tab, rows, serious, tick, unfold

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("empty_home")]


def open_rank(page):
    open_tab(page, "Rank")
    expect(page.locator("#rank-concepts button")).to_have_count(24)
    return page


def choose_concept(page) -> str:
    """The third concept; its name."""
    tile = page.locator("#rank-concepts button").nth(2)
    tile.click()
    expect(tile).to_have_attribute("aria-pressed", "true")  # what follows it has come, and replaces no field any more
    return tile.get_attribute("title")


def order(page):
    page.get_by_role("button", name="Order them").click()
    expect(page.locator("#rank-most button")).to_have_count(rank.SHOWN)


def test_order_by_a_concept_at_a_part_and_open_a_picture(visit):
    page = open_rank(visit())
    concept = choose_concept(page)
    expect(page.locator("#rank-asked")).to_contain_text("press")
    order(page)
    expect(page.locator("#rank-least button")).to_have_count(rank.SHOWN)
    expect(page.locator("#rank-spread")).to_contain_text(re.compile(r"\d+ of 100 have less"))
    expect(page.get_by_role("heading", name="The most")).to_be_visible()
    first = page.locator("#rank-most button").first.get_attribute("title")
    name = click_part(page)  # another question: answered at once
    expect(page.locator("#rank-asked")).to_contain_text(f"In order of {concept} at {name}.")
    expect(page.locator("#rank-most button").first).not_to_have_attribute("title", first)
    picture = page.locator("#rank-least button").nth(1)
    seed = picture.get_attribute("title").removeprefix("Seed ")
    picture.click()
    expect(page.locator("#seed input")).to_have_value(seed)
    expect(picture).to_have_attribute("aria-pressed", "true")
    expect(rows(page)).to_have_count(1)  # the edit stays
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#seed input")).not_to_have_value(seed)


def test_a_long_order_can_be_cancelled_and_the_old_one_is_kept(visit):
    page = open_rank(visit())
    choose_concept(page)
    order(page)
    tick(page.get_by_role("radio", name="10,000"))
    expect(page.locator("#rank-asked")).to_contain_text("10,000 pictures must be looked at")
    page.get_by_role("button", name="Order them").click()
    expect(page.get_by_text(re.compile(r"Looking at pictures: \d+ of 9,900"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    tick(page.get_by_role("radio", name="100", exact=True))
    expect(page.locator("#rank-most button")).to_have_count(rank.SHOWN)


def test_a_sum_its_mistake_and_the_phone(visit):
    page = open_rank(visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True))
    concept = choose_concept(page)
    unfold(page, "Add looks up")
    weight = page.locator("#rank-sum input[type=number]")
    weight.fill("0")
    weight.press("Enter")
    page.get_by_role("button", name="Add to the sum").click()
    toast = page.locator(".toast-body").first
    expect(toast).to_contain_text("weight is 0")
    toast.locator(".toast-close").click()
    expect(toast).to_be_hidden()
    weight.fill("-0.5")
    weight.press("Enter")
    page.get_by_role("button", name="Add to the sum").click()
    expect(page.locator("#rank-terms .token")).to_contain_text(f"-0.5 × {concept}")
    order(page)
    expect(page.locator("#rank-asked")).to_contain_text("In order of the sum.")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not serious(page)
    page.locator("#rank-terms .token-remove").first.click()
    expect(page.locator("#rank-terms .token")).to_have_count(0)
    expect(page.locator("#rank-asked")).to_contain_text(f"In order of {concept}")
