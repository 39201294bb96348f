"""Two published clients of Alpha Vantage, of which nothing is changed but the host: `alpha_vantage` 3.0 and `avantage` 0.1.

They meet the limits of a fresh simulator. Its clock is the test's: twelve seconds pass before each call unless a scene says otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest
import requests
from aiohttp import web
from alpha_vantage.alphaintelligence import AlphaIntelligence
from alpha_vantage.alphavantage import AlphaVantage
from alpha_vantage.async_support.timeseries import TimeSeries as AsyncTimeSeries
from alpha_vantage.fundamentaldata import FundamentalData
from alpha_vantage.timeseries import TimeSeries
from avantage import AlphaVantageClient
from avantage.exceptions import APIResponseError, AuthenticationError, RateLimitError, UpstreamError

from common.core.limits import parse_limits
from simulator.app import create_app
from simulator.config import Config
from simulator.market.bars import Bar
from simulator.market.prices import bars_at, quote_at
from simulator.market.universe import load_universe

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
PACE = 12.0  # seconds: five calls a minute
WALK = load_universe(seed=1)["IBM"].walk


@dataclass
class Scene:
    """A simulator on a socket and its clock, in seconds since START."""

    url: str = ""
    clock: float = 0.0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock)

    async def call(self, method: Callable[..., Any], *args: Any, after: float = PACE, **kwargs: Any) -> Any:
        """A client's method, once `after` seconds have passed. One that blocks has a thread of its own."""
        self.clock += after
        given = await asyncio.to_thread(method, *args, **kwargs)
        return await given if isinstance(given, Awaitable) else given

    async def journal(self) -> list[str]:
        """The outcome of each call that came."""
        return [call["outcome"] for call in (await self._request("GET", "/_calls"))["calls"]]

    async def set_fault(self, **fault: object) -> None:
        await self._request("PUT", "/_fault", json=fault)

    async def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, **kwargs) as response:
            assert 200 == response.status
            return await response.json()


async def served(scene: Scene, monkeypatch: pytest.MonkeyPatch, config: Config) -> AsyncIterator[Scene]:
    app = create_app(replace(config, now=lambda: scene.now, monotonic=lambda: scene.clock))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    scene.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setattr(AlphaVantage, "_ALPHA_VANTAGE_API_URL", f"{scene.url}/query?")
    yield scene
    await runner.cleanup()


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async for served_scene in served(Scene(), monkeypatch, Config()):
        yield served_scene


@pytest.fixture
async def unlimited(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """For what a client does when it tries again at once: the limits would hide it."""
    async for served_scene in served(Scene(), monkeypatch, Config(limits=parse_limits("100/1s", "limits"))):
        yield served_scene


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[AlphaVantageClient]:
    async with AlphaVantageClient("KEY", base_url=f"{scene.url}/query") as opened:
        yield opened


def floats(bar: Bar) -> list[float]:
    return [float(bar.open), float(bar.high), float(bar.low), float(bar.close), float(bar.volume)]


# alpha_vantage


async def test_alpha_vantage_gets_a_quote(scene: Scene) -> None:
    data, meta = await scene.call(TimeSeries("KEY").get_quote_endpoint, "IBM")
    table, _ = await scene.call(TimeSeries("KEY", output_format="pandas").get_quote_endpoint, "IBM")
    rows, _ = await scene.call(TimeSeries("KEY", output_format="csv").get_quote_endpoint, "IBM")
    head, row = list(rows)

    assert (None, "IBM", 10) == (meta, data["01. symbol"], len(data))
    assert "2026-11-20" == data["07. latest trading day"] == table["07. latest trading day"].iloc[0]
    assert str(quote_at(WALK, scene.now).bar.close) == row[head.index("price")]
    assert ["ok"] * 3 == await scene.journal()


async def test_alpha_vantage_searches(scene: Scene) -> None:
    table, _ = await scene.call(TimeSeries("KEY").get_symbol_search, "international")
    rows, _ = await scene.call(TimeSeries("KEY", output_format="csv").get_symbol_search, "international")
    head, *found = list(rows)

    assert "IBM" in list(table["1. symbol"])
    assert ("symbol", "matchScore") == (head[0], head[-1])
    assert list(table["2. name"]) == [row[1] for row in found]


async def test_alpha_vantage_gets_days_in_each_of_its_forms(scene: Scene) -> None:
    data, meta = await scene.call(TimeSeries("KEY").get_daily, "IBM")
    table, _ = await scene.call(TimeSeries("KEY", output_format="pandas").get_daily, "IBM")
    rows, _ = await scene.call(TimeSeries("KEY", output_format="csv").get_daily, "IBM")
    bars = bars_at(WALK, scene.now, 100)
    head, *lines = list(rows)

    assert ("IBM", "Compact", 100) == (meta["2. Symbol"], meta["4. Output Size"], len(data))
    assert ["timestamp", "open", "high", "low", "close", "volume"] == head
    assert [(bar.day.isoformat(), floats(bar)) for bar in bars] == [
        (line[0], [*map(float, line[1:])]) for line in lines
    ]
    assert [floats(bar) for bar in bars[1:]] == table.iloc[1:].to_numpy().tolist()
    assert bars[0].day.isoformat() == str(table.index[0].date())


@pytest.mark.parametrize(
    ("method", "least", "fields"),
    [("get_weekly", 100, 5), ("get_monthly", 22, 5), ("get_weekly_adjusted", 100, 7), ("get_monthly_adjusted", 22, 7)],
)
async def test_alpha_vantage_gets_weeks_and_months(scene: Scene, method: str, least: int, fields: int) -> None:
    data, meta = await scene.call(getattr(TimeSeries("KEY"), method), "IBM")
    table, _ = await scene.call(getattr(TimeSeries("KEY", output_format="pandas"), method), "IBM")
    rows, _ = await scene.call(getattr(TimeSeries("KEY", output_format="csv"), method), "IBM")

    assert "2026-11-20" == meta["3. Last Refreshed"] == next(iter(data))
    assert len(data) >= least
    assert (len(data), fields) == table.shape
    assert len(data) + 1 == len(list(rows))


async def test_alpha_vantage_gets_what_else_a_free_key_may_call(scene: Scene) -> None:
    overview, _ = await scene.call(FundamentalData("KEY").get_company_overview, "IBM")
    dividends, symbol = await scene.call(FundamentalData("KEY").get_dividends, "IBM")
    gainers, _ = await scene.call(AlphaIntelligence("KEY").get_top_gainers)
    losers, _ = await scene.call(AlphaIntelligence("KEY").get_top_losers)
    markets, _ = await scene.call(TimeSeries("KEY").get_market_status)

    assert ("IBM", "Common Stock") == (overview["Symbol"], overview["AssetType"])
    assert ("IBM", 0) == (symbol, len(dividends))
    assert (20, 20, 16) == (len(gainers), len(losers), len(markets))
    assert not {*gainers["ticker"]} & {*losers["ticker"]}
    assert ["ok"] * 5 == await scene.journal()


async def test_alpha_vantage_works_asynchronously_too(scene: Scene) -> None:
    series = AsyncTimeSeries("KEY", proxy=None)
    scene.clock += PACE
    try:
        data, _ = await series.get_quote_endpoint("IBM")
    finally:
        await series.close()

    assert str(quote_at(WALK, scene.now).bar.close) == data["05. price"]


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "words"),
    [
        ("get_intraday", ["IBM"], {}, "This is a premium endpoint"),
        ("get_daily_adjusted", ["IBM"], {}, "This is a premium endpoint"),
        ("get_daily", ["IBM"], {"outputsize": "full"}, "outputsize=full parameter value is a premium feature"),
        ("get_quote_endpoint", ["IBM"], {"entitlement": "realtime"}, "This is a premium endpoint"),
        ("get_daily", ["NOPE"], {}, r"Invalid API call.* for TIME_SERIES_DAILY\.$"),
        ("get_weekly", ["NOPE"], {}, r"Invalid API call.* for TIME_SERIES_WEEKLY\.$"),
    ],
)
async def test_alpha_vantage_raises_a_refusal_in_the_providers_words(
    scene: Scene, method: str, args: list[str], kwargs: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        await scene.call(partial(getattr(TimeSeries("KEY"), method), *args, **kwargs))


async def test_alpha_vantage_shows_an_unknown_symbol_as_an_empty_quote(scene: Scene) -> None:
    assert ({}, None) == await scene.call(TimeSeries("KEY").get_quote_endpoint, "NOPE")


async def test_alpha_vantage_raises_the_refusal_of_a_key(scene: Scene) -> None:
    with pytest.raises(ValueError, match=r"The \*\*demo\*\* API key is for demo purposes only"):
        await scene.call(TimeSeries("demo").get_quote_endpoint, "IBM")
    await scene.set_fault(kind="notice:bad_key")
    with pytest.raises(ValueError, match="the parameter apikey is invalid or missing"):
        await scene.call(TimeSeries("KEY").get_quote_endpoint, "IBM")


async def test_alpha_vantage_raises_a_throttle_until_its_minute_is_over(scene: Scene) -> None:
    series, table = TimeSeries("KEY"), TimeSeries("KEY", output_format="csv")
    for _ in range(5):
        await scene.call(series.get_quote_endpoint, "IBM", after=2)
    with pytest.raises(ValueError, match="Our standard API call frequency is 5 calls per minute"):
        await scene.call(series.get_quote_endpoint, "IBM", after=2)
    lines, _ = await scene.call(table.get_quote_endpoint, "IBM", after=2)
    first = next(lines)
    await scene.call(series.get_quote_endpoint, "IBM", after=60)

    assert ["{"] == first  # it takes the notice for a table
    assert [*["ok"] * 5, *["over_limit:5/1min"] * 2, "ok"] == await scene.journal()


async def test_alpha_vantage_raises_a_throttle_of_a_second(scene: Scene) -> None:
    await scene.call(TimeSeries("KEY").get_quote_endpoint, "IBM")
    with pytest.raises(ValueError, match="1 request per second"):
        await scene.call(TimeSeries("KEY").get_quote_endpoint, "IBM", after=0.5)


@pytest.mark.parametrize("kind", ["http_429", "http_503", "html_200", "truncated"])
async def test_alpha_vantage_looks_at_no_status_and_fails_to_read(scene: Scene, kind: str) -> None:
    await scene.set_fault(kind=kind)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        await scene.call(TimeSeries("KEY").get_quote_endpoint, "IBM")


# avantage


async def test_avantage_gets_a_quote_and_searches(scene: Scene, client: AlphaVantageClient) -> None:
    quote = await scene.call(client.equity.quote, "IBM")
    expected = quote_at(WALK, scene.now)
    matches = await scene.call(client.equity.search, "m&m")

    assert (float(expected.bar.close), "2026-11-20") == (quote.price, quote.latest_trading_day)
    assert (float(expected.previous_close), f"{expected.change_percent}%") == (
        quote.previous_close,
        quote.change_percent,
    )
    assert [("M&M.BSE", "UTC+5.5", "INR")] == [(m.symbol, m.timezone, m.currency) for m in matches]


async def test_avantage_gets_days(scene: Scene, client: AlphaVantageClient) -> None:
    series = await scene.call(client.equity.daily, "IBM")
    bars = bars_at(WALK, scene.now, 100)

    assert "Compact" == series.metadata["Output Size"]
    assert [(bar.day.isoformat(), floats(bar)) for bar in bars] == [
        (e.timestamp, [e.open, e.high, e.low, e.close, float(e.volume)]) for e in series.data
    ]


@pytest.mark.parametrize("period", ["weekly", "monthly"])
async def test_avantage_gets_weeks_and_months(scene: Scene, client: AlphaVantageClient, period: str) -> None:
    plain = await scene.call(getattr(client.equity, period), "IBM")
    adjusted = await scene.call(getattr(client.equity, f"{period}_adjusted"), "IBM")

    assert "2026-11-20" == plain.metadata["Last Refreshed"] == plain.data[0].timestamp
    assert [(e.timestamp, e.volume) for e in plain.data[1:]] == [(e.timestamp, e.volume) for e in adjusted.data[1:]]
    assert {(0.0, True)} == {(e.dividend_amount, e.close == e.adjusted_close) for e in adjusted.data}


async def test_avantage_gets_what_else_a_free_key_may_call(scene: Scene, client: AlphaVantageClient) -> None:
    overview = await scene.call(client.fundamentals.overview, "IBM")
    splits = await scene.call(client.fundamentals.splits, "IBM")
    movers = await scene.call(client.intelligence.top_movers)
    markets = await scene.call(client.equity.market_status)

    assert ("IBM", None) == (overview.symbol, overview.ebitda)
    assert overview.week_52_low < overview.moving_average_50 < overview.week_52_high
    assert ([], 20, 16) == (splits, len(movers.top_gainers), len(markets))
    assert ["ok"] * 4 == await scene.journal()


@pytest.mark.parametrize("state", ["active", "delisted"])
async def test_avantage_reads_no_listing_for_the_provider_has_it_as_csv_only(
    scene: Scene, client: AlphaVantageClient, state: str
) -> None:
    with pytest.raises(APIResponseError, match="Failed to parse JSON"):
        await scene.call(client.fundamentals.listing_status, state=state)

    assert ["ok"] == await scene.journal()


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        ("intraday", ["IBM", "5min"], {}),
        ("daily_adjusted", ["IBM"], {}),
        ("daily", ["IBM"], {"outputsize": "full"}),
        ("weekly", ["IBM"], {"entitlement": "delayed"}),
    ],
)
async def test_avantage_takes_a_premium_notice_for_a_matter_of_the_key(
    scene: Scene, client: AlphaVantageClient, method: str, args: list[str], kwargs: dict[str, str]
) -> None:
    with pytest.raises(AuthenticationError, match="premium"):
        await scene.call(partial(getattr(client.equity, method), *args, **kwargs))


async def test_avantage_takes_the_artificial_sample_for_an_answer(scene: Scene, client: AlphaVantageClient) -> None:
    quotes = await scene.call(client.equity.bulk_quotes, "TSLA")

    assert ["MSFT", "AAPL", "IBM"] == [quote.symbol for quote in quotes]
    assert ["notice:not_entitled"] == await scene.journal()


async def test_avantage_tells_refused_keys_apart(scene: Scene, client: AlphaVantageClient) -> None:
    async with AlphaVantageClient("demo", base_url=f"{scene.url}/query") as demo:
        with pytest.raises(APIResponseError, match="demo"):
            await scene.call(demo.equity.quote, "IBM")
    await scene.set_fault(kind="notice:bad_key")
    with pytest.raises(AuthenticationError, match="apikey is invalid or missing"):
        await scene.call(client.equity.quote, "IBM")


async def test_avantage_fails_on_an_unknown_symbol(scene: Scene, client: AlphaVantageClient) -> None:
    with pytest.raises(KeyError, match="symbol"):
        await scene.call(client.equity.quote, "NOPE")
    with pytest.raises(AuthenticationError, match="Invalid API call"):
        await scene.call(client.equity.daily, "NOPE")


async def test_avantage_raises_a_throttle_until_its_minute_is_over(scene: Scene, client: AlphaVantageClient) -> None:
    for _ in range(5):
        await scene.call(client.equity.quote, "IBM", after=2)
    with pytest.raises(RateLimitError, match="5 calls per minute"):
        await scene.call(client.equity.quote, "IBM", after=2)
    await scene.call(client.equity.quote, "IBM", after=60)
    with pytest.raises(RateLimitError, match="1 request per second"):
        await scene.call(client.equity.quote, "IBM", after=0.5)


@pytest.mark.parametrize("kind", ["http_429", "http_503"])
async def test_avantage_tries_three_times_at_once_whatever_the_status(unlimited: Scene, kind: str) -> None:
    await unlimited.set_fault(kind=kind, retry_after="30")
    address = f"{unlimited.url}/query"
    async with AlphaVantageClient("KEY", base_url=address, retry_base_delay=0.001) as client:  # seconds; 1 by itself
        with pytest.raises(UpstreamError, match=f"HTTP {kind[-3:]}"):
            await unlimited.call(client.equity.quote, "IBM")

    assert [f"fault:{kind}"] * 3 == await unlimited.journal()
