"""Small pieces of HTML that every tab is made of."""

import html

import gradio as gr

from ..languages import TABLE, said


def heading(text: str) -> str:
    """What stands before a colon is said in the visitor's language."""
    words, colon, about = text.partition(": ")
    words = said(words) if words in TABLE else html.escape(words)
    return f'<div class="heading" role="heading" aria-level="2">{words}{colon}{html.escape(about)}</div>'


def sentence(text: str) -> str:
    return f'<p role="status">{html.escape(text)}</p>'


def hint(text: str) -> gr.HTML:
    """What a tab is for."""
    return gr.HTML(f"<p>{html.escape(text)}</p>", elem_classes="hint")


def figure(source: str, caption: str) -> str:
    """A picture with words under it. caption: plain text."""
    words = html.escape(caption)
    return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def pair(shown: dict[str, str]) -> str:
    """Two pictures side by side; caption -> source."""
    return f'<div class="pair">{"".join(figure(source, caption) for caption, source in shown.items())}</div>'
