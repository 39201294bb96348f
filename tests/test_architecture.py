"""Which folder may know which: the rules of the architecture, held over the syntax tree. Each rule is shown a text that breaks it."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PURE = ("rapidfuzz",)  # computes, and reads and asks nothing
ROOT = Path(__file__).parents[1]
PROCESSES = ("api", "worker", "scheduler", "ops", "simulator")
PACKAGES = (*PROCESSES, "common", "db")
KNOW_THE_KEY = ("common.process.resources", "common.process.settings", "common.process.entry", "common.provider")
READ_THE_SETTING = ("common.process.settings", "ops.local.run")  # the latter only looks whether the simulator is needed
SPELL_THE_KEY = ("common.provider", "simulator")
MAX_FILES = 16  # a folder, its __init__.py apart
ORDER = (  # a room knows those before it, and itself
    "common.errors",
    "common.core",
    "common.store.connection",
    "common.store.accounts",
    "common.store.budget",
    "common.store.market",
    "common.provider",
    "common.process",
    "common.passwords",
    "common.mail",
    "common.market_calendar",
    "common.calls",
    "common.operations",
    "common.metrics",
    "api.http",
    "api.accounts",
    "api.quotes",
    "api.streams",
    "api.watchlist",
    "api.ops",
)
CORE = (
    "models",
    "limits",
    "symbols",
    "calendar",
    "provider",
    "search",
    "budget",
    "forecast",
    "quotes",
)  # likewise within it
RUNS_SQL = re.compile(r"(execute(many)?|fetch\w*|cursor)$")
BUILT = (ast.JoinedStr, ast.BinOp)
Rule = Callable[[str, ast.Module], Iterator[str]]


def modules() -> dict[str, ast.Module]:
    """Every module that is shipped, by its dotted name."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text()) for path in paths}


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def imports(tree: ast.Module) -> Iterator[str]:
    """All that is imported, at any depth; of `from a import b` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def forbidden(module: str, imported: str) -> bool:
    """The import rules of architecture.md."""
    if imported.startswith("."):  # a relative import hides where it leads
        return True
    if within(module, *PROCESSES):
        return within(imported, *(process for process in PROCESSES if not within(module, process)))
    if within(module, "common") and within(imported, *PROCESSES, "db"):
        return True
    if within(module, "common.core"):
        outside = imported.partition(".")[0]
        standard = outside in sys.stdlib_module_names or outside in PURE
        return not (standard or imported == "common" or within(imported, "common.core", "common.errors"))
    if within(module, "common.store", "common.provider"):
        return within(
            imported, "common.process.settings", "common.process.resources", "aiohttp.web", "aiohttp.web_request"
        )
    return False


def later(module: str, imported: str, order: tuple[str, ...]) -> bool:
    """Whether the import leads to a room that stands after the module's own."""
    ours, theirs = (
        next((at for at, room in enumerate(order) if within(name, room)), None) for name in (module, imported)
    )
    return ours is not None and theirs is not None and ours < theirs


def rooms_in_order(module: str, tree: ast.Module) -> Iterator[str]:
    """No room knows one that stands after it, so none can know each other."""
    core = tuple(f"common.core.{room}" for room in CORE)
    yield from (f"imports {name}" for name in imports(tree) if later(module, name, ORDER) or later(module, name, core))


def no_forbidden_import(module: str, tree: ast.Module) -> Iterator[str]:
    yield from (f"imports {imported}" for imported in imports(tree) if forbidden(module, imported))


def no_clock_in_the_core(module: str, tree: ast.Module) -> Iterator[str]:
    """Pure: no await, no clock, no environment."""
    if not within(module, "common.core"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"awaits in line {node.lineno}"
        if isinstance(node, ast.Attribute) and node.attr in (
            "now",
            "utcnow",
            "today",
            "monotonic",
            "environ",
            "getenv",
        ):
            yield f"calls {node.attr} in line {node.lineno}"


def no_key_elsewhere(module: str, tree: ast.Module) -> Iterator[str]:
    """Who touches the setting, who reads its variable, who spells the parameter, who reads what the provider holds."""
    owners = {
        "provider_key": KNOW_THE_KEY,
        "ALPHA_VANTAGE_API_KEY": READ_THE_SETTING,
        "apikey": SPELL_THE_KEY,
        "provider.key": ("common.provider",),
    }
    for node in ast.walk(tree):
        for name in names_of(node):
            if name in owners and not within(module, *owners[name]):
                yield f"knows {name}"


def names_of(node: ast.AST) -> Iterator[str]:
    """What a node calls by name: attributes with and without their owner, keyword arguments, strings."""
    if isinstance(node, ast.Attribute):
        yield from (node.attr, f"{ast.unparse(node.value).rpartition('.')[2]}.{node.attr}")
    if isinstance(node, ast.keyword) and node.arg:
        yield node.arg
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def docstring(module: str, tree: ast.Module) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield "has no docstring"


def short_functions(module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > 50:
                yield f"{node.name} has {length} lines, expected at most 50"


def short_modules(module: str, tree: ast.Module) -> Iterator[str]:
    length = max((getattr(node, "end_lineno", 0) or 0 for node in ast.walk(tree)), default=0)
    if length > 250:
        yield f"has {length} lines, expected at most 250"


def constant_statements(module: str, tree: ast.Module) -> Iterator[str]:
    """SQL is never put together: no f-string, no % and no + as a statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and RUNS_SQL.match(node.func.attr):
            statement = node.args[0] if node.args else None
            yield from [f"puts a statement together in line {node.lineno}"] * isinstance(statement, BUILT)


RULES: tuple[Rule, ...] = (
    no_forbidden_import,
    rooms_in_order,
    no_clock_in_the_core,
    no_key_elsewhere,
    docstring,
    short_functions,
    short_modules,
    constant_statements,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    assert [] == [f"{module} {breach}" for module, tree in modules().items() for breach in rule(module, tree)]


def test_no_folder_is_crowded() -> None:
    folders = Counter(name.rpartition(".")[0] for name in modules() if not name.endswith("__init__"))

    assert {} == {folder: files for folder, files in folders.items() if files > MAX_FILES}


def test_every_room_has_its_place_in_the_order() -> None:
    """The top level of api puts everything together, and is known by nobody."""
    rooms = {name for name in modules() if within(name, "common", "api.http", "api.quotes")} - {
        "common.__init__",
        "common.store.__init__",
    }

    assert [] == sorted(room for room in rooms if not within(room, *ORDER))


def test_every_process_and_room_is_looked_at() -> None:
    names = modules()

    assert all(any(within(name, package) for name in names) for package in PACKAGES)
    assert {"common.core.provider.alpha_vantage", "common.store.budget.ledger", "common.provider", "api.app"} <= set(
        names
    )


DOC = '"""Doc."""\n'
LONG = "def long():\n" + "    x = 1\n" * 50


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [
        (no_forbidden_import, "api.app", "import worker.jobs"),
        (no_forbidden_import, "api.app", "from simulator import app"),
        (no_forbidden_import, "worker.jobs", "def late():\n    from api.app import create_app"),
        (no_forbidden_import, "simulator.app", "from ops.local import run"),
        (no_forbidden_import, "scheduler.app", "import worker"),
        (no_forbidden_import, "ops.local.run", "import scheduler.app as beat"),
        (no_forbidden_import, "common.calls.work", "from api import app"),
        (no_forbidden_import, "common.calls.work", "from db.migrate import migrate"),
        (no_forbidden_import, "common.calls.work", "from . import provider"),
        (no_forbidden_import, "common.core.limits", "import aiohttp"),
        (no_forbidden_import, "common.core.limits", "from common import provider"),
        (no_forbidden_import, "common.core.limits", "from common.process.settings import Settings"),
        (no_forbidden_import, "common.store.budget.ledger", "from common.process.settings import Settings"),
        (no_forbidden_import, "common.store.budget.ledger", "from aiohttp import web"),
        (no_forbidden_import, "common.provider", "from common.process import settings"),
        (rooms_in_order, "common.store.market.quotes", "from common.calls import work"),
        (rooms_in_order, "common.core.budget.policy", "from common.core.quotes.outlook import Outlook"),
        (rooms_in_order, "api.http.middlewares", "from api.accounts.requesters import verify"),
        (no_clock_in_the_core, "common.core.limits", "async def f(): ..."),
        (no_clock_in_the_core, "common.core.limits", "now = datetime.now(UTC)"),
        (no_clock_in_the_core, "common.core.limits", "start = time.monotonic()"),
        (no_clock_in_the_core, "common.core.limits", "home = os.environ['HOME']"),
        (no_key_elsewhere, "api.app", "key = settings.provider_key"),
        (no_key_elsewhere, "worker.jobs", "replace(settings, provider_key='x')"),
        (no_key_elsewhere, "api.app", "params = {'apikey': 'x'}"),
        (no_key_elsewhere, "common.process.resources", "env['ALPHA_VANTAGE_API_KEY']"),
        (no_key_elsewhere, "common.calls.work", "log.info('x', key=resources.provider.key)"),
        (docstring, "api.app", "x = 1"),
        (short_functions, "api.app", LONG),
        (short_functions, "api.app", "async " + LONG),
        (short_functions, "api.app", "class C:\n" + "".join(f"    {line}\n" for line in LONG.splitlines())),
        (short_modules, "api.app", "x = 1\n" * 251),
        (constant_statements, "api.app", "await db.execute(f'DELETE FROM {table}')"),
        (constant_statements, "api.app", "await db.fetchrow('SELECT ' + column)"),
        (constant_statements, "api.app", "await db.fetchval('SELECT %s' % column)"),
        (constant_statements, "api.app", "cursor.executemany(f'INSERT {x}', rows)"),
    ],
)
def test_a_text_that_breaks_the_rule_is_found(rule: Rule, module: str, text: str) -> None:
    assert list(rule(module, ast.parse(text)))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "api.app",
            "from aiohttp import web\nfrom common.process.settings import Settings\nfrom api.streams import tail",
        ),
        ("simulator.app", "from common.core.limits import Rule"),
        ("common.core.limits", "import re\nfrom datetime import timedelta\nfrom common.errors import InvalidSettings"),
        ("common.core.limits", "def f(now): return now.timestamp()"),
        ("common.core.search.spelling", "from rapidfuzz.distance import OSA"),
        ("common.store.budget.ledger", "import asyncpg\nfrom common.core.limits import Rule"),
        ("common.provider", "import aiohttp\nkey = provider.key\nparams = {'apikey': key}"),
        ("common.process.resources", "Provider(settings.provider_key)"),
        ("api.app", "def f(row): return row.key"),
        ("api.app", "await db.execute('SELECT 1', f'%{text}%')"),
        ("api.app", LONG.replace("    x = 1\n", "", 1)),
        ("api.app", "x = 1\n" * 249),
    ],
)
def test_a_text_that_keeps_the_rules_is_let_through(module: str, text: str) -> None:
    tree = ast.parse(DOC + text)

    assert [] == [breach for rule in RULES for breach in rule(module, tree)]
