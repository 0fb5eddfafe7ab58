"""The endpoints as tools for assistants (MCP), over a real client."""

import asyncio

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import app
from panda_core.popular import popular
from panda_core.recipes import parse_recipe
from ui.server.events import BUDGETS

RECIPE = '{"v": 2, "generator": "portraits", "seed": 7}'
TOOLS = {"generate", "named", "edit", "saliency", "rank", "fit", "invert"}


@pytest.fixture
def ask(url):
    """ask(what) -> what(session) of an assistant that has just come."""

    def ask(what, **headers):
        async def run():
            client = streamablehttp_client(f"{url}gradio_api/mcp/", headers=headers)
            async with client as (receive, send, _), ClientSession(receive, send) as session:
                await session.initialize()
                return await what(session)

        return asyncio.run(run())

    return ask


def test_every_endpoint_is_a_tool_with_a_clean_name_and_words(ask):
    tools = ask(lambda session: session.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    assert all(len(tool.description) > 100 for tool in tools)


@pytest.fixture
def names() -> list[str]:
    """Of the popular changes of the bundled generator."""
    return [change.name for change in popular(app.renderer.catalogue, "portraits")]


def test_an_assistant_makes_a_popular_change(ask, names):
    made = ask(lambda session: session.call_tool("named", {"recipe": RECIPE, "name": names[0]}))
    assert not made.isError
    texts = "".join(block.text for block in made.content if block.type == "text")
    recipe = parse_recipe(texts[texts.index('{"v') : texts.rindex("}") + 1])
    assert recipe.edits == tuple(c.edit for c in popular(app.renderer.catalogue, "portraits") if c.name == names[0])


def test_a_wrong_name_is_answered_with_the_names(ask, names):
    made = ask(lambda session: session.call_tool("named", {"recipe": RECIPE, "name": "fly away"}))
    assert made.isError and names[0] in made.content[0].text and "Traceback" not in made.content[0].text


def test_what_an_assistant_asks_for_counts_for_who_sent_it(ask):
    """The server asks itself; the one who asked first must not pass for this machine, which has no limits."""
    before = len(BUDGETS)
    ask(lambda session: session.call_tool("generate", {"recipe": RECIPE}), **{"x-forwarded-for": "9.1.2.3"})
    assert len(BUDGETS) == before + 1


@pytest.mark.parametrize("told", [(), ((b"x-forwarded-for", b"127.0.0.1"),)])
def test_a_direct_peer_is_told_on(told):
    from ui.server.limits import Budgets, Limits

    seen = []

    async def page(scope, receive, send):
        seen.extend(value for name, value in scope["headers"] if name == b"x-forwarded-for")

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/mcp/", "client": ("9.9.9.9", 1)}
    scope["headers"] = [(b"content-length", b"2"), *told]
    asyncio.run(Limits(page, Budgets(), dict)(scope, None, None))
    assert seen[0].endswith(b"9.9.9.9") and len(seen) == 1
