"""The page's fixed words in four languages."""

import re
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import expect

import app
from ui.components.html import heading
from ui.languages import PROPERTIES, TABLE, said

from .browser import drawn

SOURCES = [path for kind in ("*.py", "*.html") for path in (Path(app.__file__).parent / "ui").rglob(kind)]
KEYS = re.compile(r'"key": "([^"]+)"')
CONTROLS = (gr.Button, gr.UploadButton, gr.Tab, gr.Accordion, gr.Slider, gr.Dropdown, gr.Radio, gr.Checkbox, gr.Number)


def shown(block) -> bool:
    """Whether a visitor may see it: what stands for an endpoint's inputs is for programs."""
    while block is not None and getattr(block, "visible", True) is not False:
        block = block.parent
    return block is None


def test_every_row_is_whole_and_every_word_is_on_the_page():
    assert all(set(row) == {"de", "zh", "fr"} and all(row.values()) for row in TABLE.values())
    text = " ".join(path.read_text(encoding="utf-8") for path in SOURCES)
    marked = {key for block in app.demo.blocks.values() for name in PROPERTIES
              for key in KEYS.findall(str(getattr(block, name, "")))}  # fmt: skip
    assert [words for words in TABLE if words not in text and words not in marked] == []


def test_every_control_is_in_the_table():
    left = {
        text
        for block in app.demo.blocks.values()
        if isinstance(block, CONTROLS) and shown(block)
        for name in PROPERTIES
        if isinstance(text := getattr(block, name, None), str) and re.search("[a-z]{3}", text)
        if "__i18n__" not in text and not (name == "value" and not isinstance(block, gr.Button))
    }
    assert left == set()


def test_a_heading_is_said_in_the_visitors_language_and_what_it_is_about_is_not():
    assert said("Your edits") in heading("Your edits")
    assert heading("What can change: <b>").endswith(": &lt;b&gt;</div>")
    assert "&lt;i&gt;" in heading("<i>")


@pytest.mark.browser
@pytest.mark.parametrize(("locale", "words"), [("de-DE", "de"), ("zh-CN", "zh"), ("it-IT", None)])
def test_a_visitor_reads_their_language(visit, locale, words):
    page = visit(locale=locale)
    drawn(page)
    for known in ("Undo", "Copy link", "Brush", "cite"):  # gradio's, ours in a template, and in the header
        expect(page.get_by_role("button", name=TABLE[known][words] if words else known, exact=True)).to_be_visible()
    assert "__i18n__" not in page.inner_text("body")
