"""What a run costs the API's processes: memory, file handles, time on the cores."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import psutil


@dataclass(slots=True)
class Watch:
    """Memory and file handles of the API's processes, and what each step took of the cores, looked at twice a second."""

    processes: Sequence[psutil.Process]
    rss: list[float] = field(default_factory=list)  # MiB, of all together
    files: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> float:
        """Resident memory at present, in MiB."""
        self.rss.append(sum(process.memory_info().rss for process in self.processes) / 2**20)
        self.files = max(self.files, *(process.num_fds() for process in self.processes))
        return self.rss[-1]

    def cpu(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def settled(self) -> float:
        """The memory of a calm moment: the median of the last ten looks."""
        return median(self.rss[-10:])

    @contextmanager
    def looking(self) -> Iterator[None]:
        def look_on() -> None:
            while not self.over.wait(0.5):
                self.look()

        thread = threading.Thread(target=look_on)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()
