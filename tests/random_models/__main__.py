"""Long runs of random models: seeds FIRST up to LAST, compiled, compared with the reference, what disagrees cut down and printed.

    python -m tests.random_models 0 5000                           compiled for this machine
    python -m tests.random_models 0 5000 --target x86-64-v3
    CC=clang python -m tests.random_models 0 500
    python -m tests.random_models 0 500 --interpret                without the C: import, transforms, NumPy
    python -m tests.random_models 0 500 --export                   imported and exported: what is written must mean the same
    python -m tests.random_models 0 500 --sanitize                 with the address and undefined-behaviour sanitizers
    python -m tests.random_models 17                               one seed, described
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter

from tests.random_models.running import BATCH, compiled, describe, exportable, exported, findings, interpreted, reduced, screened, seeded

SANITIZE = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"


def work(seeds: list[int], options: argparse.Namespace, pipe) -> None:
    """One batch, in a process of its own: a crash is a finding and not the end."""
    models = [seeded(seed, only=options.only) for seed in seeds]
    pipe.send(("nodes", sum(n.op_type != "Constant" for m in models for n in m.nodes)))
    models, found = screened(models)
    runs = [(interpreted, found)]
    if options.export:
        runs.append((exported, [f for model in map(exportable, models) for f in findings([model], exported)]))
    elif not options.interpret:
        run = compiled(options.target, options.threads)
        runs.append((run, findings(models, run)))
    for run, found in runs:
        for finding in found:
            if finding.refused:
                pipe.send(("refused", (finding.model.origin, finding.what)))
        found = [f for f in found if not f.refused]
        for finding in {f.model.origin: f for f in reversed(found)}.values():
            smaller = reduced(finding, run) if options.reduce else finding
            pipe.send(("finding", f"{smaller}\n{describe(smaller.model)}"))
    pipe.send(("done", None))


def batch(seeds: list[int], options: argparse.Namespace) -> tuple[int, list[str], Counter[str]]:
    """Nodes computed, findings and refusals of some seeds. A batch that crashes or hangs is tried seed by seed."""
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=work, args=(seeds, options, send))
    process.start()
    send.close()
    nodes, found, refused, done = 0, [], Counter(), False
    deadline = time.monotonic() + options.timeout
    while not done and receive.poll(max(deadline - time.monotonic(), 0)):
        try:
            kind, value = receive.recv()
        except EOFError:
            break
        nodes += value if kind == "nodes" else 0
        found += [value] if kind == "finding" else []
        if kind == "refused":
            origin, what = value
            print(f"{origin}: refused: {what}", flush=True)
            refused[what.split(": ")[-1].split(" (")[0]] += 1
        done = kind == "done"
    if not done:
        process.kill()
    process.join()
    if done:
        return nodes, found, refused
    if len(seeds) > 1:
        parts = [batch([seed], options) for seed in seeds]
        return sum(p[0] for p in parts), [f for p in parts for f in p[1]], sum((p[2] for p in parts), Counter())
    return nodes, [f"seed {seeds[0]}: the process ended with {process.exitcode} (or took more than {options.timeout} s)"], refused


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.random_models", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int, nargs="?")
    parser.add_argument("--target", default="native")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--interpret", action="store_true")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="OP", help="operators to use, all if none is named")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--no-reduce", dest="reduce", action="store_false")
    options = parser.parse_args()
    if options.sanitize and "DLC_SANITIZED" not in os.environ:
        return subprocess.call([sys.executable, "-m", "tests.random_models", *sys.argv[1:]], env=sanitized())
    os.environ.pop("LD_PRELOAD", None)  # loaded by now: the compilers that are started need no sanitizer
    if options.last is None:
        print(describe(seeded(options.first, only=options.only)))
        options.last = options.first + 1
    start, nodes, count = time.monotonic(), 0, 0
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for first in range(options.first, options.last, options.batch):
        done, found, not_yet = batch(list(range(first, min(first + options.batch, options.last))), options)
        nodes += done
        count += len(found)
        refused += not_yet
        for text in found:
            print(text, flush=True)
            kinds[text.splitlines()[-1].split(" = ")[-1].split("(")[0]] += 1
        print(f"-- seeds {options.first} to {min(first + options.batch, options.last)}: {nodes} nodes, {count} disagree, {refused.total()} refused, "
              f"{time.monotonic() - start:.0f} s", flush=True)
    print("disagree:", dict(kinds.most_common()), "refused:", dict(refused.most_common()))
    return bool(count)


def sanitized() -> dict[str, str]:
    """The environment for a Python whose models are built with the sanitizers."""
    compiler = os.environ.get("CC", "gcc")
    libraries = [subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
                 for name in ("libasan.so", "libubsan.so")]
    return {**os.environ, "DLC_SANITIZED": "1", "CFLAGS": SANITIZE, "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0,verify_asan_link_order=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


if __name__ == "__main__":
    sys.exit(main())
