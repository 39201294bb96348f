"""schemathesis against a running process: whatever is sent, the answer is one that the document names, and none is 500."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Client, User

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# All of its checks, but for these:
EXCEPTIONS = """
[checks.not_a_server_error]  # 503 is an outcome that the document names, with its codes and Retry-After
expected-statuses = ["2xx", "3xx", "4xx", "503"]

[checks.negative_data_rejection]  # what is wrong may be too large besides
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]

[[operations]]  # which characters are letters (of any script) is not for a pattern that every JSON Schema tool reads alike
include-path = "/api/search/{query}"
checks.positive_data_acceptance.enabled = false

[[operations]]  # no schema compares two parameters: `from` has to be before `to`
include-path = "/api/stock/{symbol}/history"
checks.positive_data_acceptance.enabled = false

[[operations]]  # which symbols are on the list, each once, is not for a schema
include-path = "/api/watchlist"
include-method = "PUT"
checks.positive_data_acceptance.enabled = false

[[operations]]  # that one of two fields is given is checked here, for msgspec's schemas cannot say it
include-path = "/api/auth/forgot"
checks.positive_data_acceptance.enabled = false

[[operations]]  # no schema knows which times are to come
include-path = "/api/auth/keys"
include-method = "POST"
checks.positive_data_acceptance.enabled = false

[[operations]]  # DELETE would remove a symbol that is spelt so
include-path = "/api/watchlist/export"
checks.allow_header_conformance.enabled = false

[[operations]]  # a guessed id may be that of the login whose token is sent: all that follows would be 401. test_sessions.py has it
include-path = "/api/auth/sessions/{session}"
enabled = false

[[operations]]  # it does not end; test_public.py and test_private_stream.py have it, test_contract.py what it refuses
include-path-regex = "/stream$"
enabled = false
"""


@pytest.mark.parametrize(("known", "examples"), [(True, 15), (False, 5)], ids=["with a token", "without"])
async def test_every_answer_to_whatever_is_sent_is_documented(
    api: Client, ada: User, tmp_path: Path, known: bool, examples: int
) -> None:
    (tmp_path / "schemathesis.toml").write_text(EXCEPTIONS)
    arguments = [
        str(api.make_url("/api/openapi.json")),
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={examples}",
        "--generation-deterministic",
        "--request-timeout=60",  # a busy machine may take longer than ten
        "--continue-on-failure",
        "--warnings=off",
        "--no-color",
        *([f"--header=Authorization: {ada.headers['Authorization']}"] if known else []),
    ]
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, "run", *arguments, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    written, _ = await process.communicate()

    assert 0 == process.returncode, written.decode()
