"""What one running simulator holds, shared by its handlers."""

import asyncio
import random
from dataclasses import dataclass

from aiohttp import web

from simulator.calls import CallLog
from simulator.config import Config
from simulator.faults import FaultBox
from simulator.query import Provider
from simulator.universe import load_universe


@dataclass(frozen=True, slots=True)
class Desk:
    """`closing` is set when the simulator ends: whoever waits then gives up."""

    config: Config
    provider: Provider
    calls: CallLog
    faults: FaultBox
    chance: random.Random
    closing: asyncio.Event


DESK = web.AppKey("desk", Desk)


def open_desk(config: Config) -> Desk:
    universe = load_universe(config.seed, config.extra_symbols, config.dead_symbols)
    # latency and faults hold no secret
    chance = random.Random(config.seed)  # nosec B311
    return Desk(
        config=config,
        provider=Provider(universe, config.entitled, config.unknown),
        calls=CallLog(config.limits),
        faults=FaultBox(chance.random),
        chance=chance,
        closing=asyncio.Event(),
    )
