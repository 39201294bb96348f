"""An answer as an HTTP response: JSON or a CSV download."""

import json

from aiohttp import web

from simulator.answers.answer import Answer, Table


def to_response(answer: Answer) -> web.Response:
    if isinstance(answer.body, Table):
        headers = {"Content-Disposition": f"attachment; filename={answer.body.name}.csv"}
        text = answer.body.to_csv()
        return web.Response(body=text.encode(), content_type="application/x-download", headers=headers)
    return json_response(answer.body, status=answer.status)


def json_response(body: object, *, status: int = 200) -> web.Response:
    """JSON as Alpha Vantage prints it, indented by 4 spaces."""
    text = json.dumps(body, indent=4, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json")
