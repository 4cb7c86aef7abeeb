import Configuration

extension WeirConfiguration {
  static let harvestKeys: [ConfigKey<WeirConfiguration>] = [
    .texts(
      "harvest.streams", \.harvest.streams, count: 1...6,
      "streams of each symbol, at most one of a kind"),
    .integer(
      "harvest.symbols_per_connection", \.harvest.symbolsPerConnection, 1...200,
      "symbols a connection carries"),
    .integer(
      "harvest.streams_per_connection_max", \.harvest.streamsPerConnectionMax, 1...1024,
      "streams a connection carries"),
    .integer(
      "harvest.first_frame_ms", \.harvest.firstFrameMs, 100...600_000,
      "first frame of a book, quote or mark price stream"),
    .integer(
      "harvest.first_frame_trade_ms", \.harvest.firstFrameTradeMs, 100...3_600_000,
      "first frame of a trade stream"),
    .integer(
      "harvest.stream_silence_ms", \.harvest.streamSilenceMs, 0...3_600_000,
      "silence of one such stream while others deliver; 0 turns the watchdog off"),
    .integer(
      "harvest.silence_public_ms", \.harvest.silencePublicMs, 100...600_000,
      "silence of a connection of books and quotes"),
    .integer(
      "harvest.silence_market_ms", \.harvest.silenceMarketMs, 100...600_000,
      "silence of a connection of trades and prices"),
    .integer("harvest.heartbeat_ms", \.harvest.heartbeatMs, 100...60_000, "between two pings"),
    .integer(
      "harvest.heartbeat_timeout_ms", \.harvest.heartbeatTimeoutMs, 200...600_000,
      "without frame or pong a connection is dead"),
    .integer(
      "harvest.connect_timeout_ms", \.harvest.connectTimeoutMs, 100...600_000, "to open a connection"),
    .integer("harvest.backoff_ms_min", \.harvest.backoffMsMin, 1...60_000, "wait after the first failure"),
    .integer("harvest.backoff_ms_max", \.harvest.backoffMsMax, 1...600_000, "it doubles up to this"),
    .integer(
      "harvest.stable_ms", \.harvest.stableMs, 1000...3_600_000,
      "a connection that delivered for so long starts the backoff anew"),
    .integer(
      "harvest.rotate_after_s", \.harvest.rotateAfterSeconds, 10...86_000,
      "age at which a connection is replaced; the exchange closes it at 86400"),
    .integer(
      "harvest.rotation_timeout_ms", \.harvest.rotationTimeoutMs, 1000...600_000,
      "for the new connection to deliver what the old one does"),
    .integer(
      "harvest.snapshot_check_ms", \.harvest.snapshotCheckMs, 1000...600_000,
      "between two looks at all books"),
    .integer(
      "harvest.request_weight_max", \.harvest.requestWeightMax, 60...100_000,
      "request weight the exchange allows a minute"),
    .double("harvest.weight_share", \.harvest.weightShare, 0.01...1, "share of it that is used"),
    .double(
      "harvest.check_weight_share", \.harvest.checkWeightShare, 0...1,
      "share of it for comparing books with the exchange's; 0 for none"),
    .integer("harvest.requests_in_flight_max", \.harvest.requestsInFlightMax, 1...64, "requests at a time"),
    .integer("harvest.request_timeout_ms", \.harvest.requestTimeoutMs, 100...120_000, "to answer a request"),
    .integer(
      "harvest.backfill_trades_max", \.harvest.backfillTradesMax, 0...10_000_000,
      "longest hole in a symbol's trades that is filled; of a longer one its newest part"),
    .integer(
      "harvest.clock_interval_ms", \.harvest.clockIntervalMs, 1000...3_600_000,
      "between two comparisons of the clocks"),
    .double(
      "harvest.clock_drift_ms_max", \.harvest.clockDriftMsMax, 0.1...60_000,
      "drift beyond which time is degraded"),
    .integer(
      "harvest.clock_drift_for_ms", \.harvest.clockDriftForMs, 0...86_400_000, "if it lasts for so long"),
    .integer("harvest.batch_ms", \.harvest.batchMs, 1...1000, "between two commits of the tape, at first"),
    .integer("harvest.batch_ms_min", \.harvest.batchMsMin, 1...1000, "it is tuned down to this"),
    .integer("harvest.batch_ms_max", \.harvest.batchMsMax, 1...1000, "and up to this"),
  ]
}
