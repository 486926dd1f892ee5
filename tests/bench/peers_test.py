#!/usr/bin/env python3
"""What peers.py --resume takes from its file, and what it does not; how it ends. Nothing is measured."""
import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from finished_rows import FinishedRows, NotOurs
from peers import measure_rows, paired_ratio, render

PEERS = Path(__file__).resolve().parent / "peers.py"
BUILD = {"build": "b1", "peer": "1.20.0"}
ROWS = [("attention_2048", 1, 15), ("attention_2048", 2, 15)]


class Resume(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "finished.jsonl"

    def call(self, rows=ROWS, versions=BUILD):
        """As a call of peers.py: what it measured, said and shows."""
        self.measured, self.said = [], []

        def measure(name, threads, turns):
            self.measured.append((name, threads, turns))
            return [{"row": part, "threads": threads, "ours_s": 1.0, "ours_peak_rss_mb": 10, "flops": 1e9}
                    for part in ([f"{name}: open", f"{name}: first output"] if name == "load" else [name])]

        results, failed = measure_rows(rows, versions, FinishedRows(self.file, self.said.append), measure)
        self.assertFalse(failed)
        return [(r["row"], r["threads"], r["turns"]) for r in results]

    def test_takes_what_is_finished(self):
        first = self.call()
        before = self.file.read_bytes()
        self.assertEqual(self.measured, ROWS)
        self.assertEqual(self.call(), first)
        self.assertEqual((self.measured, self.said, self.file.read_bytes()), ([], [], before))

    def test_shows_the_rows_asked_for_in_their_order(self):
        self.call([("call", 1, 31), ("load", 1, 7), *ROWS])
        self.assertEqual(self.call([("attention_2048", 1, 15), ("load", 1, 7)]),
                         [("attention_2048", 1, 15), ("load: open", 1, 7), ("load: first output", 1, 7)])
        self.assertEqual(self.measured, [])

    def test_a_table_needs_the_peaks_of_its_own_threads_only(self):
        self.call()
        results, _ = measure_rows(ROWS[:1], BUILD, FinishedRows(self.file, self.said.append), None)
        for form in ("table", "md"):
            self.assertIn("1 (1%)", render(results, {1: 100.0}, form))

    def test_measures_again_what_another_build_peer_or_number_of_turns_gave(self):
        for versions, turns, why in (({**BUILD, "build": "b2"}, 15, "build"), ({**BUILD, "peer": None}, 15, "peer"),
                                     (BUILD, 31, "turns")):
            self.file.unlink(missing_ok=True)
            self.call()
            again = [("attention_2048", 1, turns)]
            self.assertEqual(self.call(again, versions), again)
            self.assertEqual(self.measured, again)
            self.assertEqual(self.said, [f"attention_2048, 1 threads: {self.file} has it, but {why} changed; "
                                         "measured again"])
            self.call(again, versions)
            self.assertEqual(self.measured, [])

    def test_lines_that_do_not_say_what_they_were_measured_with_do_not_count(self):
        self.file.write_text('{"name": "attention_2048", "row": "attention_2048", "threads": 1, "ours_s": 9.0}\n')
        self.call(ROWS[:1])
        self.assertEqual(self.measured, ROWS[:1])

    def test_drops_a_line_cut_anywhere(self):
        self.call()
        whole = self.file.read_bytes()
        first = whole.index(b"\n") + 1
        for cut in range(first + 1, len(whole)):
            self.file.write_bytes(whole[:cut])
            self.call()
            self.assertEqual(self.measured, ROWS[1:])
            self.assertEqual(self.said, [f"{self.file}: the last line is cut and dropped"])
            self.assertEqual(self.file.read_bytes(), whole)

    def test_leaves_a_file_of_something_else_alone(self):
        finished = json.dumps({"name": "call", "threads": 1})
        for text in ("notes\n", "notes", f"{finished}\nnotes\n{finished}\n", f"{finished}\n[]\n", f"{finished}\nnotes",
                     '{"name": "call", "threads": 1, "with": null}\n'):
            self.file.write_text(text)
            with self.assertRaises(NotOurs):
                self.call()
            self.assertEqual(self.file.read_text(), text)


class Sides(unittest.TestCase):
    def test_end_with_the_call_that_is_told_to(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, does in (("contestant", f"echo $$ > {folder}/pid; echo '{{}}'; exec /bin/sleep 60"),
                               ("models", "exit 0"), ("peak", "echo 1")):
                tool = Path(folder) / f"tessera_bench_{name}"
                tool.write_text(f"#!/bin/sh\n{does}\n")
                tool.chmod(0o755)
            call = subprocess.Popen([sys.executable, "-B", PEERS, "--build", folder, "--rows", "call", "--threads", "1"],
                                    env={"PATH": ""}, stderr=subprocess.DEVNULL)
            while not (pid := Path(folder) / "pid").exists() or not pid.read_text():
                self.assertIsNone(call.poll())
                time.sleep(0.01)
            call.terminate()
            self.assertEqual(call.wait(), 1)
            self.assertFalse(Path(f"/proc/{pid.read_text().strip()}").exists())

    def test_are_not_started_where_nothing_is_built(self):
        with tempfile.TemporaryDirectory() as folder:
            for more, says in (([], "is not there; build:"), (["--threads", "100000"], "threads up to")):
                done = subprocess.run([sys.executable, "-B", PEERS, "--build", f"{folder}/none", *more],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)
            self.assertEqual(list(Path(folder).iterdir()), [])


class Ratio(unittest.TestCase):
    def test_is_the_median_of_the_turns_with_its_interval(self):
        self.assertEqual(paired_ratio([1, 2, 3], [2, 2, 2]), (1, 0.5, 1.5))
        median, low, high = paired_ratio(range(1, 32), [1] * 31)
        self.assertEqual((median, low, high), (16, 10, 22))

    def test_of_few_turns_says_it_is_a_range(self):
        result = {"row": "r", "threads": 1, "ours_s": 1, "theirs_s": 2, "ratio": 0.5, "ratio_low": 0.4,
                  "ratio_high": 0.6, "ours_peak_rss_mb": 1, "theirs_peak_rss_mb": 1}
        self.assertIn("0.500 (0.400 to 0.600)", render([{**result, "turns": 5}], {1: 1}, "table"))
        self.assertIn("0.500 [0.400, 0.600]", render([{**result, "turns": 6}], {1: 1}, "table"))


if __name__ == "__main__":
    unittest.main(buffer=True)
