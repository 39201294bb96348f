"""What `quotewell doctor` says of the key, its limits, the processes and the provider: from settings and journal, never by a call."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping

from common.core.limits import PLANS, Rule
from common.core.provider.outcomes import THROTTLES, Outcome
from common.operations.calls import report_calls
from common.operations.status import StatusReport, report_status
from common.process.resources import Resources
from common.process.settings import Settings
from ops.checks import Check
from ops.status import START_BEAT, START_BOTH, provider_trouble, works
from ops.terminal import span

LATEST = 20  # calls


def check_key(settings: Settings, env: Mapping[str, str]) -> Iterator[Check]:
    """Whether there is one, and whether the limits are those that its plan allows."""
    plan = env.get("ALPHA_VANTAGE_PLAN") or ("standard" if settings.simulated else "free")
    if settings.simulated and settings.environment == "production":
        yield Check(
            "key", "warning", "none, so prices are simulated", "set ALPHA_VANTAGE_API_KEY, and ALPHA_VANTAGE_PLAN"
        )
    elif settings.simulated:
        yield Check("key", "ok", "none, so prices are simulated")
    else:
        yield Check("key", "ok", f"there is one, plan {plan}; not tried, for a try costs a call")
    limits = ",".join(map(str, settings.limits))
    if settings.simulated:
        yield Check("limits", "ok", limits)
    elif looser := [rule for rule in PLANS[plan].limits if allowed(settings.limits, rule) > rule.calls]:
        todo = "unset PROVIDER_LIMITS, or name the plan that was bought in ALPHA_VANTAGE_PLAN"
        yield Check("limits", "warning", f"{limits} allow more than plan {plan}: {','.join(map(str, looser))}", todo)
    else:
        yield Check("limits", "ok", f"{limits}, within plan {plan}")


def allowed(limits: tuple[Rule, ...], rule: Rule) -> float:
    """How many calls limits let through within a rule's period, at most."""
    return min(-(-rule.period // limit.period) * limit.calls for limit in limits)


async def check_processes(resources: Resources) -> AsyncIterator[Check]:
    """Worker, beat, and how the provider answered of late. The database answers."""
    status = await report_status(resources)
    yield check_worker(status)
    yield check_beat(status)
    calls = (await report_calls(resources, most=LATEST)).calls
    yield check_provider(status, Counter(call.outcome or "in_flight" for call in calls))


def check_worker(status: StatusReport) -> Check:
    if not status.workers:
        return Check("worker", "problem", "none was seen in the last minute", START_BOTH)
    told = f"{len(status.workers)} seen, the last {span(min(worker.age_s for worker in status.workers))} ago"
    return Check("worker", "ok", told) if works(status) else Check("worker", "problem", told, START_BOTH)


def check_beat(status: StatusReport) -> Check:
    if status.beat.age_s is None:
        return Check("beat", "problem", "never ticked", START_BEAT)
    told = f"ticked {span(status.beat.age_s)} ago"
    return Check("beat", "ok", told) if status.beat.state == "ok" else Check("beat", "problem", told, START_BEAT)


def check_provider(status: StatusReport, outcomes: Counter[str]) -> Check:
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    told = f"the last {outcomes.total()} calls: {told}" if outcomes else "no call yet"
    if trouble := next(provider_trouble(status.provider), None):
        return Check("provider", "warning" if status.provider.state == "held" else "problem", told, trouble)
    if outcomes[Outcome.BAD_KEY]:
        return Check("provider", "problem", told, "the key is refused; see ALPHA_VANTAGE_API_KEY")
    if any(outcomes[outcome] for outcome in THROTTLES):
        todo = (
            "the provider counts more calls than we do: the plan is smaller than PROVIDER_LIMITS, or others use the key"
        )
        return Check("provider", "warning", told, todo)
    return Check("provider", "ok", told)
