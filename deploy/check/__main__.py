"""`python -m deploy.check`: build the image, look into it, run all of it; one line for each thing that holds. Exits with 1 if one does not.

Needs root and Debian's buildah, debootstrap and crun. The base image is kept in `~/.cache/quotewell`; the built one is thrown away.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.check import contents, questions, registry
from deploy.check.buildah import Buildah, Failed, open_buildah
from deploy.check.commands import MIGRATE
from deploy.check.debian import make_base
from deploy.check.service import Service, open_service

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quotewell"
IMAGE = "localhost/quotewell:check"
REVISION = "as-checked"
TOOLS = ("buildah", "debootstrap", "crun", "unshare")
MIB = 1 << 20


class Report:
    """Says what holds and what does not, and remembers whether all did."""

    def __init__(self) -> None:
        self.wrong = 0

    def check(self, what: str, breaches: Iterable[str]) -> None:
        if found := list(breaches):
            self.wrong += 1
            print(f"WRONG  {what}: " + "; ".join(found[:8]), flush=True)
        else:
            print(f"ok     {what}", flush=True)


def missing() -> Iterator[str]:
    """What this machine lacks for the proof, with the cure."""
    if not sys.platform.startswith("linux"):
        yield "Linux"
    elif os.geteuid() != 0:
        yield "root (mounts and other users' processes)"
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        yield f"{', '.join(lacking)} (apt-get install buildah debootstrap crun util-linux)"


@contextmanager
def built(buildah: Buildah, base: str, settings: registry.Configuration) -> Iterator[dict[str, Any]]:
    """The Dockerfile's image, as IMAGE; what is said of it."""
    with tempfile.TemporaryDirectory(prefix="quotewell-pip-") as folder:
        volumes = [f"--volume={mount}" for mount in registry.mounts(settings, Path(folder) / "pip.conf")]
        arguments = [f"--build-arg=BASE={base}", f"--build-arg=REVISION={REVISION}", f"--tag={IMAGE}"]
        # Docker's format: OCI's has no health check
        how = ["--isolation=chroot", "--format=docker", "--pull-never"]
        buildah.run("build", *how, *arguments, *volumes, str(ROOT))
    try:
        yield buildah.inspect(IMAGE)
    finally:
        buildah.run("rmi", IMAGE)


def look_inside(report: Report, root: Path, base: Path, about: dict[str, Any], traces: list[str]) -> None:
    new = contents.added(root, base)
    megabytes = contents.size(root) / MIB, contents.size(base) / MIB
    print(f"       {megabytes[0]:.0f} MiB, {megabytes[1]:.0f} of them the base; {len(new)} files are ours")
    report.check("adds nothing beside /opt/quotewell and its user", contents.outside_home(new))
    report.check("no compiler, no installer", contents.build_tools(root, new))
    report.check("no embedded stores, no tests, no development packages", contents.not_shipped(root))
    report.check("our wheel holds our packages only", contents.beside_packages(root))
    report.check("nothing can be written to by others than root", contents.writable(root, new))
    report.check("no trace of this machine's registry", contents.told(traces, new, about))
    labels = about["config"]["Labels"]
    revision = labels["org.opencontainers.image.revision"]
    report.check("labels tell the revision", [] if REVISION == revision else [f"{REVISION!r} became {revision!r}"])


def run_all(report: Report, service: Service) -> None:
    report.check("release: migrations are applied", released(service, service.commands["release"], "applied "))
    report.check("quotewell migrate: nothing to apply", released(service, MIGRATE, "nothing to apply"))
    report.check("the root is read-only", questions.read_only(service))
    service.start_all()
    report.check("health, a quote, an account, the page, refreshes by worker and beat", questions.answers(service))
    report.check("the API is reached from outside", questions.reached(service))
    report.check("metrics of all processes", questions.metrics(service))
    report.check("every process is user 10001 without privileges, no zombie", questions.processes(service))
    report.check("the health check tells serving from not serving", questions.health_check(service))
    report.check("no call over the limit", questions.over_limit(service))
    for name, seconds, wrong in questions.ends(service):
        report.check(f"{name} ends in good order on its stop signal, {seconds:.1f} s", wrong)


def released(service: Service, command: list[str], expected: str) -> Iterator[str]:
    container = service.start("release", command)
    code = container.wait(60)
    if code or expected not in container.log:
        yield f"exit code {code}: {container.log[-1500:]}"
    service.running.pop("release")
    shutil.rmtree(service.image.folder / "release")


def main() -> int:
    if lacking := list(missing()):
        print("deploy-check needs " + "; ".join(lacking), file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended all the same
    report, begun = Report(), time.monotonic()
    try:
        prove(report, begun)
    except Failed as failure:
        report.check("the proof goes on to its end", [str(failure)])
    print(f"{'all holds' if not report.wrong else f'{report.wrong} wrong'}, {time.monotonic() - begun:.0f} s")
    return 1 if report.wrong else 0


def prove(report: Report, begun: float) -> None:
    settings = registry.configuration()
    with open_buildah(CACHE / "image") as buildah:
        base = make_base(buildah)
        print(f"ok     a base image of Debian's packages, {time.monotonic() - begun:.0f} s", flush=True)
        with built(buildah, base, settings) as about:
            print(f"ok     the Dockerfile builds, {time.monotonic() - begun:.0f} s", flush=True)
            with buildah.mounted(IMAGE) as root, buildah.mounted(base) as before:
                look_inside(report, root, before, about, registry.traces(settings))
                alone = buildah.inspect(base)["config"]
                report.check("no variable but the four", contents.environment(about["config"], alone))
                with open_service(root, about["config"], (ROOT / "Procfile").read_text()) as service:
                    run_all(report, service)


if __name__ == "__main__":
    sys.exit(main())
