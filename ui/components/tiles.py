"""A group of picture buttons."""

from .plain import Plain, read


class Tiles(Plain):
    """value: {"items": [{"image", "label", "on"}], "note", "of"}. Event choose (index, of, seed)."""

    def __init__(self, value=None, *, group: str, **more):
        self.group = group  # gradio reads every argument back when it describes the component to the page
        template = f'<div class="tiles" role="toolbar" aria-label="{group}"></div>'
        super().__init__(value, html_template=template, js_on_load=read("tiles.js"), **more)
