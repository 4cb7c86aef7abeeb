#!/usr/bin/env python3
"""Reads converted Parquet with pandas, polars and DuckDB; all must find the same.

    weir convert out/tape --out out/parquet
    python3 examples/read_parquet.py out/parquet --symbol BTCUSDT

Prints, from each: rows a table, cumulative volume delta of the trades that count, last best bid and ask, and mean
spread. Exit code 1 when any differs.

Two things to know. `symbol` and the trades' `kind` are columns of the files; readers that also take columns from folder
names (hive partitioning) would replace a trade's `kind` by that of the table, so it is switched off. And files begin
with `kind=`: folders of other names (`_conversion`, `_staging`) are not data.
"""
import argparse
import glob
import json
import sys
from decimal import Decimal

import duckdb
import pandas
import polars

TABLES = ("depth", "trade", "book_ticker", "mark_price", "kline", "liquidation", "snapshot", "feed", "other")


def files(folder, table, symbol):
    return sorted(glob.glob(f"{folder}/kind={table}/date=*/symbol={symbol}/*.parquet"))


def plain(value):
    return None if value is None else format(Decimal(value).normalize(), "f")


def by_pandas(folder, symbol):
    def read(table, columns):
        parts = [pandas.read_parquet(path, columns=columns, partitioning=None) for path in files(folder, table, symbol)]
        return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame(columns=columns)

    found = {table: len(read(table, ["seq"])) for table in TABLES}
    trades = read("trade", ["quantity", "buyer_is_maker", "kind", "is_market"])
    trades = trades[(trades["kind"] != "duplicate") & trades["is_market"].astype(bool)]
    sold = trades["buyer_is_maker"].astype(bool)
    found["cvd"] = plain(sum(trades["quantity"][~sold], Decimal(0)) - sum(trades["quantity"][sold], Decimal(0)))
    tops = read("book_ticker", ["seq", "bid_price", "ask_price"]).sort_values("seq")
    if len(tops):
        last = tops.iloc[-1]
        found["best"] = [plain(last["bid_price"]), plain(last["ask_price"])]
        found["spread_sum"] = plain(sum(tops["ask_price"] - tops["bid_price"], Decimal(0)))
    return found


def by_polars(folder, symbol):
    def scan(table):
        paths = files(folder, table, symbol)
        return polars.scan_parquet(paths, hive_partitioning=False) if paths else None

    found = {}
    for table in TABLES:
        rows = scan(table)
        found[table] = 0 if rows is None else rows.select(polars.len()).collect().item()
    found["cvd"] = plain(0)
    if (trades := scan("trade")) is not None:
        signed = polars.when("buyer_is_maker").then(-polars.col("quantity")).otherwise(polars.col("quantity"))
        counted = trades.filter((polars.col("kind") != "duplicate") & polars.col("is_market"))
        found["cvd"] = plain(counted.select(signed.sum()).collect().item() or 0)
    if (tops := scan("book_ticker")) is not None:
        last = tops.sort("seq").select("bid_price", "ask_price").last().collect().row(0)
        found["best"] = [plain(value) for value in last]
        spread = polars.col("ask_price") - polars.col("bid_price")
        found["spread_sum"] = plain(tops.select(spread.sum()).collect().item())
    return found


def by_duckdb(folder, symbol):
    connection = duckdb.connect()

    def ask(table, what, rest=""):
        paths = files(folder, table, symbol)
        if not paths:
            return None
        source = f"FROM read_parquet($paths, hive_partitioning = false) {rest}"
        return connection.execute(f"SELECT {what} {source}", {"paths": paths}).fetchone()

    found = {table: (ask(table, "count(*)") or (0,))[0] for table in TABLES}
    cvd = ask(
        "trade", "sum(CASE WHEN buyer_is_maker THEN -quantity ELSE quantity END)",
        "WHERE kind <> 'duplicate' AND is_market",
    )
    found["cvd"] = plain((cvd or (0,))[0] or 0)
    tops = ask("book_ticker", "arg_max(bid_price, seq), arg_max(ask_price, seq), sum(ask_price - bid_price)")
    if tops:
        found["best"] = [plain(tops[0]), plain(tops[1])]
        found["spread_sum"] = plain(tops[2])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--symbol", required=True)
    options = parser.parse_args()
    found = {
        "pandas": by_pandas(options.folder, options.symbol),
        "polars": by_polars(options.folder, options.symbol),
        "duckdb": by_duckdb(options.folder, options.symbol),
    }
    for name, values in found.items():
        print(f"{name:8} {json.dumps(values)}")
    is_equal = found["pandas"] == found["polars"] == found["duckdb"]
    has_rows = any(found["duckdb"][table] for table in TABLES)
    print(json.dumps({"equal": is_equal, "rows": sum(found["duckdb"][table] for table in TABLES)}))
    if not has_rows:
        print(f"{options.folder} has no rows of {options.symbol}", file=sys.stderr)
    return 0 if is_equal and has_rows else 1


if __name__ == "__main__":
    sys.exit(main())
