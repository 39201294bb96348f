"""`api/http/connections.py` uses private names of aiohttp. An update of aiohttp that drops one fails here, by name."""

import asyncio
import inspect

import pytest
from aiohttp import web, web_protocol, web_response, web_server, web_urldispatcher

from api.http.answers import SERVER
from api.http.connections import Connection, patch_aiohttp
from api.http.expectations import check_expectation


@pytest.mark.parametrize(
    "name",
    [
        "_current_request",
        "_lingering_time",
        "_loop",
        "_messages",
        "_request_count",
        "_upgraded",
        "_waiter",
        "max_field_size",
    ],
)
async def test_a_connection_has_the_private_names_that_ours_reads(name: str) -> None:
    manager = web.Server(_nothing, loop=asyncio.get_running_loop())

    assert hasattr(web_protocol.RequestHandler(manager, loop=asyncio.get_running_loop()), name)


@pytest.mark.parametrize(
    "name", ["connection_made", "connection_lost", "data_received", "finish_response", "log_exception", "handle_error"]
)
def test_aiohttp_has_the_methods_that_ours_overrides(name: str) -> None:
    assert callable(getattr(web_protocol.RequestHandler, name))


def test_the_module_names_still_exist() -> None:
    assert hasattr(web_protocol, "_ErrInfo")
    assert hasattr(web_protocol, "ERROR")
    assert "_message" in inspect.getsource(web.BaseRequest.__init__)


def test_aiohttp_looks_up_what_we_replace_when_it_serves() -> None:
    assert "RequestHandler" in web_server.Server.__call__.__code__.co_names
    assert "SERVER_SOFTWARE" in web_response.StreamResponse._prepare_headers.__code__.co_names
    assert "_default_expect_handler" in web_urldispatcher.AbstractRoute.__init__.__code__.co_names


def test_the_patch_replaces_them() -> None:
    patch_aiohttp()

    assert web_server.RequestHandler is Connection  # type: ignore[attr-defined]
    assert web_response.SERVER_SOFTWARE == SERVER  # type: ignore[attr-defined]
    assert web_urldispatcher._default_expect_handler is check_expectation


async def _nothing(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()
