#!/usr/bin/env python3
"""The plainest peer: json.loads, dict books, OFI and CVD over a tape's frames; frames per CPU-second."""
import json
import sys
import time
from itertools import islice

books, tickers, ofi, cvd = {}, {}, {}, {}
lines = list(islice(open(sys.argv[1]), int(sys.argv[2])))
start = time.process_time()
frames = 0
for line in lines:
    record = json.loads(line)
    if record["kind"] != "frame":
        continue
    frames += 1
    data = record["data"]
    kind, symbol = data.get("e"), data.get("s")
    if kind == "depthUpdate":
        bids, asks = books.setdefault(symbol, ({}, {}))
        for side, levels in ((bids, data["b"]), (asks, data["a"])):
            for price, quantity in levels:
                if float(quantity) == 0:
                    side.pop(price, None)
                else:
                    side[price] = quantity
    elif kind == "aggTrade":
        size = float(data["q"])
        cvd[symbol] = cvd.get(symbol, 0.0) + (-size if data["m"] else size)
    elif kind == "bookTicker":
        bp, bq, ap, aq = float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])
        if symbol in tickers:
            b0, q0, a0, s0 = tickers[symbol]
            e = (bq if bp >= b0 else 0) - (q0 if bp <= b0 else 0) - (aq if ap <= a0 else 0) + (s0 if ap >= a0 else 0)
            ofi[symbol] = ofi.get(symbol, 0.0) + e
        tickers[symbol] = (bp, bq, ap, aq)
print(round(frames / (time.process_time() - start)))
