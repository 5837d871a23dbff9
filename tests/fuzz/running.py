"""Many attempts, in processes that may die of them: a crash, a hang and a flood of memory are findings, and the next attempt goes on."""
from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tests.fuzz.attempt import PROCESSOR_SECONDS, Outcome, Report, limit_memory

WALL_SECONDS = 300   # without an answer: not even the processor's clock stopped it
PER_PROCESS = 200    # attempts, after which a fresh one goes on

Attempt = Callable[[int, Report], Outcome]


def work(attempt: Attempt, seeds: list[int], pipe: Connection, trace: str, processor_seconds: float) -> None:
    """What a process does: attempts, one after another, each announced before it begins."""
    limit_memory()
    with open(trace, "w") as file, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        faulthandler.enable(file, all_threads=False)
        faulthandler.register(signal.SIGPROF, file, all_threads=False, chain=True)  # and then it ends the process, as it always does
        for seed in seeds:
            pipe.send(("start", seed))
            signal.setitimer(signal.ITIMER_PROF, processor_seconds)
            outcome = attempt(seed, lambda phase: pipe.send(("phase", phase)))
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send(("done", outcome))


@dataclass
class Worker:
    """A process, and what it is at."""

    attempt: Attempt
    seeds: list[int]
    folder: str
    processor_seconds: float
    process: multiprocessing.Process = field(init=False)
    pipe: Connection = field(init=False)
    current: int | None = None
    phase: str = ""
    deadline: float = 0.0

    def __post_init__(self):
        self.pipe, other = multiprocessing.Pipe(duplex=False)
        self.trace = os.path.join(self.folder, f"trace-{id(self)}")
        self.process = multiprocessing.get_context("fork").Process(target=work, args=(self.attempt, list(self.seeds), other, self.trace, self.processor_seconds))
        self.process.start()
        other.close()
        self.deadline = time.monotonic() + WALL_SECONDS

    def message(self) -> Outcome | None:
        """What the process has to say next, where that is an outcome; EOFError where it is at its end."""
        kind, value = self.pipe.recv()
        self.deadline = time.monotonic() + WALL_SECONDS
        if kind == "start":
            self.current, self.phase = value, ""
            self.seeds.remove(value)
        elif kind == "phase":
            self.phase = value
        else:
            self.current = None
            return value
        return None

    def end(self) -> Outcome | None:
        """The process is over, or is ended: what that says about the attempt it was at."""
        late = time.monotonic() >= self.deadline
        if late or self.current is None:
            self.process.kill()
        self.process.join()
        self.pipe.close()
        trace = Path(self.trace).read_text(errors="replace") if os.path.exists(self.trace) else ""
        with contextlib.suppress(OSError):
            os.remove(self.trace)
        if self.current is None:
            return None
        code = self.process.exitcode or 0
        slow = late or code == -signal.SIGPROF
        if slow and self.phase in ("run", "check C", "build"):
            kind = "slow"  # the model asks for that much, and whoever calls it can see how much that is
        else:
            kind = "hang" if slow else "crash"
        frames = [f"{file}:{function}" for file, function in re.findall(r'/dlcompile/\S*?([\w.]+)", line \d+ in (\w+)', trace)]
        place = " < ".join(list(dict.fromkeys(frames))[:3])
        return Outcome(self.current, kind, f"{'' if slow else signal_name(code)} {place}".strip(), trace[:4000], self.phase)


def signal_name(code: int) -> str:
    """How a process ended."""
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def outcomes(attempt: Attempt, seeds: Iterator[int], workers: int = 1, seconds: float = float("inf"),
             per_process: int = PER_PROCESS, processor_seconds: float = PROCESSOR_SECONDS) -> Iterator[Outcome]:
    """The outcomes of all seeds, or of as many as there is time for, as they come."""
    end = time.monotonic() + seconds
    running: list[Worker] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-runs-") as folder:
        def start(left: list[int]) -> None:
            wanted = [*left, *(seed for _, seed in zip(range(per_process - len(left)), seeds))] if time.monotonic() < end else []
            if wanted:
                running.append(Worker(attempt, wanted, folder, processor_seconds))

        for _ in range(workers):
            start([])
        try:
            while running:
                ready = wait([w.pipe for w in running], timeout=max(min(w.deadline for w in running) - time.monotonic(), 0) + 0.01)
                for worker in list(running):
                    now = time.monotonic()
                    over = now >= worker.deadline or now >= end and worker.current is None
                    if worker.pipe in ready and not over:
                        try:
                            outcome = worker.message()
                        except EOFError:
                            over = True
                        else:
                            if outcome is not None:
                                yield outcome
                    if over:
                        running.remove(worker)
                        last = worker.end()
                        if last is not None:
                            yield last
                        start(worker.seeds)
        finally:
            for worker in running:
                worker.process.kill()
                worker.process.join()


def alone(attempt: Attempt, seed: int = 0) -> Outcome:
    """The outcome of one attempt in a process of its own."""
    return next(outcomes(attempt, iter([seed])))
