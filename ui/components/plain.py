"""What our own components share: small gr.HTML subclasses whose template, script and style lie next to this file."""

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

    def api_info(self) -> dict:
        return {"type": "object"}
