"""Our own components: small gr.HTML subclasses whose template, script and style lie next to this file; and a slider."""

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def style() -> str:
    """The page's CSS: what concerns all of it, then each component's own."""
    return "\n".join(read(path.name) for path in sorted(HERE.glob("*.css"), key=lambda p: (p.stem != "page", p.stem)))


class Plain(gr.HTML):
    """A component whose value is a JSON object and whose look is its script's business."""

    def __init__(self, value=None, **more):
        super().__init__(value, apply_default_css=False, **more)


class EditList(Plain):
    """The list of edits. value: {"rows": [{"title", "size", "on", "active"}]}. Event act (action, index)."""

    def __init__(self, value=None, **more):
        template = '<ol class="edits" aria-label="Edits"></ol><p>No edits yet.</p>'
        super().__init__(value, html_template=template, js_on_load=read("edit_list.js"), **more)


class Picture(Plain):
    """The picture that is edited: hover, click, brush, wipe, difference.

    value: {"scene": …, "frame": …, "shown": [picture, place]}, each may be missing. Events: pick (part, at, several),
    place (parts or where), paint (rle), pulled (from, to, strength).
    """

    def __init__(self, value=None, **more):
        super().__init__(value, html_template=read("picture.html"), js_on_load=read("picture.js"), **more)


class Tiles(Plain):
    """Picture buttons. Event choose (index, of, seed).

    value: {"items": [{"image", "label", "on"}], "note", "of"}, and what they are about; of an item also its title, its
    seed, the picture before, why it is off, and the button that it presses.
    """

    def __init__(self, value=None, *, group: str, **more):
        self.group = group  # gradio reads every argument back when it describes the component to the page
        template = f'<div class="tiles" role="toolbar" aria-label="{group}"></div>'
        super().__init__(value, html_template=template, js_on_load=read("tiles.js"), **more)


class Slider(gr.Slider):
    """A slider whose wrong numbers, typed beside it, are refused by who uses them: gradio gives no sentence."""

    is_template = True

    def preprocess(self, payload):
        return payload
