"""`Expect: 100-continue` (RFC 9110, 10.1.1): a client that waits before it sends its body sends it only if a handler will read it."""

from aiohttp import HttpVersion11, hdrs, web

from common.errors import InvalidRequest

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class UnknownExpectation(InvalidRequest):
    """Expect nothing but 100-continue."""

    status = 417


async def check_expectation(request: web.Request) -> None:
    """Refuse any other expectation; aiohttp calls this before the middlewares."""
    if request.version == HttpVersion11 and request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def invite_body(request: web.Request) -> None:
    """Send 100 Continue to a client that waits for it; raise 413 if its body is too large."""
    if (request.content_length or 0) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size)
    if waits(request):
        await request.writer.write(CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun


def waits(request: web.BaseRequest) -> bool:
    """Whether the client may wait for 100 Continue before it sends the rest of its body."""
    return not request.content.is_eof() and request.version == HttpVersion11 and hdrs.EXPECT in request.headers
