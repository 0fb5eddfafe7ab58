"""The page's fixed words in the visitor's language, as languages.toml has them; gradio's frontend chooses, and page.js
where one string holds several of them, which gradio does not take apart."""

import json
import re
import tomllib
from pathlib import Path

import gradio as gr

TABLE: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
LOCALES = {"de": "de", "fr": "fr", "zh": "zh", "zh-CN": "zh"}  # of browsers -> columns of the table
I18N = gr.I18n(
    en={words: words for words in TABLE},
    **{locale: {words: row[column] for words, row in TABLE.items()} for locale, column in LOCALES.items()},
)
PROPERTIES = ("label", "value", "info", "placeholder")
TEXT = re.compile(r"(?<=>)[^<>]*\S[^<>]*(?=<)")


def said(words: str) -> str:
    """The words, for the frontend to say in the visitor's language; as they are where nobody has translated them."""
    return str(I18N(words)) if words in TABLE else words


def translate(demo: gr.Blocks) -> None:
    """Every fixed text of a page that has been laid out."""
    for block in demo.blocks.values():
        for name in PROPERTIES:
            text = getattr(block, name, None)
            if isinstance(text, str) and (name != "value" or isinstance(block, (gr.Button, gr.UploadButton))):
                setattr(block, name, said(text))
            elif isinstance(text, str) and isinstance(block, gr.HTML) and len(TEXT.findall(text)) == 1:
                block.value = TEXT.sub(lambda found: said(found[0]), text)


def script(page_js: str) -> str:
    """The page's script, with the table in it."""
    return page_js.replace("WORDS", json.dumps(TABLE, ensure_ascii=False))
