import Core

/// Puts the latest row of each symbol where ``HotCache`` finds it.
///
/// A row that is replaced before it was written is not written: readers want the latest one. So what waits while
/// the server is down is bounded by the number of symbols, and ``superseded`` counts what nobody will see.
public struct HotCacheWriter {
  private struct Row {
    var signal: [UInt8]
    var features: [UInt8]
  }

  public let lifeSeconds: Int
  private let keys: RedisKeys
  private var waiting: [String: Row] = [:]
  private var order: [String] = []
  public private(set) var written = 0
  public private(set) var superseded = 0

  /// - Parameter lifeSeconds: after which a key is gone unless it is written again.
  public init(lifeSeconds: Int, keys: RedisKeys = RedisKeys()) {
    self.lifeSeconds = lifeSeconds
    self.keys = keys
  }

  public var waitingSymbols: Int { order.count }

  /// - Parameters:
  ///   - signal: the row as JSON.
  ///   - features: its features as JSON.
  public mutating func add(symbol: String, signal: [UInt8], features: [UInt8]) {
    if waiting.updateValue(Row(signal: signal, features: features), forKey: symbol) == nil {
      order.append(symbol)
    } else {
      superseded += 1
    }
  }

  /// Writes what waits, in pipelines.
  ///
  /// - Throws: ``RedisError``; what was not surely written still waits.
  public mutating func write(
    to connection: RedisConnection, pipeline: inout RedisPipeline
  ) throws(RedisError) {
    // Both keys of a symbol go out in one pipeline.
    let symbolsMax = max(1, pipeline.commandsMax / 2)
    while !order.isEmpty {
      let batch = order.prefix(symbolsMax)
      pipeline.removeAll()
      for symbol in batch {
        let row = waiting[symbol]!
        for (key, value) in [(keys.signal(symbol), row.signal), (keys.features(symbol), row.features)] {
          if pipeline.isFull { try send(&pipeline, connection) }
          pipeline.begin("SETEX", words: 4)
          pipeline.append(key)
          pipeline.append(String(lifeSeconds))
          value.withUnsafeBytes { pipeline.append($0) }
        }
      }
      try send(&pipeline, connection)
      for symbol in batch { waiting[symbol] = nil }
      written += batch.count
      order.removeFirst(batch.count)
    }
  }

  private func send(_ pipeline: inout RedisPipeline, _ connection: RedisConnection) throws(RedisError) {
    for reply in try connection.send(&pipeline) {
      if case .error(let text) = reply { throw .reply(text, to: "SETEX", at: connection.endpoint) }
    }
  }
}
