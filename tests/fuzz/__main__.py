"""Long runs of malformed models.

    python -m tests.fuzz --seconds 3600 --out findings       an hour of it; findings are cut down and kept as ONNX files
    python -m tests.fuzz --first 1000 --count 500            those seeds
    python -m tests.fuzz --models DIRECTORY                  with the ONNX files there in the corpus too
    python -m tests.fuzz --seed 1234                         one attempt, described
    python -m tests.fuzz --file findings/x.onnx              what becomes of a file
"""
from __future__ import annotations

import argparse
import itertools
import re
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import onnx

from tests.fuzz.attempt import GOOD, Outcome, Shares, attempt
from tests.fuzz.corpus import corpus
from tests.fuzz.mutations import mutated
from tests.fuzz.reducing import outcome_of, reduced
from tests.fuzz.running import outcomes

HARMLESS = (*GOOD, "slow")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--checked", type=float, default=Shares.checked, help="share of the generated C that is given to the compiler")
    parser.add_argument("--run", type=float, default=Shares.run, help="share that is built and run")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="DIRECTORY")
    parser.add_argument("--no-suite", dest="suite", action="store_false", help="without the ONNX node suite")
    parser.add_argument("--out", type=Path, help="where findings are kept")
    parser.add_argument("--reduce", type=float, default=60, metavar="SECONDS", help="for cutting a finding down")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.file:
        return describe(outcome_of(options.file.read_bytes(), run=options.run >= 1))
    entries = corpus(options.models, options.suite)
    if options.seed is not None:
        random = Random(options.seed)
        entry = random.choice(entries)
        data, done = mutated(random, entry.data, entries)
        print(f"{entry.name}: {', '.join(done)}")
        if done != ["bytes"]:
            print(onnx.printer.to_text(onnx.ModelProto.FromString(data)))
        return describe(outcome_of(data, options.seed, run=options.run >= 1))

    seeds = itertools.count(options.first) if options.count is None else iter(range(options.first, options.first + options.count))
    shares = Shares(options.checked, options.run)
    tally: Counter[str] = Counter()
    known: Counter[tuple[str, str]] = Counter()
    start = shown = time.monotonic()
    for outcome in outcomes(lambda seed, report: attempt(seed, entries, shares, report), seeds, options.workers, options.seconds):
        tally[outcome.kind] += 1
        if outcome.kind == "refused":
            tally[f"refused: {outcome.signature}"] += 1
        elif outcome.kind == "compiled" and outcome.phase != "compile":
            tally[f"compiled: {outcome.phase}"] += 1
        elif outcome.kind not in GOOD:
            known[outcome.kind, outcome.signature] += 1
            if known[outcome.kind, outcome.signature] == 1:
                describe(outcome)
                if options.out:
                    keep(outcome, entries, options.out, options.reduce if outcome.kind not in HARMLESS else 0)
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(f"-- {shown - start:.0f} s, {sum(tally[k] for k in tally if ':' not in k)} attempts: {summary(tally)}", flush=True)
    print(f"-- {time.monotonic() - start:.0f} s, {sum(tally[k] for k in tally if ':' not in k)} attempts: {summary(tally)}")
    for (kind, signature), count in known.most_common():
        print(f"{count:6} {kind}: {signature}")
    return any(kind not in HARMLESS for kind, _ in known)


def summary(tally: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))


def describe(outcome: Outcome) -> int:
    print(f"seed {outcome.seed}: {outcome.kind} ({outcome.phase}): {outcome.signature}\n{outcome.detail}", flush=True)
    return outcome.kind not in HARMLESS


def keep(outcome: Outcome, entries, folder: Path, seconds: float) -> None:
    """The model of a finding as a file, cut down, and what happened beside it."""
    random = Random(outcome.seed)
    entry = random.choice(entries)
    data, done = mutated(random, entry.data, entries)
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", f"{outcome.seed}-{outcome.kind}-{outcome.signature}")[:80]
    smaller = reduced(data, outcome, seconds) if seconds else data
    (folder / f"{name}.onnx").write_bytes(smaller)
    (folder / f"{name}.txt").write_text(f"{entry.name}: {', '.join(done)}\n{outcome}\n{outcome.detail}\n", encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())
