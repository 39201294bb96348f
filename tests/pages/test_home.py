"""The page `/` in a browser: quotes that move, a search by keyboard, a chart, and plain words where something is missing."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from api.streams.public import STREAMS
from common.core.quotes.outlook import REASONS
from common.store.market import feed
from tests.api.conftest import a_quote
from tests.pages.conftest import OpenPage, Site, barriers

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = "10000/1min"  # so that one address may ask for many first quotes
OVERVIEW = ["AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def quoted(site: Site) -> None:
    """The overview's first quotes have come; no worker asks for others."""
    answers = await asyncio.gather(*(site.api.get(f"/api/stock/{symbol}?wait=10") for symbol in OVERVIEW))
    assert [200] * 8 == [answer.status for answer in answers]


@pytest_asyncio.fixture(loop_scope="module")
async def home(open_page: OpenPage) -> Page:
    page = await open_page("/")
    await expect(page.locator("#overview tbody tr")).to_have_count(8)
    await expect(page.locator("#link")).to_have_text("Live")
    return page


async def tell(site: Site, symbol: str, price: str, **more: Any) -> None:
    assert await feed.publish(site.resources.redis, a_quote(symbol, price, **more))


async def test_the_overviews_quotes_are_shown_with_their_age_and_where_they_are_from(home: Page) -> None:
    rows = home.locator("#overview tbody tr")

    await expect(rows.locator("a")).to_have_text(OVERVIEW)
    await expect(rows.locator(".big")).to_have_text([re.compile(r"^[\d,]+\.\d\d$")] * 8)
    await expect(rows.locator("td:first-child small")).to_have_text([re.compile(r"^\d+ s(ec)? ago$|^\d+ min ago")] * 8)
    await expect(home.locator("#simulated")).to_have_text("Prices are simulated: no provider key is set.")


async def test_a_new_price_appears_by_itself(home: Page, site: Site) -> None:
    await tell(site, "MSFT", "1234.5")

    row = home.locator("#overview tbody tr", has_text="MSFT")
    await expect(row.locator(".big")).to_have_text("1,234.50")
    await expect(row.locator("td:first-child small")).to_have_text(re.compile(r"^[0-9] s ago$"))


async def test_a_symbol_of_the_overview_is_chosen_by_its_link_and_marked(home: Page) -> None:
    await home.get_by_role("link", name="TSLA").click()

    await expect(home.locator("#chosen")).to_have_text("TSLA")
    await expect(home.locator("#overview [aria-current]")).to_have_text("TSLA")
    await expect(home).to_have_title(re.compile(r"^TSLA [\d.]+ · Quotewell$"))


async def test_a_stream_that_broke_comes_back_and_brings_what_was_missed(home: Page, site: Site) -> None:
    assert site.api.app is not None
    for client in site.api.app[STREAMS].clients:
        client.end()
    await expect(home.locator("#link")).to_have_text("Reconnecting")
    await tell(site, "NVDA", "987.65")

    await expect(home.locator("#link")).to_have_text("Live")
    await expect(home.locator("#overview tbody tr", has_text="NVDA").locator(".big")).to_have_text("987.65")


async def test_a_symbol_is_found_and_shown_by_keyboard_alone(home: Page) -> None:
    await home.keyboard.press("Tab")
    await expect(home.get_by_text("Skip to the search")).to_be_focused()
    await home.keyboard.press("Enter")
    await home.keyboard.type("tesco")
    await expect(home.get_by_role("option")).to_have_count(1)
    await home.keyboard.press("ArrowDown")
    await expect(home.get_by_role("option", selected=True)).to_contain_text("TSCO.LON")
    await home.keyboard.press("Enter")

    await expect(home.locator("#chosen")).to_have_text("TSCO.LON")
    await expect(home.locator("#chosen")).to_be_focused()
    await expect(home.locator("#name")).to_have_text("Tesco plc · United Kingdom · GBX")
    await expect(home.locator("#price")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))
    await expect(home.get_by_role("listbox")).to_be_hidden()


async def test_enter_before_anything_was_found_takes_the_first(home: Page) -> None:
    await home.locator("#query").press_sequentially("pepsi")
    await home.keyboard.press("Enter")

    await expect(home.locator("#chosen")).to_have_text("PEP")


async def test_escape_closes_the_list_and_then_empties_the_box(home: Page) -> None:
    await home.locator("#query").press_sequentially("app")
    await expect(home.get_by_role("option").first).to_be_visible()
    await home.keyboard.press("Escape")
    await expect(home.get_by_role("listbox")).to_be_hidden()
    await expect(home.locator("#query")).to_have_value("app")
    await home.keyboard.press("Escape")

    await expect(home.locator("#query")).to_have_value("")


async def test_what_is_not_found_is_said(home: Page) -> None:
    await home.locator("#query").press_sequentially("zzzyyx")

    await expect(home.locator("#found")).to_have_text("Nothing is found for “zzzyyx”.")


async def test_a_chart_is_drawn_and_told_in_words_and_numbers(home: Page) -> None:
    chart = home.get_by_role(
        "img", name=re.compile(r"^From [\d.,]+ on \d+ \w+ to [\d.,]+ on \d+ \w+ \([+−].*%\); lowest")
    )
    await expect(chart.locator(".path")).to_have_attribute("d", re.compile(r"^M(\S+ \S+L){29}\S+ \S+$"))
    await home.get_by_role("button", name="Candles").click()
    await expect(chart.locator("g")).to_have_count(30)
    await home.get_by_text("The days as a table").click()

    await expect(home.locator("#bars tr")).to_have_count(30)


@pytest.mark.parametrize(("age", "close"), [(3600, "500.00"), (-3600, "11.00")])
async def test_the_newest_day_closes_with_a_newer_quote_alone(
    open_page: OpenPage, site: Site, age: int, close: str
) -> None:
    now = datetime.now(UTC)
    fetched_at = (now - timedelta(seconds=age)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    bar = {"date": now.date().isoformat(), "open": 10, "high": 12, "low": 9, "close": 11, "volume": 7, "partial": True}
    page = await open_page("/")

    async def answer(route: Route) -> None:
        await route.fulfill(json={"symbol": "AMZN", "data": [bar], "source": "simulated", "fetched_at": fetched_at})

    await page.route("**/api/stock/AMZN/chart?*", answer)
    await page.evaluate("location.hash = '#/AMZN'")
    await expect(page.locator("#figure")).to_be_visible()
    await tell(site, "AMZN", "500")
    await expect(page.locator("#price")).to_have_text("500.00")

    await expect(page.locator("#bars td").nth(3)).to_have_text(close)


async def test_a_cold_symbol_is_waited_for_and_then_shown(open_page: OpenPage, site: Site) -> None:
    await site.provider.fault("slow", symbol="ORCL", delay=1.2)
    page = await open_page("/#/ORCL")
    await expect(page.locator("#quote-told")).to_have_text("Asking the provider for ORCL …")

    await expect(page.locator("#price")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))
    await expect(page.locator("#quote-told")).to_have_text("")
    await expect(page.locator("#figure")).to_be_visible()


async def test_a_quote_that_is_pending_is_asked_for_again_when_it_is_told_to(open_page: OpenPage, site: Site) -> None:
    page = await open_page("/")
    refused = [True]

    async def refuse_once(route: Route) -> None:
        if refused:
            refused.clear()
            body = {"error": "the first answer for CRM is on its way", "code": "quote_pending", "request_id": "a"}
            await route.fulfill(status=503, headers={"Retry-After": "1"}, json=body)
        else:
            await route.continue_()

    await page.route("**/api/stock/CRM?*", refuse_once)
    await page.evaluate("location.hash = '#/CRM'")
    await expect(page.locator("#quote-told")).to_have_text(
        "The first answer for CRM is on its way. Asking again in 1 s."
    )

    await expect(page.locator("#price")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))


async def test_a_provider_that_is_broken_is_said_and_asked_again(open_page: OpenPage, site: Site) -> None:
    await site.provider.fault("http_503", symbol="INTC")
    page = await open_page("/#/INTC")

    await expect(page.locator("#quote-told")).to_have_text(
        "The provider does not answer for INTC now. Asking again in 5 s."
    )


async def test_an_unknown_symbol_is_said(open_page: OpenPage) -> None:
    page = await open_page("/#/NOSUCH")

    await expect(page.locator("#quote-told")).to_have_text("The provider does not have NOSUCH.")
    await expect(page.locator("#quote")).to_be_hidden()


async def test_a_quote_past_its_time_says_so_and_why(open_page: OpenPage, site: Site) -> None:
    await tell(site, "IBM", "200", age=600)
    page = await open_page("/#/IBM")

    await expect(page.locator("#age")).to_have_text(re.compile("^Quoted 10 min ago · stale: waiting its turn"))


async def test_an_api_that_is_away_is_said(home: Page) -> None:
    await home.context.set_offline(True)
    await home.evaluate("location.hash = '#/QCOM'")

    await expect(home.locator("#quote-told")).to_have_text("Quotewell cannot be reached. Asking again in 3 s.")
    await home.context.set_offline(False)
    await expect(home.locator("#price")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("budget", "waiting its turn"),
        ("market_closed", "the market is closed"),
        ("provider_behind", "the provider has no newer price yet"),
        ("no_data", "the provider has no data for it now"),
        ("held", "calls are on hold"),
        ("quota_spent", "today’s calls are spent"),
        ("key_refused", "the provider refuses the key"),
        ("provider_down", "the provider does not answer"),
        ("store_down", "the database is away"),
    ],
)
async def test_every_reason_is_a_sentence(open_page: OpenPage, site: Site, reason: str, sentence: str) -> None:
    body = await (await site.api.get("/api/stock/ORCL?wait=10")).json()
    body |= {"stale": True, "fresh_until": body["fetched_at"], "reason": reason, "next_refresh_at": None}
    page = await open_page("/")
    await page.route("**/api/stock/ORCL?*", lambda route: route.fulfill(json=body))
    await page.route("**/api/stream?*", lambda route: route.abort())  # its snapshot would say what is true
    await page.evaluate("location.hash = '#/ORCL'")

    await expect(page.locator("#age")).to_have_text(re.compile(f"stale: {sentence}$"))


async def test_the_sentences_are_those_of_every_reason() -> None:
    [marker] = [mark for mark in test_every_reason_is_a_sentence.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]

    assert set(REASONS) == {reason for reason, _ in marker.args[1]}


async def test_what_comes_from_outside_is_text(home: Page) -> None:
    name = "<img src=x onerror=alert(1)>"
    found = [{"symbol": "XSS", "name": name, "type": "Equity", "region": "US", "currency": "USD"}]
    await home.route("**/api/search/*", lambda route: route.fulfill(json=found))
    await home.locator("#query").press_sequentially("xss")

    await expect(home.get_by_role("option")).to_contain_text(name)
    assert 0 == await home.locator("img").count()


async def test_everybody_can_use_it_on_phone_and_desk_by_day_and_night(home: Page) -> None:
    await expect(home.locator("#figure")).to_be_visible()
    closed = await barriers(home)
    await home.locator("#query").press_sequentially("a")
    await expect(home.get_by_role("option").first).to_be_visible()
    await home.keyboard.press("ArrowDown")

    assert [] == closed
    assert [] == await barriers(home)


async def test_a_closed_instance_is_told_with_what_to_do_and_asked_no_more(open_page: OpenPage, site: Site) -> None:
    asked = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = {
            "error": "expected one header `Authorization: Bearer <token>`",
            "code": "invalid_token",
            "request_id": "a",
        }
        await route.fulfill(status=401, json=body)

    page = await open_page("/api/docs")
    await page.route(re.compile("/api/(market|stock|search|stream)"), refuse)
    await page.goto(site.url("/"))

    await expect(page.locator("#overview-told")).to_have_text(
        re.compile("answers accounts only. Ask whoever runs it for one")
    )
    await expect(page.locator("#link")).to_have_text("For accounts only")
    await page.locator("#query").press_sequentially("app")
    await expect(page.locator("#found")).to_have_text(re.compile("answers accounts only"))
    assert 1 == len([url for url in asked if "overview" in url])
    assert [] == [url for url in asked if "stream" in url]
