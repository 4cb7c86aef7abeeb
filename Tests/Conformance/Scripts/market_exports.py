"""Exports for other tools, read by those tools: hftbacktest's engine and NautilusTrader's catalog must show the book and
the volume delta that `weir replay` has at the same records.

Sections: 1 hftbacktest, 2 nautilus, 3 slices, 4 files, 5 Parquet. What is right is not asked of the exporter: the tape is cut after a
record, the cut tape replayed, and its final book taken (`--final-books`). The readers are examples/*.py, as shipped.
"""

import datetime
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile

import kit
from kit import equal

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(kit.HERE)))
DATA = os.path.join(os.environ.get("WEIR_DATA") or os.path.join(ROOT, "..", "shared", "data"), "usdm_20240718")


def main():
    arguments = kit.arguments(__doc__)
    cases = kit.Cases("market_exports", arguments)
    scratch = tempfile.TemporaryDirectory(prefix="weir-conformance-")
    worlds = [
        World(arguments.weir, f"{scratch.name}/{name}", name, *options)
        for name, options in {
            "plain": ("--seed", "5"),
            "gaps": ("--seed", "6", "--gaps", "2", "--duplicates", "8", "--reorder", "8"),
            "skew": ("--seed", "7", "--reorder", "10", "--skew-ms", "-1500"),
        }.items()
    ] + [Recording(arguments.weir, f"{scratch.name}/recording")]
    for index, world in enumerate(worlds, 1):
        cases.add(f"1.{index}", f"hftbacktest: {world.name}", world.hftbacktest)
        cases.add(f"2.{index}", f"nautilus: {world.name}", world.nautilus)
    for index, world in enumerate((worlds[1], worlds[3]), 1):
        cases.add(f"3.{index}", f"hftbacktest from the middle: {world.name}", world.slice)
    cases.add("4.1", "two exports have the same bytes", worlds[1].repeat)
    cases.add("4.2", "hftbacktest's own order correction changes nothing", worlds[2].corrected)
    cases.add("4.3", "a catalog is not written over", worlds[1].refused)
    cases.add("4.4", "an unknown symbol is named", worlds[1].unknown)
    cases.add("5.1", "pandas, polars and DuckDB read converted Parquet", worlds[1].parquet)
    cases.run()
    scratch.cleanup()
    cases.finish()


class World:
    """A tape, moments in it, and what `weir replay` has there."""

    tick, lot = None, None

    def __init__(self, weir, folder, name, *options):
        self.binary, self.folder, self.name, self.options = weir, folder, name, options
        self.symbol, self.tape, self.made = "BTCUSDT", folder + "/tape", None

    def weir(self, *words, code=0):
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == code, f"weir {words[0]} ended with {done.returncode}: {done.stderr[-400:]}"
        return done

    def make_tape(self):
        self.weir("venue", "generate", *self.options, "--symbols", "BTCUSDT,ETHUSDT", "--minutes", "1", "--out", self.tape)

    def moments(self):
        """Books and volume deltas after some records, by replays of the tape cut there."""
        if self.made is not None:
            return self.made
        self.make_tape()
        lines = []
        for name in sorted(os.listdir(self.tape)):
            if name.endswith((".ndjson", ".ndjson.zst")):
                with self.segment(name) as file:
                    lines += [(name.split(".")[0], line) for line in file]
        self.made = []
        for part in (3, 6, 10):
            end = len(lines) * part // 10
            # Several records may have one receive time; all of them belong to the moment.
            receive = self.time(lines[end - 1][1])
            while end < len(lines) and self.time(lines[end][1]) == receive:
                end += 1
            self.made.append({"recv_ns": receive, **self.book(lines[:end])})
        return self.made

    def segment(self, name):
        path = f"{self.tape}/{name}"
        if name.endswith(".zst"):
            return Zstandard(path)
        return open(path, "rb")

    @staticmethod
    def time(line):
        return int(line[line.index(b'"recv_ns":') + 10 : line.index(b',"conn"')])

    def book(self, lines):
        cut, run = self.folder + "/cut", self.folder + "/run"
        for folder in (cut, run):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(cut)
        for stem in sorted({stem for stem, _ in lines}):
            with open(f"{cut}/{stem}.ndjson", "wb") as file:
                file.writelines(line for other, line in lines if other == stem)
        done = self.weir(
            "replay", cut, "--out", run, "--sink", "jsonl", "--final-books", run + ".json", "--json"
        )
        book = json.load(open(run + ".json"))[self.symbol]
        prices = book["bids"] + book["asks"]
        self.tick = 10.0 ** -len(prices[0][0].partition(".")[2])
        self.lot = 10.0 ** -len(prices[0][1].partition(".")[2])
        return {**book, "cvd": json.loads(done.stdout)["symbols"][self.symbol]["cvd"]}

    def export(self, kind, out, *options):
        words = ("export", self.tape, "--format", kind, "--symbol", self.symbol, "--out", out, "--json")
        return json.loads(self.weir(*words, *options).stdout)

    def read(self, example, *words):
        done = subprocess.run(
            [sys.executable, "-B", f"{ROOT}/examples/{example}", *words],
            capture_output=True, text=True, timeout=170,
        )
        line = done.stdout.strip().split("\n")[-1]
        assert line.startswith("{"), f"{example} ended with {done.returncode}: {done.stderr[-600:]}"
        verdict = json.loads(line)
        equal(verdict["differences"], [], "differences")
        equal(done.returncode, 0, "exit code")
        return verdict

    def expect(self, name, moments):
        path = f"{self.folder}/{name}.json"
        with open(path, "w") as file:
            json.dump({"moments": moments}, file)
        return path

    def hftbacktest(self):
        moments = self.moments()
        out = self.folder + "/events.npz"
        report = self.export("hftbacktest", out)
        equal(report["latency_ns_min"] + report["local_shift_ns"] >= 0, True, "no event arrives before it happened")
        equal(bool(report["clock_note"]), report["latency_ns_min"] < 0, "note on the clocks")
        expect = [{**m, "local_ns": m["recv_ns"] + report["local_shift_ns"]} for m in moments]
        verdict = self.replay(out, self.expect("hft", expect))
        equal(verdict["trades"], report["trades"], "trades")
        equal(round(verdict["cvd"], 6), round(float(report["cvd"]), 6), "cvd")
        equal(report["cvd"], moments[-1]["cvd"], "cvd of the replay")
        return report

    def replay(self, out, expect):
        return self.read(
            "hftbacktest_replay.py", out, "--tick-size", str(self.tick), "--lot-size", str(self.lot), "--expect", expect
        )

    def nautilus(self):
        moments = self.moments()
        out = self.folder + "/catalog"
        report = self.export("nautilus", out)
        verdict = self.read("nautilus_catalog.py", out, "--symbol", self.symbol, "--expect", self.expect("naut", moments))
        equal(verdict["deltas"], report["rows"]["order_book_delta"], "deltas")
        equal(verdict["trades"], report["rows"]["trade_tick"], "trades")
        equal(verdict["quotes"], report["rows"]["quote_tick"], "quotes")

    def slice(self):
        """From a second in the middle on: the file begins with the whole book."""
        moments = self.moments()
        second = moments[1]["recv_ns"] // 10**9
        text = datetime.datetime.fromtimestamp(second, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        out = self.folder + "/slice.npz"
        report = self.export("hftbacktest", out, "--from", text)
        later = [m for m in moments if m["recv_ns"] > second * 10**9][1:]
        # The volume delta begins with the slice, so its book alone is compared, at moments of the whole.
        whole = float(moments[-1]["cvd"])
        expect = [
            {**m, "local_ns": m["recv_ns"] + report["local_shift_ns"],
             "cvd": float(report["cvd"]) - (whole - float(m["cvd"]))} for m in later
        ]
        self.replay(out, self.expect("slice", expect))

    def repeat(self):
        self.moments()
        files = [f"{self.folder}/again{index}.npz" for index in (1, 2)]
        for file in files:
            self.export("hftbacktest", file)
        first, second = (open(file, "rb").read() for file in files)
        equal(first == second, True, "same bytes")

    def corrected(self):
        import numpy as np
        from hftbacktest.data import correct_event_order, correct_local_timestamp
        from hftbacktest.types import EXCH_EVENT, LOCAL_EVENT, event_dtype

        self.moments()
        out = self.folder + "/corrected.npz"
        report = self.export("hftbacktest", out)
        data = np.load(out)["data"]
        equal(data.dtype == event_dtype, True, "dtype")
        data = data.astype(event_dtype)  # whose fields are said to be aligned, which a file cannot say
        assert report["messages_split"] > 0, "the tape has no messages that overtake each other"
        # One event a row, as before the correction, in the order of the tape, at the tape's times.
        local = data[data["ev"] & LOCAL_EVENT == LOCAL_EVENT].copy()
        local["ev"] &= ~np.uint64(EXCH_EVENT | LOCAL_EVENT)
        local["local_ts"] -= report["local_shift_ns"]
        theirs = correct_local_timestamp(local.copy(), 0)
        theirs = correct_event_order(
            theirs, np.argsort(theirs["exch_ts"], kind="mergesort"), np.argsort(theirs["local_ts"], kind="mergesort")
        )
        equal(len(theirs), len(data), "events")
        for field in data.dtype.names:
            equal(bool(np.array_equal(theirs[field], data[field], equal_nan=field in ("px", "qty", "fval"))), True, field)

    def parquet(self):
        self.moments()
        out = self.folder + "/parquet"
        rows = json.loads(self.weir("convert", self.tape, "--out", out, "--json").stdout)["rows"]
        done = subprocess.run(
            [sys.executable, "-B", f"{ROOT}/examples/read_parquet.py", out, "--symbol", self.symbol],
            capture_output=True, text=True, timeout=170,
        )
        equal(done.returncode, 0, f"exit code ({done.stderr[-400:]})")
        verdict = json.loads(done.stdout.strip().split("\n")[-1])
        equal(verdict["equal"], True, "equal")
        assert 0 < verdict["rows"] < sum(rows.values()), "rows of one symbol of two"

    def refused(self):
        self.moments()
        out = self.folder + "/twice"
        self.export("nautilus", out)
        words = ("export", self.tape, "--format", "nautilus", "--symbol", self.symbol, "--out", out)
        assert "choose another --out" in self.weir(*words, code=1).stderr

    def unknown(self):
        self.moments()
        words = ("export", self.tape, "--format", "hftbacktest", "--symbol", "XYZUSDT", "--out", self.folder + "/x.npz")
        assert "no book or trade of XYZUSDT" in self.weir(*words, code=1).stderr
        equal([name for name in os.listdir(self.folder) if name.startswith("x.npz")], [], "files left behind")


class Recording(World):
    """BTCUSDT of 2024-07-18, whose receive clock is 1.5 s behind the exchange's."""

    def __init__(self, weir, folder):
        super().__init__(weir, folder, "recording of 2024-07-18")

    def make_tape(self):
        if not os.path.isdir(DATA):
            raise kit.Skipped("the recordings are not beside the repository")
        files = [f"{DATA}/btcusdt_{day}.gz" for day in ("20240718", "20240719")]
        self.weir("import", "--out", self.tape, *files)

    def hftbacktest(self):
        report = super().hftbacktest()
        assert 1_400_000_000 < report["local_shift_ns"] < 1_700_000_000, report["local_shift_ns"]


class Zstandard:
    """The lines of a compressed segment."""

    def __init__(self, path):
        import pyarrow

        self.file = io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.OSFile(path), "zstd"))

    def __enter__(self):
        return self.file

    def __exit__(self, *_):
        self.file.close()


main()
