"""The hot path: write an answer that is ready, ahead of all other middlewares."""

import time

from aiohttp import HttpVersion11, hdrs, web

from api.http import metrics
from api.http.answers import Ready, matches
from api.http.clients import network_of
from api.http.middlewares import Handler
from api.http.refusals import request_id_of
from api.quotes.memory import MEMORY
from api.quotes.reads import READS


@web.middleware
async def answer_hot(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write an answer that is ready, without encoding, store or log line. Any unusual request takes the ordinary path.

    Not rate limited, and without the headers of the limits: serving it is cheaper than refusing it.
    """
    memory = request.app[MEMORY]
    if memory.followed and request.method == "GET" and request.keep_alive and request.version == HttpVersion11:
        now = time.time()
        answer = memory.answers.find(request.raw_path, now)
        if answer is not None and hdrs.ORIGIN not in request.headers and _takes_json(request.headers.get(hdrs.ACCEPT)):
            if answer.symbol:
                request.app[READS].count(answer.symbol, by=network_of(request))
            status = 304 if matches(request.headers.get(hdrs.IF_NONE_MATCH), answer.etag) else 200
            metrics.HOT.count(answer, status)
            return Ready(answer.raw(status, now, request_id_of(request)), status)
    return await handler(request)


def _takes_json(accept: str | None) -> bool:
    """Whether `Accept` is one of the usual values that allow JSON; `negotiate` reads all others on the ordinary path."""
    return accept is None or accept in ("*/*", "application/json") or accept.startswith("application/json, ")
