#!/usr/bin/env python3
"""Feeds an export of Weir to hftbacktest and prints what its local processor sees.

    weir export out/tape --format hftbacktest --symbol BTCUSDT --out out/btcusdt.npz
    python3 examples/hftbacktest_replay.py out/btcusdt.npz --tick-size 0.1 --lot-size 0.001

One line a step: time, best bid and ask, levels a side, cumulative volume delta. With --expect FILE the book and
the volume delta are compared with those given there, and the exit code is 1 when any differs. FILE is
{"moments": [{"local_ns", "cvd", "bids": [[price, quantity], ...], "asks": ...}, ...]}, prices as text.
"""
import argparse
import json
import sys
from decimal import Decimal

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.data import validate_event_order
from numba import njit

TRADE, LOCAL, BUY = 2, 1 << 30, 1 << 29


@njit
def advance(hbt, until_ns):
    """To a moment; the signed volume of the trades on the way, as the engine hands them out."""
    volume = 0.0
    while hbt.current_timestamp < until_ns:
        # In short steps, so that the list of last trades never overflows.
        is_over = hbt.elapse(min(100_000_000, until_ns - hbt.current_timestamp)) != 0
        for trade in hbt.last_trades(0):
            volume += trade.qty if trade.ev & BUY == BUY else -trade.qty
        hbt.clear_last_trades(0)
        if is_over:
            break
    return volume


@njit
def quantities(hbt, is_bid, ticks):
    depth = hbt.depth(0)
    found = np.zeros(len(ticks))
    for index in range(len(ticks)):
        found[index] = depth.bid_qty_at_tick(ticks[index]) if is_bid else depth.ask_qty_at_tick(ticks[index])
    return found


def side(hbt, is_bid, ticks):
    found = quantities(hbt, is_bid, ticks)
    return {int(ticks[index]): found[index] for index in np.nonzero(found)[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--tick-size", type=Decimal, required=True)
    parser.add_argument("--lot-size", type=Decimal, required=True)
    parser.add_argument("--step-s", type=float, default=60)
    parser.add_argument("--expect", metavar="FILE")
    options = parser.parse_args()

    data = np.load(options.file)["data"]
    validate_event_order(data)
    levels = data[data["ev"] & 0xFF != TRADE]
    # Only prices that occur can be in the book.
    prices = levels["px"][np.isfinite(levels["px"])]
    ticks = np.unique(np.rint(prices / float(options.tick_size)).astype(np.int64))

    asset = (
        BacktestAsset().data([options.file]).linear_asset(1.0).constant_order_latency(0, 0)
        .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0, 0)
        .tick_size(float(options.tick_size)).lot_size(float(options.lot_size)).last_trades_capacity(100_000)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    hbt.elapse(0)  # to the first event
    local = data["local_ts"][data["ev"] & LOCAL == LOCAL]
    expected = json.load(open(options.expect))["moments"] if options.expect else None
    step = int(options.step_s * 1e9)
    moments = [m["local_ns"] for m in expected] if expected else list(range(local[0], local[-1], step)) + [local[-1]]

    volume, differences = 0.0, []
    for index, moment in enumerate(moments):
        volume += advance(hbt, moment)
        depth = hbt.depth(0)
        bids, asks = side(hbt, True, ticks), side(hbt, False, ticks)
        print(f"{moment} bid {depth.best_bid:.10g} ask {depth.best_ask:.10g} levels {len(bids)} {len(asks)} cvd {volume:.10g}")
        if not expected:
            continue
        want = expected[index]
        for name, have in (("bids", bids), ("asks", asks)):
            wanted = {int(Decimal(p) / options.tick_size): float(q) for p, q in want[name]}
            if have != wanted:
                wrong = sorted(t for t in have.keys() | wanted.keys() if have.get(t) != wanted.get(t))
                differences.append(f"{moment} {name}: {len(wrong)} levels differ, first {wrong[0]}")
        best = [float(want[name][0][0]) if want[name] else None for name in ("bids", "asks")]
        if best != [depth.best_bid, depth.best_ask] and not np.allclose(best, [depth.best_bid, depth.best_ask], rtol=1e-12):
            differences.append(f"{moment}: best {depth.best_bid} {depth.best_ask}, expected {best}")
        if abs(volume - float(want["cvd"])) > float(options.lot_size) / 2:
            differences.append(f"{moment}: cvd {volume}, expected {want['cvd']}")
    hbt.close()
    trades = data[(data["ev"] & 0xFF == TRADE) & (data["ev"] & LOCAL == LOCAL)]
    total = float(np.where(trades["ev"] & BUY == BUY, trades["qty"], -trades["qty"]).sum())
    print(json.dumps({"events": len(data), "trades": len(trades), "cvd": round(total, 10), "moments": len(moments),
                      "differences": differences}))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
