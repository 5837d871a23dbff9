"""The command; see the package's docstring."""
from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.onnx_suite import __doc__ as usage
from tests.onnx_suite.backends import MODES, choose_target
from tests.onnx_suite.cases import KINDS, Case, left_out, load_cases
from tests.onnx_suite.record import record, write
from tests.onnx_suite.running import PROCESSES, Result, run_cases


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.onnx_suite", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="PATTERN", default="", help="cases whose name has a match")
    parser.add_argument("--kind", action="append", choices=KINDS, help="cases of this kind (may be given more than once)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth of the chosen ones")
    parser.add_argument("--failed", type=Path, metavar="JSON", help="those that failed in these results")
    parser.add_argument("--mode", choices=MODES, default="compiled")
    parser.add_argument("--target", help="what to compile for (mode compiled)")
    parser.add_argument("--processes", "-j", type=int, default=PROCESSES)
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a case may take")
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--list-failures", action="store_true", help="every failure in full")
    parser.add_argument("--results", type=Path, metavar="JSON", help="sum up these results, run nothing")
    parser.add_argument("--list", action="store_true", help="print the names of the chosen cases, run nothing")
    parser.add_argument("--record", type=Path, metavar="JSON", help="write what docs/operators.md is made from")
    return parser.parse_args(argv)


def chosen(options: argparse.Namespace) -> list[Case]:
    pattern = re.compile(options.k)
    cases = [c for c in load_cases(MODES[options.mode]) if pattern.search(c.name) and (not options.kind or c.kind in options.kind)]
    if options.failed:
        failed = {r["name"] for r in json.loads(options.failed.read_text())["results"] if r["failure"]}
        cases = [c for c in cases if c.name in failed]
    return cases[::options.every]


def reason(failure: str) -> str:
    """A failure without what differs between cases of one cause."""
    lines = [line for line in failure.split("\n") if line.strip()]
    text = " ".join(lines[:2 if lines[0].startswith("AssertionError") else 1])
    text = re.sub(r"^(\w+): .*?node '[^']*' \(([^)]*)\)", r"\1: \2", text)
    text = re.sub(r"\btest_\w+: |/\S+/", "", text)
    text = re.sub(r" \(node .*", "", text)
    text = re.sub(r"'[^']*'", "'…'", text)
    return re.sub(r"\d+", "#", text)[:150]


def summary(results: Sequence[Result], wall: float, listed: bool, mode: str) -> str:
    lines = []
    failed = [r for r in results if r.failure]
    if listed:
        lines += [f"{r.name}: {r.failure}" for r in failed]
    else:
        groups: dict[str, list[str]] = defaultdict(list)
        for r in failed:
            groups[reason(r.failure)].append(r.name)
        for text, names in sorted(groups.items(), key=lambda g: -len(g[1])):
            lines.append(f"{len(names):5} {text}\n      {' '.join(n.removeprefix('test_') for n in names[:8])}{' …' if len(names) > 8 else ''}")
    passed = Counter(r.kind for r in results if not r.failure)
    for kind, count in Counter(r.kind for r in results).items():
        lines.append(f"{kind}: {passed[kind]} of {count} pass")
    lines.append(f"{wall:.0f} s, {sum(r.cpu for r in results):.0f} s of processors")
    allowed = [r.name for r in failed if left_out(r.name, mode)]
    better = [r.name for r in results if not r.failure and left_out(r.name, mode)]
    lines += [f"left out with a reason: {' '.join(allowed)}"] if allowed else []
    lines += [f"left out, but they pass: {' '.join(better)}"] if better else []
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    choose_target(options.target)
    cases = chosen(options)
    if options.list:
        print("\n".join(f"{c.kind} {c.name}" for c in cases))
        return 0
    if options.results:
        cases = list(load_cases(MODES[options.mode]))
        content = json.loads(options.results.read_text())
        return report([Result(**r) for r in content["results"]], content["wall"], cases, options)
    begin = time.monotonic()
    results = []
    for result in run_cases(cases, options.processes, options.timeout):
        results.append(result)
        if len(results) % 100 == 0 or sys.stderr.isatty():
            print(f"{len(results)} of {len(cases)}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    wall = time.monotonic() - begin
    results.sort(key=lambda r: (r.kind, r.name))
    path = options.json or Path("build", "onnx_suite", f"{options.mode}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mode": options.mode, "target": options.target or "native", "wall": wall,
                                "results": [r.as_dict() for r in results]}, indent=0))
    return report(results, wall, cases, options)


def report(results: Sequence[Result], wall: float, cases: Sequence[Case], options: argparse.Namespace) -> int:
    """Print the summary, write the record that is asked for; 1 where a case fails that is not left out."""
    print(summary(results, wall, options.list_failures, options.mode))
    if options.record:
        write(options.record, record(cases, results, options.target or "native"))
    return int(any(r.failure and not left_out(r.name, options.mode) for r in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
