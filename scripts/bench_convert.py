#!/usr/bin/env python3
"""The job of `weir convert` done by polars, DuckDB and chDB on the same NDJSON: messages per CPU-second of each.

Usage: scripts/bench_convert.py TAPE.ndjson [--weir BINARY] [--rounds 3] [--threads 1]
with the Python of .deps/peers, where chdb-core is installed, too. TAPE.ndjson is a plain segment of a tape.

The job: depth one row a level, trades and book tickers one row each, typed (64-bit integers, DECIMAL(18, 8)),
with seq and recv_ns, to Parquet with zstd. Each engine does it the way that measured best for it; all of them in a process of
their own, whose processor time counts with its start. Rows are counted and must agree.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

TABLES = ("depth", "trade", "book_ticker")


def polars_job(source, out):
    import polars as pl

    price = pl.Decimal(18, 8)
    lines = pl.scan_lines(source, name="line")

    def frames(marks, fields):
        record = pl.Struct(
            {"seq": pl.Int64, "recv_ns": pl.Int64, "kind": pl.String, "data": pl.Struct(fields)})
        found = lines.filter(
            pl.any_horizontal(pl.col("line").str.contains(f'"e":"{mark}"', literal=True) for mark in marks))
        return (
            found.select(pl.col("line").str.json_decode(record).alias("r")).unnest("r")
            .filter(pl.col("kind") == "frame").select("seq", "recv_ns", "data").unnest("data")
        )

    def ns(name):
        return pl.col(name) * 1_000_000

    depth = frames(
        ["depthUpdate"],
        {"e": pl.String, "E": pl.Int64, "T": pl.Int64, "s": pl.String, "U": pl.Int64, "u": pl.Int64,
         "pu": pl.Int64, "b": pl.List(pl.List(pl.String)), "a": pl.List(pl.List(pl.String))},
    )
    common = [
        pl.col("s").alias("symbol"), ns("E").alias("exchange_ns"), ns("T").alias("transaction_ns"), "recv_ns",
        "seq", pl.col("U").alias("first_update_id"), pl.col("u").alias("final_update_id"),
        pl.col("pu").alias("previous_final_update_id"),
    ]
    sides = [
        depth.select(*common, pl.lit(side).alias("side"), pl.col(name).alias("level")).explode("level")
        .filter(pl.col("level").is_not_null())
        .with_columns(
            pl.col("level").list.get(0).cast(price).alias("price"),
            pl.col("level").list.get(1).cast(price).alias("quantity"))
        .drop("level")
        for name, side in (("b", "bid"), ("a", "ask"))
    ]
    trades = frames(
        ["aggTrade", "trade"],
        {"E": pl.Int64, "T": pl.Int64, "s": pl.String, "a": pl.Int64, "t": pl.Int64, "p": pl.String, "q": pl.String,
         "f": pl.Int64, "l": pl.Int64, "m": pl.Boolean},
    ).select(
        pl.col("s").alias("symbol"), ns("E").alias("exchange_ns"), "recv_ns", "seq",
        pl.coalesce("a", "t").alias("trade_id"), pl.col("p").cast(price).alias("price"),
        pl.col("q").cast(price).alias("quantity"), pl.col("m").alias("buyer_is_maker"),
        ns("T").alias("transaction_ns"), pl.col("f").alias("first_trade_id"), pl.col("l").alias("last_trade_id"))
    tickers = frames(
        ["bookTicker"],
        {"E": pl.Int64, "T": pl.Int64, "s": pl.String, "u": pl.Int64, "b": pl.String, "B": pl.String,
         "a": pl.String, "A": pl.String},
    ).select(
        pl.col("s").alias("symbol"), ns("E").alias("exchange_ns"), "recv_ns", "seq",
        pl.col("u").alias("update_id"), pl.col("b").cast(price).alias("bid_price"),
        pl.col("B").cast(price).alias("bid_quantity"), pl.col("a").cast(price).alias("ask_price"),
        pl.col("A").cast(price).alias("ask_quantity"), ns("T").alias("transaction_ns"))
    for name, frame in (("depth", pl.concat(sides)), ("trade", trades), ("book_ticker", tickers)):
        frame.sink_parquet(f"{out}/{name}.parquet", compression="zstd", compression_level=1)


def duckdb_job(source, out):
    import duckdb

    # Keys that differ in case only (e and E) cannot be fields of one struct in DuckDB: they are asked for as a list
    # of paths, which parses an object once.
    database = duckdb.connect(config={"threads": int(os.environ["BENCH_THREADS"])})
    database.execute("SET preserve_insertion_order = false")
    database.execute(
        f"""CREATE TABLE raw AS SELECT seq, recv_ns, data FROM read_json('{source}',
        format = 'newline_delimited', maximum_object_size = 33554432,
        columns = {{seq: 'BIGINT', recv_ns: 'BIGINT', kind: 'VARCHAR', data: 'JSON'}}) WHERE kind = 'frame'""")

    def keys(names):
        return f"json_extract_string(data, [{', '.join(repr('$.' + name) for name in names)}]) AS k"

    def these(*events):
        return " OR ".join(f"contains(data, '\"e\":\"{event}\"')" for event in events)

    def columns(*columns):
        return ", ".join(f"k[{index}]::{kind} AS {name}" for index, name, kind in columns)

    head = "k[1] AS symbol, k[2]::BIGINT * 1000000 AS exchange_ns, k[3]::BIGINT * 1000000 AS transaction_ns, recv_ns, seq"
    money = "DECIMAL(18, 8)"
    copy = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"

    def levels(side, name):
        ids = columns((4, "first_update_id", "BIGINT"), (5, "final_update_id", "BIGINT"),
                      (6, "previous_final_update_id", "BIGINT"))
        return f"SELECT {head}, {ids}, '{side}' AS side, unnest(l.{name}) AS level FROM d"

    database.execute(
        f"""COPY (WITH d AS MATERIALIZED (SELECT seq, recv_ns, {keys(["s", "E", "T", "U", "u", "pu"])},
        from_json(data, '{{"b": [["VARCHAR"]], "a": [["VARCHAR"]]}}') AS l FROM raw WHERE {these("depthUpdate")})
        SELECT * EXCLUDE level, level[1]::{money} AS price, level[2]::{money} AS quantity
        FROM ({levels("bid", "b")} UNION ALL {levels("ask", "a")})) TO '{out}/depth.parquet' {copy}""")
    database.execute(
        f"""COPY (SELECT {head}, coalesce(k[4], k[5])::BIGINT AS trade_id, {columns((6, "price", money),
        (7, "quantity", money), (8, "buyer_is_maker", "BOOLEAN"), (9, "first_trade_id", "BIGINT"),
        (10, "last_trade_id", "BIGINT"))} FROM (SELECT seq, recv_ns,
        {keys(["s", "E", "T", "a", "t", "p", "q", "m", "f", "l"])} FROM raw WHERE {these("aggTrade", "trade")}))
        TO '{out}/trade.parquet' {copy}""")
    database.execute(
        f"""COPY (SELECT {head}, {columns((4, "update_id", "BIGINT"), (5, "bid_price", money),
        (6, "bid_quantity", money), (7, "ask_price", money), (8, "ask_quantity", money))}
        FROM (SELECT seq, recv_ns, {keys(["s", "E", "T", "u", "b", "B", "a", "A"])} FROM raw
        WHERE {these("bookTicker")})) TO '{out}/book_ticker.parquet' {copy}""")


def chdb_job(source, out):
    import chdb

    raw = f"file('{source}', JSONEachRow, 'seq Int64, recv_ns Int64, kind String, data String')"
    settings = f"""SETTINGS max_threads = {os.environ["BENCH_THREADS"]},
        input_format_json_read_objects_as_strings = 1, input_format_skip_unknown_fields = 1,
        output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1"""

    def run(name, columns, events, shape, unnested=""):
        these = " OR ".join(f"position(data, '\"e\":\"{event}\"') > 0" for event in events)
        chdb.query(
            f"""INSERT INTO FUNCTION file('{out}/{name}.parquet', Parquet) SELECT {columns} FROM (
            SELECT seq, recv_ns, JSONExtract(data, 'Tuple({shape})') AS d {unnested} FROM {raw}
            WHERE kind = 'frame' AND ({these})) {settings}""")

    def money(*pairs):
        return ", ".join(f"toDecimal64({value}, 8) AS {name}" for name, value in pairs)

    head = "d.s AS symbol, d.E * 1000000 AS exchange_ns, d.T * 1000000 AS transaction_ns, recv_ns, seq"
    run("depth",
        f"""{head}, d.U AS first_update_id, d.u AS final_update_id, d.pu AS previous_final_update_id,
        level.1 AS side, {money(("price", "level.2[1]"), ("quantity", "level.2[2]"))}""",
        ["depthUpdate"],
        "s String, E Int64, T Int64, U Int64, u Int64, pu Int64, b Array(Array(String)), a Array(Array(String))",
        ", arrayJoin(arrayConcat(arrayMap(x -> ('bid', x), d.b), arrayMap(x -> ('ask', x), d.a))) AS level")
    run("trade",
        f"""{head}, greatest(d.a, d.t) AS trade_id, {money(("price", "d.p"), ("quantity", "d.q"))},
        d.m AS buyer_is_maker, d.f AS first_trade_id, d.l AS last_trade_id""",
        ["aggTrade", "trade"],
        "s String, E Int64, T Int64, a Int64, t Int64, p String, q String, m Bool, f Int64, l Int64")
    prices = money(("bid_price", "d.b"), ("bid_quantity", "d.B"), ("ask_price", "d.a"), ("ask_quantity", "d.A"))
    run("book_ticker", f"{head}, d.u AS update_id, {prices}", ["bookTicker"],
        "s String, E Int64, T Int64, u Int64, b String, B String, a String, A String")


JOBS = {"polars": polars_job, "duckdb": duckdb_job, "chdb": chdb_job}


def measure(words, environment):
    """Wall and processor seconds of a process, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, cpu, done.stdout


def rows(out):
    import pyarrow.parquet

    return {name: pyarrow.parquet.read_metadata(f"{out}/{name}.parquet").num_rows for name in TABLES}


def size(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--weir", help="also this binary, on a tape of this one segment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    source = os.path.abspath(arguments.source)
    if arguments.job:
        JOBS[arguments.job](source, arguments.out)
        return
    threads = str(arguments.threads)
    environment = dict(os.environ, BENCH_THREADS=threads, POLARS_MAX_THREADS=threads)
    with open(source, "rb") as lines:
        messages = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 20), b""))
    scratch = tempfile.mkdtemp(prefix="weir-bench-")
    results, counts = {}, {}
    try:
        tape = scratch + "/tape"
        os.mkdir(tape)
        for name in (source, source.replace(".ndjson", ".seal.json")):
            if os.path.exists(name):
                os.symlink(name, f"{tape}/{os.path.basename(name)}")
        names = (["weir", "weir --trust-seals"] if arguments.weir else []) + list(JOBS)
        # Round by round, so that the machine's moods meet all alike.
        for _ in range(arguments.rounds):
            for name in names:
                out = f"{scratch}/out"
                shutil.rmtree(out, ignore_errors=True)
                os.mkdir(out)
                if name.startswith("weir"):
                    words = [arguments.weir, "convert", tape, "--out", out, "--json"] + name.split()[1:]
                else:
                    words = [sys.executable, __file__, source, "--job", name, "--out", out]
                wall, cpu, output = measure(words, environment)
                if name.startswith("weir"):
                    counts[name] = {table: json.loads(output)["rows"][table] for table in TABLES}
                else:
                    counts[name] = rows(out)
                results.setdefault(name, []).append((cpu, wall, size(out)))
    finally:
        shutil.rmtree(scratch)
    print(f"{messages} messages, {os.path.getsize(source)} bytes, {arguments.rounds} rounds, {threads} threads")
    for name, rounds in results.items():
        cpu, wall, size_out = min(rounds)
        print(f"{name:18} {messages / cpu:12,.0f} messages/CPU-s  {cpu:8.2f} CPU-s  {wall:8.2f} s  {size_out:12,} bytes")
    agree = all(count == counts[names[-1]] for count in counts.values())
    print("rows agree: " + str(counts[names[-1]]) if agree else f"ROWS DIFFER: {counts}")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
