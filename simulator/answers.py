"""An answer on its way out: what became of the call and what is sent. It knows JSON and CSV, not what they mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from simulator.notices import notice

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome` is what the journal notes; `body` is an object for JSON or a text for CSV, which is downloaded as `file`."""

    outcome: str
    body: Json | str
    status: int = 200
    file: str = "listing_status"


def refusal(name: str, *, key: str = "", function: str = "") -> Answer:
    return Answer(f"notice:{name}", notice(name, key=key, function=function))


def to_response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        headers = {"Content-Disposition": f"attachment; filename={answer.file}.csv"}
        return web.Response(body=answer.body.encode(), content_type="application/x-download", headers=headers)
    return json_response(answer.body, status=answer.status)


def json_response(body: object, *, status: int = 200) -> web.Response:
    """JSON as Alpha Vantage prints it: 4 spaces."""
    text = json.dumps(body, indent=4, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json")
