"""The references of bench-read: a bare aiohttp handler that returns the same bytes, and the endpoint written the usual way.

Run as `python -m bench.usual bare|fastapi PORT`; REDIS_URL and BENCH_BODY come from the environment.
"""

import os
import sys

import uvloop
from aiohttp import web

BODY = os.environ.get("BENCH_BODY", "{}").encode()


def run_bare(port: int) -> None:
    """aiohttp on uvloop, one handler, nothing else."""

    async def stock(_: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/stock/{symbol}", stock)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def run_fastapi(port: int) -> None:
    """FastAPI under uvicorn, one Redis GET a request and a model validated on the way out."""
    import fastapi
    import pydantic
    import redis.asyncio
    import uvicorn

    class Quote(pydantic.BaseModel):
        symbol: str
        price: float
        change: float | None
        change_percent: str | None
        volume: int | None
        timestamp: str
        fetched_at: str
        stale: bool
        source: str

    app = fastapi.FastAPI()
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])

    @app.get("/api/stock/{symbol}")
    async def stock(symbol: str) -> Quote:
        body = await client.get(f"usual:{symbol.upper()}")
        if body is None:
            raise fastapi.HTTPException(404)
        return Quote.model_validate_json(body)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    {"bare": run_bare, "fastapi": run_fastapi}[sys.argv[1]](int(sys.argv[2]))
