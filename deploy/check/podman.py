"""Images and containers by the command `podman`, in a storage of our own: the machine's other images are not touched."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quotewell/podman"
PODMAN = ("podman", f"--root={CACHE}/storage", f"--runroot={CACHE}/run", "--runtime=crun")
NO_TIMERS = {"DISABLE_HC_SYSTEMD": "true"}  # a health check runs when the proof asks for it
# Limits are named because Podman's own need a privilege.
LIKE_A_PLATFORM = (
    "--network=host", "--cgroups=disabled", "--ipc=private", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096",
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777",
    "--cap-drop=all", "--security-opt=no-new-privileges",
)  # fmt: skip

SUITE = "trixie"  # its Python is that of the Dockerfile's own base
BASE = f"localhost/quotewell-base:{SUITE}"
BOOTSTRAP = ("debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", SUITE)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_OUT = (
    "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*",
    "etc/resolv.conf", "etc/hostname",
)  # fmt: skip


def podman(*arguments: str) -> str:
    """What the command prints, on either output."""
    return _run(*PODMAN, *arguments)


def inspect(image: str) -> dict[str, Any]:
    """The image's configuration, size and history."""
    [about] = json.loads(podman("image", "inspect", image))
    return dict(about)


def make_base() -> None:
    """Make BASE of Debian's packages, for the Dockerfile's own base is only in a registry: a Python with venv, and no compiler.

    DEBIAN_MIRROR names another mirror than debootstrap's own.
    """
    mirror = os.environ.get("DEBIAN_MIRROR", "").split()
    with tempfile.TemporaryDirectory(prefix="quotewell-base-") as folder:
        root, archive = f"{folder}/root", f"{folder}/root.tar"
        _run(*BOOTSTRAP, root, *mirror)
        _run("tar", "-cf", archive, "-C", root, *(f"--exclude=./{path}" for path in LEFT_OUT), ".")
        podman("import", f"--change=ENV PATH={PATH}", "--change=CMD /bin/sh", archive, BASE)


def _run(*command: str) -> str:
    env = os.environ | NO_TIMERS
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=env)
    assert 0 == done.returncode, f"{command}\n{done.stdout[-3000:]}"
    return done.stdout.strip()
