"""The gallery in headless Chromium: what one visitor publishes, another opens and goes on with."""

import pytest
from playwright.sync_api import expect

from .browser import rows, serious

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("empty_home")]


def cards(page):
    return page.locator("#gallery button")


def test_one_publishes_and_another_opens_and_goes_on(visit):
    one = visit()
    expect(cards(one)).to_have_count(0)
    one.locator("#publish").click()
    expect(cards(one)).to_have_count(1)
    title = cards(one).first.get_attribute("title")
    look = rows(one).first.inner_text()
    assert serious(one) == ""
    one.get_by_role("button", name="Take it out of the gallery").click()
    expect(cards(one)).to_have_count(0)
    one.get_by_role("button", name="Publish to the gallery").click()
    expect(cards(one)).to_have_count(1)

    other = visit()
    other.get_by_role("button", name="Reset", exact=True).click()
    expect(rows(other)).to_have_count(0)
    expect(other.locator("#publish")).to_be_disabled()  # a picture without edits is nobody's work
    expect(cards(other).first).to_have_attribute("title", title)
    cards(other).first.click()
    expect(rows(other)).to_have_count(1)
    assert rows(other).first.inner_text() == look
    other.get_by_role("button", name="Undo", exact=True).click()
    expect(rows(other)).to_have_count(0)
