"""The factors in use to the Hub, as whoever has signed in there: on a Space whose README's header says hf_oauth."""

import html
import os

import gradio as gr

from panda_core import hub
from panda_core.catalogue import Catalogue
from panda_core.hub.publishing import Draft, draft_factors

from . import bundle, view
from .jobs import tell
from .page import QUIET, Page, sentence
from .session import Session

SIGN_IN = "Sign in to Hugging Face"
NOTE = "Public, and made if missing. Signing in opens the page anew; do it in another tab to lose nothing here."


def publish_panel(page: Page) -> None:
    if "OAUTH_CLIENT_ID" not in os.environ:  # gradio's button would ask the Hub who this machine is, or not start
        return
    repo = gr.Textbox(label="Repository on the Hub", info=NOTE, placeholder="your name/name", elem_id="repository")
    with gr.Row(elem_classes="actions", equal_height=True):
        sign_in = gr.LoginButton(SIGN_IN, variant="secondary", size="sm", min_width=130, elem_id="sign-in")
        publish = gr.Button("Publish to the Hub", size="sm", min_width=130, elem_id="publish-factors")
    sign_in.load_event_to_attach = None  # its own would be an endpoint for programs
    gr.on(None, who, None, [sign_in, repo], **QUIET)  # when the page opens
    page.job(publish.click, draft, repo, send=commit)
    page.follow(gr.HTML(elem_id="published"), words)


def who(profile: gr.OAuthProfile | None) -> tuple[str, str]:
    """What the button says, and the repository that is proposed."""
    return (f"Sign out ({profile.username})", f"{profile.username}/panda-factors") if profile else (SIGN_IN, "")


def draft(session: Session, repo: str, report) -> tuple[str, Draft]:
    """(id of the factors in use, what `panda_core publish` would make of their file)."""
    if session.factors_id.startswith(("bundled:", "hub:")):
        raise ValueError("These parts came with the page or from the Hub; learn or name some to publish them.")
    hub.check_name(repo := str(repo or "").strip())
    tell(report, "drawing", 0, 0)
    name = session.recipe.generator  # a stranger's file may name another one, which would be downloaded
    factors = view.renderer.catalogue.factors(name, session.factors_id, report).with_info(generator=name)
    return session.factors_id, draft_factors(factors, bundle.packed(factors), repo, Catalogue(), report)


def commit(made: tuple[str, Draft], token: str, report) -> tuple[str, str, str]:
    """(id of the factors, repository, path there), once they are there."""
    factors_id, drafted = made
    return factors_id, drafted.repo, drafted.publish(token, report)


def words(session: Session) -> str:
    """Where the factors in use were published; nothing if they were not."""
    factors_id, repo, path = session.made(draft) or ("", "", "")
    if factors_id != session.factors_id:
        return ""
    link = f'<a href="{html.escape(f"{hub.address(repo)}/blob/main/{path}")}" target="_blank">{html.escape(repo)}</a>'
    known = view.renderer.catalogue.may_open(session.recipe.generator, repo)
    named = f" Recipes here can name them <code>hub:{html.escape(f'{repo}@main/{path}')}</code>." if known else ""
    return sentence(f"Published in {link}; its card says how they are opened.{named}")
