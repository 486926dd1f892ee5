#!/usr/bin/env python3
"""Runs `tessera verify` on every case of the ONNX backend suite that Debian's libonnx-testdata brings (opset <= 17).

What does not pass is listed, with the reason, in not_passing.tsv beside this file; the list may only get shorter: a case
that is not listed must pass, and a listed case that passes must be taken off. `--update` writes the list anew; of outputs
that differ the runner gives no reason, and the one in the list, written by hand, stays.

usage: run.py RUNNER [--data DIR] [--update]        exit 0: as listed; 1: not; 2: usage
"""
import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).resolve().parent / "not_passing.tsv"
# The runner's exit codes; anything else is a crash and never allowed, listed or not.
STATUS = {0: "passes", 1: "differs", 2: "bad input", 3: "unsupported"}


def verify(runner, folder):
    try:
        done = subprocess.run([runner, "verify", "--threads", "1", str(folder)], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "timeout", ""
    words = done.stderr.strip().splitlines()
    reason = words[0].removeprefix("tessera: ").removeprefix("error: ").replace("\t", " ")[:140] if words else ""
    return STATUS.get(done.returncode, f"crash ({done.returncode})"), reason


def listed():
    if not LIST.exists():
        return {}
    rows = [line.split("\t") for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return {row[0]: tuple(row[1:]) for row in rows}


def by_hand(expected, name, status):
    """The reason that the list has for a case that still is what it was."""
    was, reason = expected.get(name, ("passes", ""))
    return reason if status == was else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runner")
    parser.add_argument("--data", default="/usr/share/libonnx-testdata/data", type=Path)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    if not shutil.which(arguments.runner):
        parser.error(f"there is no program {arguments.runner}; tools/test builds it")
    cases = sorted(p.parent for p in arguments.data.glob("*/*/model.onnx"))
    if not cases:
        sys.exit(f"no cases below {arguments.data}; install libonnx-testdata (tools/setup does)")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip((f"{c.parent.name}/{c.name}" for c in cases),
                           pool.map(lambda c: verify(arguments.runner, c), cases)))
    expected = listed()
    failing = {name: result for name, result in results.items() if result[0] != "passes"}
    print(f"{len(cases) - len(failing)} of {len(cases)} cases pass")
    for status in sorted({s for s, _ in failing.values()}):
        print(f"  {status}: {sum(s == status for s, _ in failing.values())}")
    if arguments.update:
        head = "# case\tstatus\treason; sorted; may only get shorter\n"
        LIST.write_text(head + "".join(f"{n}\t{s}\t{r or by_hand(expected, n, s)}\n"
                                       for n, (s, r) in sorted(failing.items())))
        return 0
    wrong = 0
    for name, (status, reason) in sorted(results.items()):
        was = expected.get(name, ("passes",))[0]
        if status != was:
            print(f"{name}: {status}, expected {was}: {reason}")
            wrong += 1
    for name in sorted(set(expected) - set(results)):
        print(f"{name}: listed, but there is no such case")
        wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
