"""Images in a storage of our own, by the command `buildah`. It knows no Dockerfile; the machine's other images are not touched."""

import fcntl
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Failed(Exception):
    """A command did not do what the proof needs; its last lines are the message."""


@dataclass(frozen=True, slots=True)
class Buildah:
    """`folder` holds the storage. Its driver is vfs, plain folders, for it works wherever root does."""

    folder: Path

    def run(self, *arguments: str) -> str:
        """What the command prints on standard output; its steps are kept in `buildah.log`."""
        storage = (
            "--storage-driver",
            "vfs",
            "--root",
            str(self.folder / "storage"),
            "--runroot",
            str(self.folder / "run"),
        )
        done = subprocess.run(["buildah", *storage, *arguments], capture_output=True, text=True, check=False)
        with (self.folder / "buildah.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-12:]
            raise Failed("\n".join([f"buildah {arguments[0]} ended with {done.returncode}", *last]))
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        return bool(self.run("images", "--quiet", "--filter", f"reference={image}"))

    def inspect(self, image: str) -> dict[str, Any]:
        """All that is said of an image: its configuration as Docker reads it, and its history."""
        said = json.loads(self.run("inspect", "--type", "image", image))
        return {"config": said["Docker"]["config"], "history": said["OCIv1"]["history"]}

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The image's files as a folder, a copy that is thrown away."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)


@contextmanager
def open_buildah(folder: Path) -> Iterator[Buildah]:
    """The storage, for one at a time: containers that a killed proof left in it are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-use.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another proof uses {folder}") from None
        (folder / "buildah.log").unlink(missing_ok=True)
        buildah = Buildah(folder)
        buildah.run("rm", "--all")
        yield buildah
