"""A process in the image as a platform runs it: process 1 of its own, no privilege, a root that is read-only, and /tmp in memory.

`crun` does it, the runtime beneath Podman. It knows no service. The network is the machine's own, and there are no cgroups.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from common.process.servers import poll
from deploy.check.buildah import Failed

# In mounts of our own: crun of Debian 12 refuses a machine with both generations of cgroups, even if told to use none.
ALONE = 'umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; exec crun "$@"'
CRUN = ("unshare", "--mount", "sh", "-c", ALONE, "crun", "--cgroup-manager=disabled")
NOSUID = ("nosuid", "nodev", "noexec")
MOUNTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", ()),
    ("/dev", "tmpfs", ("nosuid", "mode=755", "size=65536k")),
    ("/dev/shm", "tmpfs", (*NOSUID, "mode=1777", "size=65536k")),
    ("/tmp", "tmpfs", (*NOSUID, "mode=1777", "size=65536k")),
)


@dataclass(frozen=True, slots=True)
class Image:
    """The mounted files and the configuration. `folder` is for what running it leaves; `binds` are files from outside."""

    root: Path
    config: dict[str, Any]
    folder: Path
    binds: dict[str, str]

    def spec(self, command: list[str], env: dict[str, str]) -> dict[str, Any]:
        """As the runtime wants it; what is not said here comes from the image's own configuration."""
        user, _, group = self.config["User"].partition(":")
        mounts: list[dict[str, Any]] = [
            {"destination": where, "type": kind, "source": kind, "options": [*options]}
            for where, kind, options in MOUNTS
        ]
        mounts += [
            {"destination": inside, "type": "bind", "source": outside, "options": ["bind", "rw"]}
            for inside, outside in self.binds.items()
        ]
        return {
            "ociVersion": "1.0.0",
            "root": {"path": str(self.root), "readonly": True},
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
            "process": {
                "user": {"uid": int(user), "gid": int(group)},
                "cwd": self.config["WorkingDir"],
                "args": command,
                "env": [*self.config["Env"], *(f"{name}={value}" for name, value in env.items())],
                "capabilities": {},
                "noNewPrivileges": True,
            },
        }


class Container:
    """One running command. `stop` sends what the image's STOPSIGNAL says, to process 1 only, as `docker stop` does."""

    def __init__(self, image: Image, name: str, command: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._image = image
        self._pid_file, self._log = image.folder / f"{name}.pid", image.folder / f"{name}.log"
        bundle = image.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(image.spec(command, env)))
        run = (*self._crun, "run", "--bundle", str(bundle), "--pid-file", str(self._pid_file), name)
        with self._log.open("wb") as log:
            self._runtime = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def _crun(self) -> tuple[str, ...]:
        return (*CRUN, "--root", str(self._image.folder / "crun"))

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._runtime.poll() is None

    def family(self) -> list[psutil.Process]:
        """Process 1 and all that came of it, as seen from outside."""
        first = psutil.Process(self._pid())
        return [first, *first.children(recursive=True)]

    def execute(self, command: list[str]) -> int:
        """Run a command beside it, as a health check is; its exit code."""
        done = subprocess.run(
            [*self._crun, "exec", self.name, *command], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        return done.returncode

    def wait(self, seconds: float) -> int:
        """Its exit code when it ends by itself."""
        try:
            return self._runtime.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds:g} s; its last lines:\n{self.log[-2000:]}") from None

    def stop(self) -> tuple[int, float]:
        """Its exit code, and the seconds that it took."""
        begun = time.monotonic()
        os.kill(self._pid(), signal.Signals[self._image.config["StopSignal"]])
        return self.wait(40), time.monotonic() - begun

    def kill(self) -> None:
        """End it whatever it does; with process 1 all of its processes go."""
        if self.running:
            os.kill(self._pid(), signal.SIGKILL)
            self._runtime.wait()

    def _pid(self) -> int:
        def started() -> bool:
            return not self.running or (self._pid_file.exists() and bool(self._pid_file.read_text().strip()))

        if not poll(started, 20) or not self._pid_file.exists():
            raise Failed(f"{self.name} did not start: {self.log[-2000:]}")
        return int(self._pid_file.read_text())
