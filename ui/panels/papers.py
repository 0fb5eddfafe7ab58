"""The papers' own edits: one appearance at one part, more of it and less, ranked by what they do here (I 3.3)."""

import gradio as gr

from panda_core.effects import SEEN
from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.studio.pictures import leading_part, of_place
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import heading
from ..given import clicked_edit

TRIED, PAIRS, STRENGTH = 24, 6, 3.0  # appearances suggested for a part that are tried; of them shown; units


class PapersPanel(Room):
    def lay_out(self, page: Page) -> None:
        gr.HTML(heading("The papers' appearances here, less and more of each"))
        page.tiles("Appearances", self.tiles, self.choose, about=of_place, elem_id="appearances")

    def found(self, session: Session) -> list[tuple[Edit, str]]:
        """Less and more of the appearances that change most here, pair by pair, strongest first, with what they
        would make of the picture."""
        region = session.region()
        if region is None:
            return []
        factors = self.pictures.factors(session)
        tried = factors.offered(leading_part(factors, region), TRIED)
        pairs = [[self.edit(session, region, j, sign * STRENGTH) for sign in (-1, 1)] for j in tried]
        results = self.pictures.results(session, [edit for pair in pairs for edit in pair], quick=True)
        changes = [max(results[2 * i][1], results[2 * i + 1][1]) for i in range(len(pairs))]
        ranked = sorted((i for i in range(len(pairs)) if changes[i] >= SEEN), key=lambda i: -changes[i])
        return [(pairs[i][side], results[2 * i + side][0]) for i in ranked[:PAIRS] for side in (0, 1)]

    def edit(self, session: Session, region: Region, appearance: int, strength: float) -> Edit:
        return Edit("add", session.layer, session.factors_id, region, appearance=appearance, strength=strength)

    def tiles(self, session: Session) -> dict:
        def words(edit: Edit) -> str:
            return f"{'−' if edit.strength < 0 else '+'} {edit.appearance}"

        return self.pictures.edit_tiles(session, self.found(session), words)

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        edit = clicked_edit(
            evt, "appearance", self.pictures, session, lambda: [edit for edit, _ in self.found(session)]
        )
        return edit and session.toggle(edit)
