#!/usr/bin/env python3
"""Reads an export of Weir through NautilusTrader's data catalog, and keeps a book with its order book.

    weir export out/tape --format nautilus --symbol BTCUSDT --out out/catalog
    python3 examples/nautilus_catalog.py out/catalog --symbol BTCUSDT

Prints counts, the last best bid and ask of Nautilus's L2 book, and the cumulative volume delta. With --expect FILE
books and volume deltas are compared with those given there, and the exit code is 1 when any differs. FILE is
{"moments": [{"recv_ns", "cvd", "bids": [[price, quantity], ...], "asks": ...}, ...]}, prices as text.

A backtest also needs the instrument's definition, which is not on a tape (fees, margins): --define writes one into the
catalog, with the decimals of the export and the margins and fees given below. Change them to yours.
"""
import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path

from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDelta, QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, BookType, RecordFlag
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.persistence.catalog import ParquetDataCatalog


def define(catalog, instrument, tick):
    """A perpetual with the decimals of a trade, written into the catalog."""
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.identifiers import Symbol
    from nautilus_trader.model.objects import Currency, Price, Quantity

    symbol = instrument.symbol.value.removesuffix("-PERP")
    quote = next(name for name in ("USDT", "USDC") if symbol.endswith(name))
    step = lambda kind, decimals: kind.from_str(format(Decimal(1).scaleb(-decimals), "f"))
    catalog.write_data([CryptoPerpetual(
        instrument_id=instrument, raw_symbol=Symbol(symbol), base_currency=Currency.from_str(symbol.removesuffix(quote)),
        quote_currency=Currency.from_str(quote), settlement_currency=Currency.from_str(quote), is_inverse=False,
        price_precision=tick.price.precision, size_precision=tick.size.precision,
        price_increment=step(Price, tick.price.precision), size_increment=step(Quantity, tick.size.precision),
        margin_init=Decimal("0.05"), margin_maint=Decimal("0.025"),
        maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"), ts_event=tick.ts_event, ts_init=tick.ts_init,
    )])


def levels(side):
    return {Decimal(str(level.price)): Decimal(str(level.size())) for level in side}


def plain(value):
    return format(Decimal(str(value)).normalize(), "f")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog")
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--expect", metavar="FILE")
    parser.add_argument("--define", action="store_true")
    options = parser.parse_args()

    catalog = ParquetDataCatalog(str(Path(options.catalog).resolve()))
    instrument = InstrumentId.from_str(f"{options.symbol}-PERP.BINANCE")
    query = lambda kind: catalog.query(kind, identifiers=[instrument.value])
    deltas, trades, quotes = query(OrderBookDelta), query(TradeTick), query(QuoteTick)

    expected = json.load(open(options.expect))["moments"] if options.expect else []
    book = OrderBook(instrument, BookType.L2_MBP)
    differences, volume = [], Decimal(0)
    delta_at = trade_at = 0
    for want in expected + [None]:
        until = want["recv_ns"] if want else 1 << 63
        while delta_at < len(deltas) and deltas[delta_at].ts_init <= until:
            book.apply_delta(deltas[delta_at])
            delta_at += 1
        while trade_at < len(trades) and trades[trade_at].ts_init <= until:
            trade = trades[trade_at]
            size = trade.size.as_decimal()
            volume += size if trade.aggressor_side == AggressorSide.BUYER else -size
            trade_at += 1
        if not want:
            break
        for name, have in (("bids", levels(book.bids())), ("asks", levels(book.asks()))):
            wanted = {Decimal(p): Decimal(q) for p, q in want[name]}
            if have != wanted:
                wrong = sorted(p for p in have.keys() | wanted.keys() if have.get(p) != wanted.get(p))
                differences.append(f"{until} {name}: {len(wrong)} levels differ, first {wrong[0]}")
        if volume != Decimal(str(want["cvd"])):
            differences.append(f"{until}: cvd {volume}, expected {want['cvd']}")

    if options.define and trades and not catalog.instruments(instrument_ids=[instrument.value]):
        define(catalog, instrument, trades[0])
    last = [event for event in deltas if event.flags & RecordFlag.F_LAST]
    print(json.dumps({
        "deltas": len(deltas), "messages": len(last), "trades": len(trades), "quotes": len(quotes),
        "best_bid": plain(book.best_bid_price()) if book.best_bid_price() else None,
        "best_ask": plain(book.best_ask_price()) if book.best_ask_price() else None,
        "cvd": plain(volume), "moments": len(expected), "differences": differences,
    }))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
