"""Where throwaway stores have their files: in memory if there is room, which makes a database in a third of the time."""

import shutil
import tempfile
from pathlib import Path

MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # bytes: a run of all tests takes up to 1 GB


def roomy_folder() -> Path:
    """A folder for folders; its name is short, for sockets are named by it."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if has_room else Path(tempfile.gettempdir())
