"""`weir venue serve` under third-party clients, which are told nothing but its address.

Sections: 1 Python websockets, 2 ccxt, 3 ccxt.pro, 4 python-binance, 5 binance-futures-connector, 6 faults by
HTTP, 7 what all of them saw against the truth, after the exchange has stopped.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from decimal import Decimal

import kit
from kit import equal
from venue import KEY, SECRET, TOKEN, Books, Venue, compare_book

CONNECTOR = "connector"


def near(price, tick, factor):
    """A price on the grid, `factor` times the given one."""
    return (Decimal(str(price)) * Decimal(str(factor)) / tick).to_integral_value() * tick


# 1 ----------------------------------------------------------------------------------------------------------


def by_websockets(cases, venue):
    from websockets.asyncio.client import connect

    run = lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 20))

    def opened(path):
        return connect(venue.ws + path, proxy=None)

    async def frames(path, count, seconds=5):
        async with opened(path) as socket:
            return [json.loads(await asyncio.wait_for(socket.recv(), seconds)) for _ in range(count)]

    def combined(path, streams, count=60):
        seen = {frame["stream"] for frame in run(frames(path, count))}
        equal(seen, set(streams), "streams")

    cases.add(
        "1.1",
        "combined public streams",
        combined,
        "/public/stream?streams=btcusdt@depth@100ms/ethusdt@bookTicker",
        ["btcusdt@depth@100ms", "ethusdt@bookTicker"],
    )
    cases.add(
        "1.2",
        "combined market streams",
        combined,
        "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade",
        ["btcusdt@aggTrade", "ethusdt@aggTrade"],
    )

    def raw(path, kind):
        for frame in run(frames(path, 3)):
            equal((frame["e"], frame["s"]), (kind, "BTCUSDT"), "frame")

    cases.add("1.3", "raw depth", raw, "/public/ws/btcusdt@depth@100ms", "depthUpdate")
    cases.add("1.4", "raw trades", raw, "/market/ws/btcusdt@aggTrade", "aggTrade")
    cases.add("1.5", "raw mark price", raw, "/market/ws/btcusdt@markPrice@1s", "markPriceUpdate")
    cases.add("1.6", "raw book ticker", raw, "/public/ws/btcusdt@bookTicker", "bookTicker")
    cases.add("1.7", "the single root of old", raw, "/ws/btcusdt@depth@100ms", "depthUpdate")

    async def protocol():
        async with opened("/public/ws") as socket:

            async def ask(message, wanted=None):
                await socket.send(message if isinstance(message, str) else json.dumps(message))
                while True:
                    answer = json.loads(await asyncio.wait_for(socket.recv(), 5))
                    if "e" not in answer:
                        return answer

            names = ["btcusdt@depth@100ms", "ethusdt@bookTicker"]
            equal(
                await ask({"method": "SUBSCRIBE", "params": names, "id": 1}),
                {"result": None, "id": 1},
                "answer",
            )
            equal(
                sorted((await ask({"method": "LIST_SUBSCRIPTIONS", "id": 2}))["result"]),
                sorted(names),
                "list",
            )
            equal(
                await ask({"method": "UNSUBSCRIBE", "params": names[:1], "id": 3}),
                {"result": None, "id": 3},
                "answer",
            )
            equal((await ask({"method": "LIST_SUBSCRIPTIONS", "id": 4}))["result"], names[1:], "list")
            assert "error" in await ask({"method": "DANCE", "id": 5}), "an unknown method is taken"
            assert "error" in await ask("{not json"), "bad JSON is taken"

    cases.add("1.8", "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS and errors", lambda: run(protocol()))

    async def silent(root, stream):
        async with opened(root) as socket:
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": [stream], "id": 9}))
            equal(
                json.loads(await asyncio.wait_for(socket.recv(), 5)),
                {"result": None, "id": 9},
                "acknowledgement",
            )
            try:
                frame = await asyncio.wait_for(socket.recv(), 1.5)
                raise AssertionError(f"a frame came: {frame[:80]}")
            except asyncio.TimeoutError:
                pass

    cases.add(
        "1.9",
        "a stream on the wrong root is acknowledged and silent",
        lambda: run(silent("/market/ws", "btcusdt@depth@100ms")),
    )
    cases.add(
        "1.10",
        "an unknown symbol is acknowledged and silent",
        lambda: run(silent("/public/ws", "nousdt@depth@100ms")),
    )

    cases.add(
        "1.12",
        "partial depth, combined",
        combined,
        "/public/stream?streams=btcusdt@depth5@100ms/ethusdt@depth20",
        ["btcusdt@depth5@100ms", "ethusdt@depth20"],
        20,
    )

    async def lists():
        path = "/market/stream?streams=!markPrice@arr@1s/!ticker@arr/!miniTicker@arr"
        for frame in await frames(path, 6):
            event = {"!markPrice@arr@1s": "markPriceUpdate", "!ticker@arr": "24hrTicker"}.get(
                frame["stream"], "24hrMiniTicker"
            )
            equal({one["e"] for one in frame["data"]}, {event}, "events")
            assert {one["s"] for one in frame["data"]} <= set(venue.symbols), frame

    cases.add("1.13", "lists over all symbols", lambda: run(lists()))

    async def chain():
        last = None
        for frame in await frames("/public/ws/btcusdt@depth@100ms", 30):
            assert last is None or frame["pu"] == last, f"pu {frame['pu']} after u {last}"
            assert frame["U"] <= frame["u"], "U beyond u"
            last = frame["u"]

    cases.add("1.11", "depth frames are chained", lambda: run(chain()))


# 2, 3 -------------------------------------------------------------------------------------------------------


def point_to(venue, exchange):
    """Every address of the exchange becomes the venue's: nothing of a test may leave the machine."""

    def changed(value):
        if isinstance(value, dict):
            return {name: changed(part) for name, part in value.items()}
        if isinstance(value, str) and "://" in value:
            scheme, rest = value.split("://", 1)
            base = venue.ws if scheme.startswith("ws") else venue.rest
            path = rest[rest.index("/") :] if "/" in rest else ""
            return base + path
        return value

    exchange.urls["api"] = changed(exchange.urls["api"])
    # ccxt's own switch: currencies are a wallet address, not one of the futures.
    exchange.options["fetchCurrencies"] = False
    return exchange


def by_ccxt(cases, venue):
    import ccxt

    credentials = {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False}
    client = point_to(venue, ccxt.binanceusdm(credentials))
    symbol = "BTC/USDT:USDT"

    def tick():
        return Decimal(str(client.market(symbol)["precision"]["price"]))

    def amount(notional=600):
        price = client.fetch_ticker(symbol)["last"]
        return float(client.amount_to_precision(symbol, notional / price))

    def markets():
        found = client.load_markets()
        equal(sorted(market["id"] for market in found.values()), sorted(venue.symbols), "markets")
        market = client.market(symbol)
        assert market["swap"] and market["linear"] and market["active"], market
        assert market["precision"]["price"] and market["precision"]["amount"], "no precision"

    cases.add("2.1", "load_markets", markets)

    def book():
        found = client.fetch_order_book(symbol, 100)
        assert found["bids"] and found["asks"] and found["nonce"], "empty book"
        assert found["bids"][0][0] < found["asks"][0][0], "crossed book"
        equal([len(found["bids"]), len(found["asks"])], [100, 100], "levels")
        assert found["bids"] == sorted(found["bids"], reverse=True), "bids are not best first"

    cases.add("2.2", "fetch_order_book", book)

    def trades():
        found = client.fetch_trades(symbol, limit=50)
        equal(len(found), 50, "trades")
        ids = [int(trade["id"]) for trade in found]
        equal(ids, list(range(ids[0], ids[0] + 50)), "ids")
        assert {trade["side"] for trade in found} <= {"buy", "sell"}

    cases.add("2.3", "fetch_trades", trades)

    def tickers():
        ticker = client.fetch_ticker(symbol)
        assert ticker["last"] > 0 and ticker["high"] >= ticker["low"] > 0, ticker
        equal(len(client.fetch_bids_asks()), len(venue.symbols), "book tickers")
        assert abs(client.fetch_time() - time.time() * 1000) < 5000, "time"

    cases.add("2.4", "fetch_ticker, fetch_bids_asks, fetch_time", tickers)
    cases.add(
        "2.5",
        "fetch_funding_rate",
        lambda: bool(client.fetch_funding_rate(symbol)["markPrice"]) or fail("no mark price"),
    )
    cases.add(
        "2.6",
        "fetch_open_interest",
        lambda: client.fetch_open_interest(symbol)["openInterestAmount"] is not None or fail("none"),
    )
    cases.add("2.7", "fetch_ohlcv", lambda: len(client.fetch_ohlcv(symbol, "1m")) > 0 or fail("no klines"))

    def balance():
        found = client.fetch_balance()
        assert found["USDT"]["total"] > 0, found.get("USDT")

    cases.add("2.8", "fetch_balance", balance)

    def resting():
        best = client.fetch_order_book(symbol, 5)["bids"][0][0]
        price = float(near(best, tick(), 0.97))
        order = client.create_order(
            symbol, "limit", "buy", amount(), price, {"newClientOrderId": "ccxt-rest-1"}
        )
        equal((order["status"], order["filled"], order["clientOrderId"]), ("open", 0, "ccxt-rest-1"), "order")
        found = client.fetch_order(order["id"], symbol)
        equal((found["status"], found["price"]), ("open", price), "fetched order")
        assert order["id"] in [
            one["id"] for one in client.fetch_open_orders(symbol)
        ], "it is not among the open orders"
        client.cancel_order(order["id"], symbol)
        equal(client.fetch_order(order["id"], symbol)["status"], "canceled", "status")
        assert order["id"] not in [
            one["id"] for one in client.fetch_open_orders(symbol)
        ], "it is open after its end"
        try:
            client.cancel_order(order["id"], symbol)
            fail("an order is cancelled twice")
        except ccxt.OrderNotFound:
            pass

    cases.add("2.9", "limit order: create, fetch, list, cancel", resting)

    def taking():
        quantity = amount()
        order = client.create_order(symbol, "market", "buy", quantity)
        order = client.fetch_order(order["id"], symbol)
        equal((order["status"], order["filled"]), ("closed", quantity), "order")
        assert order["average"] > 0, "no average price"
        position = client.fetch_positions([symbol])[0]
        equal((position["side"], position["contracts"]), ("long", quantity), "position")
        own = [trade for trade in client.fetch_my_trades(symbol) if trade["order"] == order["id"]]
        equal(round(sum(trade["amount"] for trade in own), 8), quantity, "sum of the fills")
        assert all(trade["fee"]["cost"] > 0 and trade["takerOrMaker"] == "taker" for trade in own), own
        client.create_order(symbol, "market", "sell", quantity, params={"reduceOnly": True})
        left = [one for one in client.fetch_positions([symbol]) if one["contracts"]]
        equal(left, [], "positions")

    cases.add("2.10", "market order, position, trades, reduce-only end", taking)

    def crossing(flag, wanted):
        best = client.fetch_order_book(symbol, 5)["asks"][0][0]
        factor = 1.001 if flag != "PO" else 1.01
        order = client.create_order(
            symbol, "limit", "buy", amount(), float(near(best, tick(), factor)), {"timeInForce": flag}
        )
        order = client.fetch_order(order["id"], symbol)
        assert order["status"] in wanted, f"a {flag} order is {order['status']}"
        if order["filled"]:
            client.create_order(symbol, "market", "sell", order["filled"], params={"reduceOnly": True})

    cases.add("2.11", "immediate or cancel", crossing, "IOC", ("closed", "expired", "canceled"))
    cases.add("2.12", "fill or kill", crossing, "FOK", ("closed", "expired", "canceled"))

    def post_only():
        try:
            crossing("PO", ("expired", "rejected", "canceled"))
        except (ccxt.OrderImmediatelyFillable, ccxt.InvalidOrder):
            pass

    cases.add("2.13", "post-only that would take", post_only)

    def several():
        best = client.fetch_order_book(symbol, 5)["bids"][0][0]
        for index in range(3):
            client.create_order(
                symbol, "limit", "buy", amount(200), float(near(best, tick(), 0.97 - index / 1000))
            )
        equal(len(client.fetch_open_orders(symbol)), 3, "open orders")
        client.cancel_all_orders(symbol)
        equal(client.fetch_open_orders(symbol), [], "open orders")
        assert len(client.fetch_orders(symbol)) >= 3, "no history"

    cases.add("2.14", "cancel_all_orders", several)

    def raises(kind, call, code=""):
        """ccxt names some errors by the exchange's real host only; those are told by their code."""
        try:
            call()
        except kind as error:
            assert code in str(error), f"the error is {error}"
            return
        fail(f"no {kind.__name__}")

    place = lambda **fields: client.fapiPrivatePostOrder(
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", **fields}
    )
    price = lambda factor=0.97: near(client.fetch_order_book(symbol, 5)["bids"][0][0], tick(), factor)
    cases.add(
        "2.15",
        "too large an order",
        raises,
        ccxt.ExchangeError,
        lambda: client.create_order(symbol, "limit", "buy", amount(1_500_000), float(price())),
        "-2019",
    )
    cases.add(
        "2.16",
        "price off the grid",
        raises,
        ccxt.ExchangeError,
        lambda: place(quantity=amount(), price=str(price() + tick() / 3)),
    )
    cases.add(
        "2.17",
        "too small an order",
        raises,
        ccxt.ExchangeError,
        lambda: place(
            quantity=client.market(symbol)["limits"]["amount"]["min"], price=str(near(price(), tick(), 0.01))
        ),
    )
    cases.add(
        "2.18",
        "unknown symbol",
        raises,
        ccxt.BadSymbol,
        lambda: client.fapiPublicGetDepth({"symbol": "NOUSDT"}),
    )
    wrong = lambda **fields: point_to(venue, ccxt.binanceusdm({**credentials, **fields}))
    cases.add(
        "2.19",
        "wrong secret",
        raises,
        ccxt.AuthenticationError,
        lambda: wrong(secret="no").fapiPrivateV2GetBalance(),
    )
    cases.add(
        "2.20",
        "unknown key",
        raises,
        ccxt.AuthenticationError,
        lambda: wrong(apiKey="no").fapiPrivateV2GetBalance(),
    )
    cases.add(
        "2.21",
        "timestamp of an hour ago",
        raises,
        ccxt.InvalidNonce,
        lambda: client.fapiPrivateV2GetBalance({"timestamp": int(time.time() * 1000) - 3_600_000}),
    )
    cases.add(
        "2.22", "set_leverage", lambda: equal(int(client.set_leverage(5, symbol)["leverage"]), 5, "leverage")
    )


def fail(text):
    raise AssertionError(text)


def by_ccxt_pro(cases, venue):
    import ccxt.pro

    def with_client(run):
        async def whole():
            client = point_to(
                venue, ccxt.pro.binanceusdm({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
            )
            try:
                await client.load_markets()
                await asyncio.wait_for(run(client), 25)
            finally:
                await client.close()

        asyncio.run(whole())

    symbol = "BTC/USDT:USDT"

    async def book(client):
        for _ in range(20):
            found = await client.watch_order_book(symbol)
        assert found["bids"][0][0] < found["asks"][0][0], "crossed book"
        assert len(found["bids"]) > 50, f"{len(found['bids'])} bids"

    cases.add("3.1", "watch_order_book", with_client, book)

    def trades(parameters):
        async def run(client):
            seen = []
            while len(seen) < 20:
                # ccxt writes into the parameters.
                found = await client.watch_trades(symbol, params=dict(parameters))
                seen += [int(trade["id"]) for trade in found]
            seen = sorted(set(seen))
            equal(seen, list(range(seen[0], seen[0] + len(seen))), "ids")

        return run

    cases.add("3.2", "watch_trades: single trades, on the public root", with_client, trades({}))
    cases.add("3.5", "watch_trades: aggregates", with_client, trades({"name": "aggTrade"}))

    async def bids_asks(client):
        found = await client.watch_bids_asks([symbol])
        assert found[symbol]["bid"] < found[symbol]["ask"], found

    cases.add("3.3", "watch_bids_asks", with_client, bids_asks)

    every = sorted(f"{name.removesuffix('USDT')}/USDT:USDT" for name in venue.symbols)

    async def tickers(client):
        one, several, prices, bars = await asyncio.gather(
            client.watch_ticker(symbol),
            client.watch_tickers(),
            client.watch_mark_prices(),
            client.watch_ohlcv(symbol, "5m"),
        )
        assert one["last"] > 0 and one["high"] >= one["low"] > 0 and one["symbol"] == symbol, one
        assert several and set(several) <= set(every), sorted(several)
        equal(sorted(prices), every, "symbols with a mark price")
        assert all(price["markPrice"] > 0 for price in prices.values()), prices
        start, first, high, low, last, volume = bars[-1]
        assert start % 300_000 == 0 and high >= max(first, last) and low <= min(first, last) and volume > 0

    cases.add(
        "3.6",
        "watch_ticker, watch_tickers, watch_mark_prices, watch_ohlcv of five minutes",
        with_client,
        tickers,
    )

    async def orders(client):
        # The subscription first, or the event is over before anybody listens.
        watching = asyncio.ensure_future(client.watch_orders(symbol))
        await asyncio.sleep(1)
        best = (await client.fetch_order_book(symbol, 5))["bids"][0][0]
        tick = Decimal(str(client.market(symbol)["precision"]["price"]))
        quantity = float(client.amount_to_precision(symbol, 600 / best))
        order = await client.create_order(symbol, "limit", "buy", quantity, float(near(best, tick, 0.97)))
        seen = await asyncio.wait_for(watching, 5)
        equal(
            [(one["id"], one["status"]) for one in seen if one["id"] == order["id"]],
            [(order["id"], "open")],
            "events",
        )
        watching = asyncio.ensure_future(client.watch_orders(symbol))
        await client.cancel_order(order["id"], symbol)
        seen = await asyncio.wait_for(watching, 5)
        assert (order["id"], "canceled") in [(one["id"], one["status"]) for one in seen], seen

    cases.add("3.4", "watch_orders: the user stream", with_client, orders)


# 4 ----------------------------------------------------------------------------------------------------------


def by_python_binance(cases, venue):
    from binance.async_client import AsyncClient
    from binance.ws.streams import BinanceSocketManager

    def with_client(run):
        async def whole():
            client = AsyncClient(KEY, SECRET)
            client.FUTURES_URL = venue.rest + "/fapi"
            BinanceSocketManager.FSTREAM_URL = venue.ws + "/"
            try:
                await asyncio.wait_for(run(client, BinanceSocketManager(client)), 25)
            finally:
                await client.close_connection()

        asyncio.run(whole())

    async def public(client, _):
        await client.futures_ping()
        assert (await client.futures_time())["serverTime"] > 0
        information = await client.futures_exchange_info()
        equal(sorted(one["symbol"] for one in information["symbols"]), sorted(venue.symbols), "symbols")
        book = await client.futures_order_book(symbol="BTCUSDT", limit=1000)
        assert book["lastUpdateId"] > 0 and book["bids"] and book["asks"]
        trades = await client.futures_aggregate_trades(symbol="BTCUSDT", limit=10)
        equal(set(trades[0]), {"a", "p", "q", "f", "l", "T", "m"}, "fields of a trade")
        assert await client.futures_mark_price(symbol="BTCUSDT")
        assert await client.futures_ticker(symbol="BTCUSDT")
        assert await client.futures_open_interest(symbol="BTCUSDT")

    cases.add("4.1", "public addresses", with_client, public)

    def stream(make, check, count=10):
        async def run(_, manager):
            async with make(manager) as socket:
                for _ in range(count):
                    check(await asyncio.wait_for(socket.recv(), 5))

        return run

    def together(*sockets):
        """One frame of each socket; a frame that is a list tells by its first element."""

        async def one(manager, make, event):
            async with make(manager) as socket:
                frame = await asyncio.wait_for(socket.recv(), 8)
                data = frame.get("data", frame)
                equal((data[0] if isinstance(data, list) else data)["e"], event, "event")

        async def run(_, manager):
            await asyncio.gather(*(one(manager, make, event) for make, event in sockets))

        return run

    cases.add(
        "4.2",
        "depth",
        with_client,
        stream(
            lambda manager: manager.futures_depth_socket("BTCUSDT", depth="@100ms"),
            lambda frame: equal(frame["data"]["e"], "depthUpdate", "event"),
        ),
    )
    cases.add(
        "4.3",
        "trades",
        with_client,
        stream(
            lambda manager: manager.aggtrade_futures_socket("BTCUSDT"),
            lambda frame: equal(frame["data"]["e"], "aggTrade", "event"),
        ),
    )
    cases.add(
        "4.4",
        "book ticker",
        with_client,
        stream(
            lambda manager: manager.symbol_ticker_futures_socket("BTCUSDT"),
            lambda frame: equal(frame["data"]["e"], "bookTicker", "event"),
        ),
    )
    cases.add(
        "4.5",
        "several streams",
        with_client,
        stream(
            lambda manager: manager.futures_multiplex_socket(["btcusdt@aggTrade", "ethusdt@aggTrade"]),
            lambda frame: equal(frame["stream"].split("@")[1], "aggTrade", "stream"),
        ),
    )

    def partial(frame):
        data = frame["data"]
        equal(frame["stream"], "btcusdt@depth10", "stream")
        equal((data["e"], len(data["b"]), len(data["a"])), ("depthUpdate", 10, 10), "event and levels")
        bids = [Decimal(price) for price, _ in data["b"]]
        assert bids == sorted(bids, reverse=True) and bids[0] < Decimal(data["a"][0][0]), "not best first"

    cases.add(
        "4.9",
        "the default depth socket: ten levels",
        with_client,
        stream(lambda manager: manager.futures_depth_socket("BTCUSDT"), partial),
    )
    cases.add(
        "4.10",
        "the default sockets of bars and tickers",
        with_client,
        together(
            (lambda manager: manager.kline_futures_socket("BTCUSDT"), "continuous_kline"),
            (lambda manager: manager.futures_ticker_socket(), "24hrTicker"),
            (lambda manager: manager.all_mark_price_socket(), "markPriceUpdate"),
            (lambda manager: manager.symbol_mark_price_socket("BTCUSDT"), "markPriceUpdate"),
            (lambda manager: manager.individual_symbol_ticker_futures_socket("BTCUSDT"), "24hrTicker"),
            (lambda manager: manager.all_ticker_futures_socket(), "bookTicker"),
        ),
    )

    async def order(client, manager):
        socket = manager.futures_user_socket()
        # When it ends it waits as long as for a message.
        socket.TIMEOUT = 1
        async with socket as user:
            await asyncio.sleep(0.3)
            book = await client.futures_order_book(symbol="ETHUSDT", limit=5)
            information = await client.futures_exchange_info()
            filters = {
                one["filterType"]: one
                for market in information["symbols"]
                if market["symbol"] == "ETHUSDT"
                for one in market["filters"]
            }
            tick, step = Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(
                filters["LOT_SIZE"]["stepSize"]
            )
            best = Decimal(book["bids"][0][0])
            quantity = (Decimal(600) / best / step).to_integral_value() * step
            placed = await client.futures_create_order(
                symbol="ETHUSDT",
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                quantity=str(quantity),
                price=str(near(best, tick, 0.97)),
                newClientOrderId="python-binance-1",
            )
            equal((placed["status"], placed["clientOrderId"]), ("NEW", "python-binance-1"), "order")
            found = await client.futures_get_order(symbol="ETHUSDT", origClientOrderId="python-binance-1")
            equal(found["orderId"], placed["orderId"], "order")
            await client.futures_cancel_order(symbol="ETHUSDT", orderId=placed["orderId"])
            taken = await client.futures_create_order(
                symbol="ETHUSDT", side="BUY", type="MARKET", quantity=str(quantity)
            )
            positions = await client.futures_position_information(symbol="ETHUSDT")
            equal(Decimal(positions[0]["positionAmt"]), quantity, "position")
            await client.futures_create_order(
                symbol="ETHUSDT", side="SELL", type="MARKET", quantity=str(quantity), reduceOnly="true"
            )
            seen = []
            while not any(
                one["e"] == "ORDER_TRADE_UPDATE" and one["o"]["S"] == "SELL" and one["o"]["X"] == "FILLED"
                for one in seen
            ):
                seen.append(await asyncio.wait_for(user.recv(), 5))
            life = [
                one["o"]["X"]
                for one in seen
                if one["e"] == "ORDER_TRADE_UPDATE" and one["o"]["i"] == placed["orderId"]
            ]
            equal(life, ["NEW", "CANCELED"], "events of the resting order")
            fills = [
                Decimal(one["o"]["l"])
                for one in seen
                if one["e"] == "ORDER_TRADE_UPDATE"
                and one["o"]["i"] == taken["orderId"]
                and one["o"]["x"] == "TRADE"
            ]
            equal(sum(fills), quantity, "sum of the fills")
            assert any(one["e"] == "ACCOUNT_UPDATE" for one in seen), "no ACCOUNT_UPDATE"

    cases.add("4.6", "orders and the user stream", with_client, order)

    async def account(client, _):
        assert Decimal((await client.futures_account())["totalWalletBalance"]) > 0
        assert any(one["asset"] == "USDT" for one in await client.futures_account_balance())

    cases.add("4.7", "account", with_client, account)

    async def refusals(client, _):
        from binance.exceptions import BinanceAPIException

        for wanted, call in [
            (-1121, client.futures_order_book(symbol="NOUSDT")),
            (-2013, client.futures_get_order(symbol="BTCUSDT", orderId=999_999_999)),
            (-2011, client.futures_cancel_order(symbol="BTCUSDT", orderId=999_999_999)),
        ]:
            try:
                await call
                fail(f"no error {wanted}")
            except BinanceAPIException as error:
                equal(error.code, wanted, "code")

    cases.add("4.8", "error codes", with_client, refusals)


# 5 ----------------------------------------------------------------------------------------------------------


def connector_cases(cases, rest, ws):
    """Runs in a process of its own, see `requirements-connector.txt`."""
    from binance.error import ClientError
    from binance.um_futures import UMFutures
    from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

    client = UMFutures(key=KEY, secret=SECRET, base_url=rest)

    def public():
        client.ping()
        assert client.time()["serverTime"] > 0
        assert client.exchange_info()["symbols"]
        assert client.depth("BTCUSDT", limit=1000)["lastUpdateId"] > 0
        equal(len(client.agg_trades("BTCUSDT", limit=20)), 20, "trades")
        assert client.mark_price("BTCUSDT") and client.ticker_24hr_price_change("BTCUSDT")
        assert client.book_ticker("BTCUSDT") and client.open_interest("BTCUSDT")
        assert client.klines("BTCUSDT", "1m")

    cases.add("5.1", "public addresses", public)

    def listen(root, subscribe, kind, is_combined=False, count=10):
        seen, enough = [], threading.Event()

        def take(_, text):
            frame = json.loads(text)
            if "result" not in frame:
                seen.append(frame.get("data", frame))
                if len(seen) >= count:
                    enough.set()

        socket = UMFuturesWebsocketClient(stream_url=ws + root, on_message=take, is_combined=is_combined)
        subscribe(socket)
        came = enough.wait(8)
        socket.stop()
        assert came, f"only {len(seen)} frames came"
        equal({frame["e"] for frame in seen}, {kind}, "events")

    cases.add(
        "5.2",
        "depth",
        listen,
        "/public",
        lambda socket: socket.diff_book_depth("BTCUSDT", speed=100),
        "depthUpdate",
    )
    cases.add("5.3", "trades", listen, "/market", lambda socket: socket.agg_trade("BTCUSDT"), "aggTrade")
    cases.add(
        "5.4",
        "book ticker, combined",
        listen,
        "/public",
        lambda socket: socket.book_ticker("BTCUSDT"),
        "bookTicker",
        True,
    )
    cases.add(
        "5.5",
        "depth from the single root of old",
        listen,
        "",
        lambda socket: socket.diff_book_depth("ETHUSDT", speed=100),
        "depthUpdate",
    )

    cases.add(
        "5.9",
        "partial depth",
        listen,
        "/public",
        lambda socket: socket.partial_book_depth("BTCUSDT", level=5, speed=100),
        "depthUpdate",
    )
    cases.add(
        "5.10",
        "bars of 15 minutes",
        listen,
        "/market",
        lambda socket: socket.kline("BTCUSDT", "15m"),
        "kline",
        False,
        2,
    )

    def orders():
        seen = []
        key = client.new_listen_key()["listenKey"]
        socket = UMFuturesWebsocketClient(
            stream_url=ws + "/private", on_message=lambda _, text: seen.append(json.loads(text))
        )
        socket.user_data(listen_key=key)
        time.sleep(0.3)
        filters = {
            one["filterType"]: one
            for market in client.exchange_info()["symbols"]
            if market["symbol"] == "SOLUSDT"
            for one in market["filters"]
        }
        tick, step = Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])
        best = Decimal(client.depth("SOLUSDT", limit=5)["bids"][0][0])
        quantity = (Decimal(300) / best / step).to_integral_value() * step
        placed = client.new_order(
            symbol="SOLUSDT",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity=str(quantity),
            price=str(near(best, tick, 0.97)),
        )
        equal(placed["status"], "NEW", "status")
        equal(client.query_order("SOLUSDT", orderId=placed["orderId"])["status"], "NEW", "status")
        equal(
            [one["orderId"] for one in client.get_orders(symbol="SOLUSDT")],
            [placed["orderId"]],
            "open orders",
        )
        equal(client.cancel_order("SOLUSDT", orderId=placed["orderId"])["status"], "CANCELED", "status")
        time.sleep(0.5)
        client.renew_listen_key(key)
        socket.stop()
        client.close_listen_key(key)
        life = [one["o"]["X"] for one in seen if one.get("e") == "ORDER_TRADE_UPDATE"]
        equal(life, ["NEW", "CANCELED"], "events")

    cases.add("5.6", "orders and the user stream", orders)

    def account():
        assert Decimal(client.account()["totalWalletBalance"]) > 0
        assert client.balance()
        client.get_position_risk(symbol="BTCUSDT")

    cases.add("5.7", "account", account)

    def refusals():
        try:
            client.depth("NOUSDT")
            fail("no error")
        except ClientError as error:
            equal((error.status_code, error.error_code), (400, -1121), "error")
        try:
            UMFutures(key=KEY, secret="wrong", base_url=rest).account()
            fail("no error")
        except ClientError as error:
            equal(error.error_code, -1022, "code")

    cases.add("5.8", "error codes", refusals)


def by_connector(cases, venue):
    result = subprocess.run(
        [sys.executable, "-B", __file__, "--rest", venue.rest, "--ws", venue.ws],
        capture_output=True,
        text=True,
        timeout=90,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return cases.add("5.0", "the connector's process", fail, result.stderr[-500:])
    verdict = json.loads(lines[-1])
    failed = {one["case"]: one for one in verdict["failed"]}
    for number, title in verdict["table"]:
        found = failed.get(number)
        cases.add(number, title, lambda found=found: found and fail(found["found"]))


# 6, 7 -------------------------------------------------------------------------------------------------------


def faults(cases, venue):
    def post(body, token=TOKEN):
        request = urllib.request.Request(
            venue.rest + "/venue/faults", data=json.dumps(body).encode(), method="POST"
        )
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def refused():
        for token in (None, "wrong"):
            try:
                post({"fault": "rest_error", "count": 1}, token)
                fail("a fault without the token")
            except urllib.error.HTTPError as error:
                equal(error.code, 401, "status")

    cases.add("6.1", "faults need the token", refused)

    def rest_error():
        post({"fault": "rest_error", "count": 1})
        try:
            venue.get("/fapi/v1/time")
            fail("the fault has no effect")
        except urllib.error.HTTPError as error:
            equal(error.code, 503, "status")
        venue.get("/fapi/v1/time")

    cases.add("6.2", "an error of REST", rest_error)

    async def silenced():
        from websockets.asyncio.client import connect

        async with connect(venue.ws + "/public/ws/btcusdt@depth", proxy=None) as socket:
            await socket.recv()
            post({"fault": "silence", "stream": "btcusdt@depth", "duration_ms": 1200})
            start = time.monotonic()
            while time.monotonic() - start < 3:
                before = time.monotonic()
                await asyncio.wait_for(socket.recv(), 5)
                if time.monotonic() - before > 0.8:
                    return
            fail("the stream was not silent")

    cases.add("6.3", "a silent stream", lambda: asyncio.run(silenced()))


def truths(cases, venue, books, truth):
    for index, symbol in enumerate(venue.symbols, 1):

        def book(symbol=symbol):
            mine = books.books[symbol]
            compare_book(truth["symbols"][symbol], mine["u"], mine["b"], mine["a"])

        cases.add(f"7.{index}", f"book of {symbol} by the official procedure", book)

        def trades(symbol=symbol):
            ids = [event["a"] for event in books.trades[symbol]]
            assert len(ids) > 10, f"{len(ids)} trades"
            equal(ids, list(range(ids[0], ids[0] + len(ids))), "ids")
            equal(ids[-1], truth["symbols"][symbol]["trades"]["last_a"], "last trade")

        cases.add(f"7.{index + 3}", f"trades of {symbol}", trades)
    cases.add("7.7", "no resynchronisation was needed", lambda: equal(books.problems, [], "problems"))


def main():
    arguments = kit.arguments(__doc__, ("--rest", {"help": "inside: the connector's process"}), ("--ws", {}))
    cases = kit.Cases("venue_clients", arguments)
    if arguments.rest:
        sys.path.insert(0, os.path.join(sys.prefix, CONNECTOR))
        connector_cases(cases, arguments.rest, arguments.ws)
        cases.run()
        cases.finish()
    venue = Venue(arguments.weir)
    books = Books(venue)
    books.start()
    by_websockets(cases, venue)
    cases.run(workers=4)
    by_ccxt(cases, venue)
    cases.run()
    by_ccxt_pro(cases, venue)
    cases.run(workers=3)
    by_python_binance(cases, venue)
    cases.run(workers=3)
    by_connector(cases, venue)
    faults(cases, venue)
    cases.run()
    truth = venue.stop()
    books.over.wait(5)
    truths(cases, venue, books, truth)
    cases.run()
    cases.finish()


main()
