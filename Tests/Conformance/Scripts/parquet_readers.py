"""Parquet files of Weir seen by DuckDB, pyarrow, pandas and polars, and by ClickHouse where chdb is installed.

Usage: parquet_readers.py FOLDER. For each FOLDER/NAME.parquet there is FOLDER/NAME.jsonl with the rows it must
hold: an array of texts (or null) a row. FOLDER/hive, if there, is read as a whole folder of partitions.
Prints {"cases", "readers", "failed": [{"case", "reader", "found"}]}.
"""

import decimal
import glob
import json
import os
import sys

import duckdb
import pandas
import polars
import pyarrow.parquet


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def by_pyarrow(path):
    file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=False)
    return [[text(v) for v in column.to_pylist()] for column in file.read().columns]


def by_duckdb(path):
    cursor = duckdb.execute("select * from read_parquet(?, hive_partitioning = false)", [path])
    rows = cursor.fetchall()
    return [[text(row[i]) for row in rows] for i in range(len(cursor.description))]


def by_polars(path):
    frame = polars.read_parquet(path, hive_partitioning=False)
    return [[text(v) for v in frame[name].to_list()] for name in frame.columns]


def by_clickhouse(path):
    import chdb

    # Its decimals have no trailing zeros, its booleans are words.
    settings = "settings input_format_parquet_preserve_order = 1, output_format_decimal_trailing_zeros = 1, output_format_json_quote_64bit_integers = 1"
    settings += ", output_format_json_quote_decimals = 1, output_format_json_quote_64bit_floats = 1"
    answer = chdb.query(f"select * from file('{path}', Parquet) {settings}", "JSONCompactEachRow").data()
    rows = [json.loads(line) for line in answer.splitlines()]
    return [[text(row[i]) for row in rows] for i in range(len(rows[0]))] if rows else []


READERS = {"pyarrow": by_pyarrow, "duckdb": by_duckdb, "polars": by_polars}
try:
    import chdb  # noqa: F401

    READERS["clickhouse"] = by_clickhouse
except ImportError:
    pass


def compare(name, reader, expected, failed):
    columns = READERS[reader](name + ".parquet")
    if not expected:
        if any(columns):
            failed.append((name, reader, "rows where there are none"))
        return
    if len(columns) != len(expected[0]):
        failed.append((name, reader, f"{len(columns)} columns, {len(expected[0])} are due"))
        return
    for index, column in enumerate(columns):
        due = [row[index] for row in expected]
        if column != due:
            place = next((i for i, (a, b) in enumerate(zip(column, due)) if a != b), min(len(column), len(due)))
            failed.append(
                (name, reader, f"column {index} row {place}: {column[place:place + 2]}, due {due[place:place + 2]}"))
            return


def read_hive(folder, failed):
    """Whole folders, with the partitions' columns, as people read them."""
    for kind in sorted(os.listdir(folder)):
        if not kind.startswith("kind="):
            continue
        part = f"{folder}/{kind}"
        files = glob.glob(part + "/**/*.parquet", recursive=True)
        rows = sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)
        counts = {
            "pandas": lambda: len(pandas.read_parquet(part)),
            "polars": lambda: polars.scan_parquet(part + "/**/*.parquet").select(polars.len()).collect().item(),
            "duckdb": lambda: duckdb.execute(f"select count(*) from '{part}/*/*/*.parquet'").fetchone()[0],
        }
        for reader, count in counts.items():
            try:
                found = count()
                if found != rows:
                    failed.append((kind, reader, f"{found} rows, {rows} are due"))
            except Exception as error:  # noqa: BLE001
                failed.append((kind, reader, str(error)[:300]))


def main():
    folder = sys.argv[1]
    failed = []
    names = sorted(glob.glob(folder + "/*.parquet"))
    for path in names:
        name = path[: -len(".parquet")]
        with open(name + ".jsonl", encoding="utf-8") as lines:
            expected = [json.loads(line) for line in lines]
        for reader in READERS:
            # Its JSON would hold bytes that are no text.
            if reader == "clickhouse" and os.path.basename(name) == "given":
                continue
            try:
                compare(name, reader, expected, failed)
            except Exception as error:  # noqa: BLE001
                failed.append((name, reader, str(error)[:300]))
    if os.path.isdir(folder + "/hive"):
        read_hive(folder + "/hive", failed)
    verdict = [{"case": os.path.basename(c), "reader": r, "found": f} for c, r, f in failed]
    print(json.dumps({"cases": len(names), "readers": sorted(READERS), "failed": verdict}))


main()
