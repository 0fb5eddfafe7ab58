"""A slider that says in a sentence what is wrong with a number typed beside it."""

import gradio as gr


class Slider(gr.Slider):
    """What is out of range is refused by who uses it, not by gradio, which gives no sentence."""

    is_template = True

    def preprocess(self, payload):
        return payload
