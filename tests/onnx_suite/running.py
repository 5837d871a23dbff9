"""Cases run in several processes: one that dies or does not end is a failure, and the rest go on in a new one."""
from __future__ import annotations

import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait

from tests.onnx_suite.backends import Compiled
from tests.onnx_suite.cases import Case


@dataclass(frozen=True)
class Result:
    """failure: "" for a case that passed, else the error. error: the largest seen. seconds: wall time; cpu: of all
    processes it took.
    forms: the kinds of kernels it was computed by."""

    name: str
    kind: str
    failure: str
    error: float
    seconds: float
    cpu: float
    forms: tuple[str, ...] = ()

    def as_dict(self) -> dict:
        return asdict(self)


def run_case(case: Case) -> Result:
    """The result of one case, run here."""
    begin, cpu = time.perf_counter(), _cpu()
    failure = ""
    Compiled.last = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case.run()
    except Exception as error:  # whatever a case fails with is its result
        failure = f"{type(error).__name__}: {error}".strip()[:4000]
    forms = () if Compiled.last is None else tuple(sorted({call.form for call in Compiled.last.info.calls}))
    return Result(case.name, case.kind, failure, case.compared.error, time.perf_counter() - begin, _cpu() - cpu, forms)


def run_cases(cases: Sequence[Case], processes: int, timeout: float) -> Iterator[Result]:
    """The results as they come, of cases run side by side; each may take `timeout` seconds."""
    waiting = list(range(len(cases)))[::-1]
    workers = [_Worker(cases) for _ in range(max(1, min(processes, len(cases))))]
    try:
        while waiting or any(w.case is not None for w in workers):
            for worker in workers:
                if worker.case is None and waiting:
                    worker.start(waiting.pop())
            ready = wait([w.pipe for w in workers if w.case is not None], 1.0)
            for worker in workers:
                if worker.case is None:
                    continue
                result = worker.result(worker.pipe in ready, timeout)
                if result is not None:
                    yield result
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that runs one case at a time. It is forked, so that it has the cases as they are here."""

    def __init__(self, cases: Sequence[Case]):
        self.cases = cases
        self.case: int | None = None
        self._spawn()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.cases, other), daemon=True)
        self.process.start()
        other.close()

    def start(self, case: int) -> None:
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def result(self, ready: bool, timeout: float) -> Result | None:
        """What has become of the case; None while it is running."""
        case, seconds = self.cases[self.case], time.monotonic() - self.since
        if ready:
            try:
                result = self.pipe.recv()
                self.case = None
                return result
            except (EOFError, ConnectionError):
                self.process.join()
                failure = f"Died: the process ended with status {self.process.exitcode}"
        elif seconds > timeout:
            failure = f"Timeout: after {timeout:.0f} s"
        else:
            return None
        self.stop()
        self._spawn()
        self.case = None
        return Result(case.name, case.kind, failure, 0.0, seconds, 0.0)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(cases: Sequence[Case], pipe: Connection) -> None:
    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        pipe.send(run_case(cases[case]))


def _cpu() -> float:
    """Processor seconds of this process and its children that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


Report = Callable[[Result], None]
PROCESSES = min(2, len(os.sched_getaffinity(0)))
