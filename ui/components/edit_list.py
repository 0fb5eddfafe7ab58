"""The list of edits."""

from .plain import Plain, read


class EditList(Plain):
    """value: {"rows": [{"title", "size", "on", "active"}]}. Event act (action, index)."""

    def __init__(self, value=None, **more):
        template = '<ol class="edits" aria-label="Edits"></ol><p>No edits yet.</p>'
        super().__init__(value, html_template=template, js_on_load=read("edit_list.js"), **more)
