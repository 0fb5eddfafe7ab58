"""Our own components: small gr.HTML subclasses whose template and script lie next to this file."""

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


class Plain(gr.HTML):
    """A component whose value is a JSON object and whose look is its script's business."""

    def __init__(self, value=None, **more):
        super().__init__(value, apply_default_css=False, **more)

    def api_info(self) -> dict:
        return {"type": "object"}


class Slider(gr.Slider):
    """What is typed beside it and out of range is refused in a sentence by who uses it, not by gradio, without one."""

    is_template = True

    def preprocess(self, payload):
        return payload


class Picture(Plain):
    """The picture. value: {"scene": …, "frame": …}, either may be missing. Events pick (part, several), paint (rle)."""

    def __init__(self, value=None, **more):
        super().__init__(value, html_template=read("canvas.html"), js_on_load=read("canvas.js"), **more)


class Tiles(Plain):
    """Picture buttons. value: {"items": [{"image", "label", "on"}], "note", "of"}. Event choose (index, of, seed)."""

    def __init__(self, value=None, *, group: str, **more):
        self.group = group  # gradio reads every argument back when it describes the component to the page
        template = f'<div class="tiles" role="toolbar" aria-label="{group}"></div>'
        super().__init__(value, html_template=template, js_on_load=read("tiles.js"), **more)


class Edits(Plain):
    """The list of edits. value: {"rows": [{"title", "look", "on", "active"}]}. Event act (action, index)."""

    def __init__(self, value=None, **more):
        template = '<ol class="edits" aria-label="Edits"></ol><p>No edits yet.</p>'
        super().__init__(value, html_template=template, js_on_load=read("edits.js"), **more)
