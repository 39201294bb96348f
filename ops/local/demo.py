"""The demo of `make run`: a user with a watchlist, and one line with the addresses once the first quote is served, or why none is.

Development only. It talks to the API as a frontend does, but for the user, which goes to the database: its password is too short to
register.
"""

import asyncio
import os
import sys

import aiohttp

from common.errors import EmailTaken, UsernameTaken
from common.operations.status import report_status
from common.passwords import SCHEME, Passwords
from common.process.resources import open_resources
from common.process.settings import Settings
from common.store.accounts.users import insert_user
from common.store.connection.pool import open_pool, transaction

USERNAME, EMAIL, PASSWORD = "demo", "demo@robinhoodclone.com", "demo123"  # everybody may know it
WATCHLIST = ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX", "SPY", "BRK-B")
POLL_INTERVAL = 0.3  # seconds
QUOTE_TIMEOUT = 15.0  # seconds for the first quote
REASONS = {
    "bad_key": "the provider refuses the key; check ALPHA_VANTAGE_API_KEY, then start again",
    "provider_down": "the provider does not answer; it is tried again by itself",
    "unavailable": "the provider does not answer; it is tried again by itself",
    "unsent": "the provider cannot be reached; it is tried again by itself",
    "day_used_up": "the provider says that the key's calls of the day are used up; it is tried again by itself",
    "throttled_minute": "the provider asks for slower calls; they go on within a minute",
    "retry_after": "the provider named a time before which it takes no call; they go on by themselves",
    "throttled_second": "the provider asks for slower calls; they go on within a minute",
    "operator": "an operator holds all calls; `quotewell budget release` ends it",
    "clock_jump": "the database's clock jumped, so calls wait until that is over",
}


async def make_user(settings: Settings) -> None:
    """Make the demo account unless it is there."""
    passwords = Passwords(cost=settings.bcrypt_cost)
    pool = await open_pool(settings.database_url, name="quotewell-demo", size=1, statement_timeout=5)
    try:
        async with transaction(pool) as connection:
            await insert_user(connection, USERNAME, EMAIL, await passwords.hash(PASSWORD), SCHEME)
    except (UsernameTaken, EmailTaken):
        pass
    finally:
        passwords.close()
        await pool.close()


async def wait_for_api(http: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with http.get("/api/health") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(POLL_INTERVAL)


async def fill_watchlist(http: aiohttp.ClientSession) -> dict[str, str]:
    """Watch the demo's symbols; those that are watched already stay. The headers of the demo user."""
    async with http.post("/api/auth/login", json={"username": USERNAME, "password": PASSWORD}) as answer:
        token = (await answer.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for symbol in WATCHLIST:
        async with http.post("/api/watchlist", json={"symbol": symbol}, headers=headers) as answer:
            await answer.read()
    return headers


async def ask_for_quote(http: aiohttp.ClientSession, headers: dict[str, str]) -> dict[str, object] | None:
    """The first quote. One request is enough: a second would be no faster, and all users share the budget."""
    path = f"/api/stock/{WATCHLIST[0]}"
    async with http.get(path, params={"wait": f"{QUOTE_TIMEOUT:g}"}, headers=headers) as answer:
        quote: dict[str, object] = await answer.json()
        return quote if answer.status == 200 else None


async def reason(settings: Settings) -> str:
    """Why there is no quote yet, in words."""
    async with open_resources(settings, name="demo", statement_timeout=5) as resources:
        report = await report_status(resources)
    provider, workers = report.provider, report.workers
    if provider.reason in REASONS:
        return REASONS[provider.reason]
    if not workers:
        return "no worker has taken a task yet; its lines above say why"
    return "all calls of the present are used; it comes as soon as the provider's limits allow the next"


async def main() -> None:
    settings = Settings.from_env(os.environ, serves_tokens=True)
    if settings.environment != "development":
        sys.exit("the demo user is for QUOTEWELL_ENV=development")
    await make_user(settings)
    base = f"http://localhost:{settings.port}"
    async with aiohttp.ClientSession(base) as http:
        await wait_for_api(http)
        quote = await ask_for_quote(http, await fill_watchlist(http))
    if quote is None:
        outcome = f"no quote yet: {await reason(settings)}"
    else:
        outcome = f"{base}/api/stock/AAPL ({quote['price']} USD, {quote['source']})"
    print(
        f"Quotewell serves: {outcome}; {base}/api/health; log in as {USERNAME} / {PASSWORD}; Ctrl-C ends",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
