#!/usr/bin/env python3
"""Measures Tessera against ONNX Runtime, side by side, on the models of make_models.cpp.

Both sides are processes that stay (contestant.cpp, onnxruntime.mjs), warmed up, and run in turns; the one that waits is
stopped, so it takes no processor time. The ratio is the median of the turns' own ratios, with a 95 % interval from
their order statistics (of fewer than 6 turns their range, in round brackets): what slows the whole machine slows both
and cancels. Below 1 means Tessera is faster. The row
`load` starts fresh processes each turn: `open` is Session::open against InferenceSession.create with its library's
loading; `first output` is from the start of our process, but only from the first line of script on their side, which
leaves Node.js's own start out. The model is in the page cache. Both sides get equal inputs; a row whose outputs differ
by more than 1e-3 of the largest value says DIFFERS.

usage: peers.py [--rows chain1000,load] [--threads 1,2] [--runs TURNS] [--format table|md|json] [--resume FILE]
Needs a release build with TESSERA_BENCH, and Node.js with npm for the other side; without that ours is measured alone.
Exit: 0 measured; 1 outputs differ or a side failed; 2 usage, or nothing is built.
"""
import argparse
import hashlib
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from finished_rows import FinishedRows, NotOurs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MOST_THREADS = 1024  # that a session takes
PEER_VERSION = "1.30.0"  # of onnxruntime-node: what the README's numbers are measured against


@dataclass
class Row:
    model: str
    turns: int
    nodes: int  # above 0 in rows of tiny nodes: time per node is reported
    doc: str
    plain: bool = False  # the graph runs as it stands: no fusion, no folding
    policy: str = ""  # our side runs under it: policies/NAME.yaml


ROWS = {
    "call": Row("call", 31, 1, "one Add: what a call costs", plain=True),
    "chain1000": Row("chain1000", 31, 1000, "1000 tiny nodes in a chain", plain=True),
    "wide1000": Row("wide1000", 31, 1001, "1000 independent tiny nodes", plain=True),
    "elementwise": Row("elementwise", 31, 0, "12 elementwise nodes on 4096 x 1536, all passes on"),
    "two_chains": Row("two_chains", 21, 0, "two independent chains of 12 products of 512^3"),
    "products64": Row("products64", 31, 0, "64 independent products of 64^3"),
    "products256": Row("products256", 21, 0, "64 independent products of 256^3"),
    "load": Row("big1g", 7, 0, "1 GB of external weights"),
    "block_mha_4096": Row("block_mha_4096", 7, 0, "DiT block, MultiHeadAttention, 4096 tokens"),
    "block_dec_4096": Row("block_dec_4096", 7, 0, "DiT block, attention in parts, 4096 tokens"),
    "block_mha_8192": Row("block_mha_8192", 7, 0, "the same, 8192 tokens"),
    "block_dec_8192": Row("block_dec_8192", 7, 0, "the same, attention in parts"),
    "attention_2048": Row("attention_2048", 15, 0, "dense attention, 12 heads of 128, 2048 tokens"),
    "attention_4096": Row("attention_4096", 9, 0, "the same, 4096 tokens"),
    "attention_8192": Row("attention_8192", 7, 0, "the same, 8192 tokens"),
    "attention_16384": Row("attention_16384", 7, 0, "the same, 16384 tokens"),
    "vsa_29120": Row("attention_1x29120", 7, 0, "one head, 20 x 28 x 52 tokens: our VSA at sparsity 0.9, theirs dense",
                     policy="vsa_29120"),
    "block_vsa_16384": Row("block_mha_16384", 7, 0, "DiT block, 16384 tokens: our VSA 0.9, theirs dense",
                           policy="vsa_16384"),
    "block_vsa_32760": Row("block_mha_32760", 7, 0, "DiT block, 21 x 30 x 52 tokens: the same",
                           policy="vsa_32760"),
}


class Failed(Exception):
    pass


def say(sentence):
    print(f"peers.py: {sentence}", file=sys.stderr)


class Side:
    """One contestant: a process that answers commands; stopped while it has none."""

    def __init__(self, command, environment=None):
        self.spawned = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, bufsize=1, env={**os.environ, **(environment or {})})
        self.opened = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            words = self.process.stderr.read().strip().splitlines()
            raise Failed(words[0] if words else f"ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(command + "\n")
        answer = self.answer()
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def end(self):
        self.process.kill()
        self.process.communicate()


class Lab:
    """Where things are: our build, the models, the peer's package."""

    TOOLS = ("tessera_bench_contestant", "tessera_bench_models", "tessera_bench_peak")

    def __init__(self, build):
        self.build = build
        for name in self.TOOLS:  # before anything is installed or measured
            self.tool(name)
        self.models = build / "bench-models"
        self.peer = build / "bench-peer"
        self.peer_missing = self.install_peer()

    def tool(self, name):
        path = self.build / name
        if not path.exists():
            say(f"{path} is not there; build: cmake --preset release && cmake --build --preset release")
            sys.exit(2)
        return path

    def model(self, name):
        writer, path = self.tool("tessera_bench_models"), self.models / f"{name}.onnx"
        if not path.exists() or path.stat().st_mtime < writer.stat().st_mtime:
            done = subprocess.run([writer, self.models, name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                path.unlink(missing_ok=True)  # half written
                raise Failed(f"the model cannot be written: {done.stderr.strip() or f'ended with {done.returncode}'}")
        return path

    def install_peer(self):
        """What is missing, in words; None when ONNX Runtime is there."""
        if not shutil.which("node") or not shutil.which("npm"):
            return "Node.js with npm is not there"
        if self.peer_version() != PEER_VERSION:
            self.peer.mkdir(parents=True, exist_ok=True)
            command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", self.peer,
                       f"onnxruntime-node@{PEER_VERSION}"]  # it brings the CPU's library; scripts only fetch CUDA's
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                return "npm install onnxruntime-node failed: " + (done.stderr.strip().splitlines() or ["?"])[0]
        return None

    def peer_version(self):
        package = self.peer / "node_modules/onnxruntime-node/package.json"
        return json.loads(package.read_text())["version"] if package.exists() else None

    def versions(self):
        """What times depend on: a digest of all that our side consists of, and the version of the other."""
        digest = hashlib.sha256()
        for path in [self.tool("tessera_bench_contestant"), self.tool("tessera_bench_models"),
                     *sorted(self.build.glob("plugins/*.so")), *sorted(HERE.glob("policies/*.yaml"))]:
            digest.update(path.read_bytes())
        return {"build": digest.hexdigest()[:12], "peer": None if self.peer_missing else self.peer_version()}

    def peak(self, threads):
        """GFLOP/s of the machine now."""
        command = [self.tool("tessera_bench_peak"), str(threads)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def measure(self, name, threads, turns):
        return (measure_load if name == "load" else measure_runs)(self, name, ROWS[name], threads, turns)

    def sides(self, row, threads):
        """Starters of ours and, where it is there, theirs."""
        arguments = [self.model(row.model), str(threads)] + (["plain"] if row.plain else [])
        policy = [HERE / "policies" / f"{row.policy}.yaml"] if row.policy else []
        ours = lambda: Side([self.tool("tessera_bench_contestant"), *arguments, *policy])
        theirs = lambda: Side(["node", HERE / "onnxruntime.mjs", *arguments], {"PEER_DIR": str(self.peer)})
        return [ours] if self.peer_missing else [ours, theirs]


def paired_ratio(a, b):
    """Median of a[i] / b[i] and its distribution-free 95 % interval; of fewer than 6, the range."""
    ratios, n = sorted(x / y for x, y in zip(a, b)), len(a)
    rank, below = 0, 0.5 ** n
    while rank < n // 2 and below <= 0.025:
        rank += 1
        below += math.comb(n, rank) * 0.5 ** n
    rank = max(rank, 1)
    return statistics.median(ratios), ratios[rank - 1], ratios[n - rank]


def agree(ours, theirs):
    """Outputs match by position."""
    if [len(o) for o in ours] != [len(o) for o in theirs]:
        return False
    return all(abs(x - y) <= 1e-3 * max(map(abs, b)) for a, b in zip(ours, theirs) for x, y in zip(a, b))


def in_turns(sides, turns, measure):
    """measure(side) of each side, the first one changing; lists by side."""
    results = [[] for _ in sides]
    for turn in range(turns):
        for n in range(len(sides)):
            i = (n + turn) % len(sides)
            results[i].append(measure(sides[i]))
    return results


def report(name, threads, seconds, peak_rss, **more):
    result = {"row": name, "threads": threads, "ours_s": statistics.median(seconds[0]),
              "ours_peak_rss_mb": peak_rss[0] / 1e6, **more}
    if len(seconds) > 1:
        median, low, high = paired_ratio(*seconds)
        result.update({"theirs_s": statistics.median(seconds[1]), "theirs_peak_rss_mb": peak_rss[1] / 1e6,
                       "ratio": median, "ratio_low": low, "ratio_high": high})
    return result


def measure_runs(lab, name, row, threads, turns):
    sides = []
    try:
        for start in lab.sides(row, threads):
            sides.append(start())
        checks = [side.ask("check") for side in sides]
        warm = [statistics.median(side.ask("run 2")["seconds"]) for side in sides]
        times = min(500, max(1, math.ceil(0.05 / max(warm))))  # a turn takes 50 ms or one run
        for side in sides:
            side.ask(f"run {times}")
        rss = {}

        def turn(side):
            answer = side.ask(f"run {times}")
            rss[side] = answer["peak_rss"]
            return statistics.median(answer["seconds"])

        seconds = in_turns(sides, turns, turn)
        same = agree(checks[0]["outputs"], checks[1]["outputs"]) if len(sides) > 1 and not row.policy else None
        return [report(name, threads, seconds, [rss[s] for s in sides], nodes=row.nodes, flops=checks[0]["flops"],
                       policy=row.policy, same=same)]
    finally:
        for side in sides:
            side.end()


def measure_load(lab, name, row, threads, turns):
    def turn(start):
        side = start()
        try:
            first = side.ask("run 1")
            begin = side.spawned if start is starts[0] else side.opened["entered"]
            return side.opened["open_s"], first["ended"] - begin, first["peak_rss"]
        finally:
            side.end()

    starts = lab.sides(row, threads)
    for start in starts:
        turn(start)
    measured = in_turns(starts, turns, turn)
    rss = [max(m[2] for m in side) for side in measured]
    path = lab.model(row.model)
    size = path.stat().st_size + Path(f"{path}.data").stat().st_size
    return [report(f"{name}: {what}", threads, [[m[i] for m in side] for side in measured], rss, file_mb=size / 1e6)
            for i, what in enumerate(("open", "first output"))]


def readable_time(s):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if s >= scale:
            return f"{s / scale:.3g} {unit}"
    return f"{s / 1e-9:.3g} ns"


def readable_ratio(result):
    low, high = f"{result['ratio_low']:.3f}", f"{result['ratio_high']:.3f}"
    return f"{result['ratio']:.3f} " + (f"[{low}, {high}]" if result["turns"] >= 6 else f"({low} to {high})")


def cells(result, peak):
    def speed(seconds):
        rate = result.get("flops", 0) / seconds / 1e9
        return f"{rate:.0f} ({rate / peak[result['threads']]:.0%})"

    def memory(mb):
        return f"{mb:.0f} MB" + (f" ({mb / result['file_mb']:.2f}x file)" if "file_mb" in result else "")

    line = [result["row"], str(result["threads"]), readable_time(result["ours_s"])]
    peer = "theirs_s" in result
    line.append(readable_time(result["theirs_s"]) if peer else "-")
    line.append(readable_ratio(result) if peer else "-")
    for side in ("ours", "theirs"):
        seconds = result.get(f"{side}_s")
        if seconds and result.get("nodes"):
            line.append(f"{seconds / result['nodes'] * 1e6:.3f} us/node")
        else:
            other_work = side == "theirs" and result.get("policy")
            line.append(speed(seconds) if seconds and result.get("flops") and not other_work else "-")
    line += [memory(result["ours_peak_rss_mb"]), memory(result["theirs_peak_rss_mb"]) if peer else "-"]
    line.append({True: "same", False: "DIFFERS", None: "-"}[result.get("same")])
    return line


def render(results, peak, form):
    head = ["row", "threads", "Tessera", "ONNX Runtime", "ratio [95 %] (range)", "Tessera GFLOP/s (of peak)",
            "ONNX Runtime GFLOP/s", "Tessera peak RSS", "ONNX Runtime peak RSS", "outputs"]
    lines = [head] + [cells(r, peak) for r in results]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    if form == "md":
        lines.insert(1, ["-" * w for w in widths])
        return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)


def measure_rows(rows, versions, finished, measure):
    """Results of all rows, (name, threads, turns), those that are finished as they were; and whether one failed."""
    results, failed = [], False
    for name, threads, turns in rows:
        measured_with = {**versions, "turns": turns}
        row = finished.results(name, threads, measured_with)
        if row is None:
            say(f"{name}, {threads} thread{'s' * (threads > 1)}")
            try:
                row = measure(name, threads, turns)
            except Failed as error:
                say(f"{name}: {error}")
                failed = True
                continue
            finished.add(name, threads, measured_with, row)
        results += [{"name": name, "turns": turns, **r} for r in row]
    return results, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="rows:\n" + "\n".join(f"  {n:16}{r.doc}" for n, r in ROWS.items()))
    parser.add_argument("--rows", default=",".join(ROWS), help="names, see below; default: all", metavar="ROW,...")
    parser.add_argument("--threads", default="1,2", metavar="N,...")
    parser.add_argument("--runs", type=int, default=0, help="turns of each side; 0: each row's own number")
    parser.add_argument("--format", choices=("table", "md", "json"), default="table")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder; models are kept there")
    parser.add_argument("--resume", type=Path, metavar="FILE",
                        help="keep finished rows there, and take from there those of this build, peer and turns")
    arguments = parser.parse_args()
    names = arguments.rows.split(",")
    if unknown := [n for n in names if n not in ROWS]:
        parser.error(f"there is no row '{unknown[0]}'; rows: {', '.join(ROWS)}")
    threads = [int(t) if t.isdecimal() else 0 for t in arguments.threads.split(",")]
    if not all(1 <= t <= MOST_THREADS for t in threads) or arguments.runs < 0:
        parser.error(f"--threads and --runs take positive numbers, threads up to {MOST_THREADS}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that sides are ended: one of them is stopped
    lab = Lab(arguments.build.resolve())
    if lab.peer_missing:
        say(f"{lab.peer_missing}; Tessera is measured alone")
    try:
        finished = FinishedRows(arguments.resume, say)
    except (NotOurs, OSError) as error:
        parser.error(f"--resume: {error}")
    peak = {t: lab.peak(t) for t in threads}
    rows = [(name, t, arguments.runs or ROWS[name].turns) for name in names for t in threads]
    versions = lab.versions()
    results, failed = measure_rows(rows, versions, finished, lab.measure)
    peak = {t: max(p, lab.peak(t)) for t, p in peak.items()}
    load = os.getloadavg()[0]
    if arguments.format == "json":
        print(json.dumps({"schema": 1, **versions, "peak_gflops": peak, "load_average": load, "results": results},
                         indent=2))
    else:
        print(render(results, peak, arguments.format))
        print(f"\nONNX Runtime {versions['peer'] or 'is not there'}; f32 peak: " + ", ".join(f"{p:.0f} GFLOP/s on {t} thread{'s' * (t > 1)}" for t, p in peak.items()) +
              f"; load average {load:.1f} on {os.cpu_count()} processors")
    return 1 if failed or any(r.get("same") is False for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
