"""The pages in a real browser: one Chromium, one API process over real stores and one simulator for each module of tests."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, ConsoleMessage, Page, ViewportSize, async_playwright, expect

from api.app import create_app
from common.core.limits import parse_limits
from common.process.resources import Resources, open_resources
from common.process.settings import Settings
from simulator.app import create_app as create_simulator
from simulator.config import Config
from tests.api.conftest import Client, Provider, close
from tests.harness.database import create_next

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = ViewportSize(width=360, height=740), ViewportSize(width=1280, height=900)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
PATIENCE = 30_000  # milliseconds for what a page is to show


@dataclass(frozen=True, slots=True)
class Site:
    """An API process with its simulator, and the same stores as another process holds them."""

    api: Client
    provider: Provider
    resources: Resources

    def url(self, path: str) -> str:
        return str(self.api.make_url(path))


class OpenPage(Protocol):
    """Opens a page in a browser of its own; keywords are those of a Playwright context."""

    async def __call__(self, path: str, **context: Any) -> Page: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser these tests are skipped, and say so."""
    if CHROMIUM is None:
        for item in items:
            if "open_page" in getattr(item, "fixturenames", ()):
                item.add_marker(
                    pytest.mark.skip(reason="needs chromium, chromium-browser or google-chrome on the PATH")
                )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(store_urls: dict[str, str], request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Its limits are the module's, and so are further settings."""
    async with AsyncExitStack() as stack:
        simulated = create_simulator(Config(limits=parse_limits("100000/1min", "limits")))
        simulator: Client = await stack.enter_async_context(TestClient(TestServer(simulated)))
        provider = Provider(simulator)
        settings = Settings.from_env(
            {
                "QUOTEWELL_ENV": "testing",
                "DATABASE_URL": create_next(store_urls["DATABASE_URL"]),
                "REDIS_URL": store_urls["REDIS_URL"],
                "ALPHA_VANTAGE_BASE_URL": provider.url,
                "PROVIDER_LIMITS": request.module.LIMITS,
                "PROVIDER_TIMEOUT": "2",
                **getattr(request.module, "SETTINGS", {}),
            },
            serves_tokens=True,
        )
        resources = await stack.enter_async_context(open_resources(settings, name="tests", statement_timeout=10))
        await resources.redis.flushall()
        api: Client = TestClient(TestServer(create_app(settings)))
        stack.push_async_callback(close, api)
        await api.start_server()
        yield Site(api, provider, resources)


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser, site: Site) -> AsyncIterator[OpenPage]:
    """Whatever a browser complains of on its console fails the test, a breach of the content's policy above all."""
    complaints: list[str] = []
    async with AsyncExitStack() as stack:

        async def start(path: str, **context: Any) -> Page:
            opened = await browser.new_context(viewport=context.pop("viewport", DESK), **context)
            stack.push_async_callback(opened.close)
            opened.set_default_timeout(PATIENCE)
            expect.set_options(PATIENCE)
            page = await opened.new_page()
            page.on("console", _hear(complaints))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(site.url(path))
            return page

        yield start
    await site.provider.mend()
    assert [] == complaints


def _hear(complaints: list[str]) -> Callable[[ConsoleMessage], None]:
    def hear(message: ConsoleMessage) -> None:
        refused = message.text.startswith(
            "Failed to load resource"
        )  # an answer that is an error: what the page makes of it is tested
        if message.type in ("error", "warning") and not refused:
            complaints.append(message.text)

    return hear


async def barriers(page: Page) -> list[str]:
    """What axe finds against WCAG 2.1 A and AA, and where a page must be pushed sideways: on a phone and a desk, by day and night."""
    found = []
    for viewport, scheme in itertools.product((PHONE, DESK), SCHEMES):
        await page.set_viewport_size(viewport)
        await page.emulate_media(color_scheme=scheme)
        told = (await Axe().run(page, options=RULES)).response["violations"]
        found += [f"{scheme} {each['id']}: {node['html'][:120]}" for each in told for node in each["nodes"]]
        if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"wider than {viewport['width']}")
    return found
