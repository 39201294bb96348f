"""The state of one running simulator, shared by its handlers."""

import asyncio
import random
from dataclasses import dataclass

from aiohttp import web

from simulator.answers.query import Provider
from simulator.calls import CallLog
from simulator.config import Config
from simulator.faults import FaultInjector
from simulator.market.universe import load_universe


@dataclass(frozen=True, slots=True)
class State:
    """`closing` is set when the simulator ends: whoever waits then gives up."""

    config: Config
    provider: Provider
    calls: CallLog
    faults: FaultInjector
    random: random.Random
    closing: asyncio.Event


STATE = web.AppKey("state", State)


def new_state(config: Config) -> State:
    universe = load_universe(config.seed, config.extra_symbols, config.dead_symbols)
    # latency and faults hold no secret
    source = random.Random(config.seed)  # nosec B311
    return State(
        config=config,
        provider=Provider(universe, config.entitled, config.unknown),
        calls=CallLog(config.limits),
        faults=FaultInjector(source.random),
        random=source,
        closing=asyncio.Event(),
    )
