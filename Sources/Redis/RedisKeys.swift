/// The names of all keys, spelt once.
///
/// The symbol stands in braces: a cluster places a key by what is between them, so that all keys of a symbol lie
/// on one node and can be read in one pipeline.
public struct RedisKeys: Equatable, Sendable {
  public let prefix: String

  public init(prefix: String = "weir:") { self.prefix = prefix }

  /// The latest signal row of a symbol.
  public func signal(_ symbol: String) -> String { signalPrefix + "{\(symbol)}" }
  /// The features in it.
  public func features(_ symbol: String) -> String { prefix + "features:{\(symbol)}" }
  public func lock(_ name: String, symbol: String) -> String { prefix + "lock:{\(symbol)}:\(name)" }
  /// What trading costs.
  public func cost(regime: String, symbol: String, timeframe: String) -> String {
    prefix + "cost:\(regime):{\(symbol)}:\(timeframe)"
  }

  var signalPrefix: String { prefix + "signal:" }

  /// The symbol of a signal's key; nil for any other key.
  func symbol(ofSignal key: String) -> String? {
    guard key.hasPrefix(signalPrefix + "{"), key.hasSuffix("}") else { return nil }
    return String(key.dropFirst(signalPrefix.count + 1).dropLast())
  }
}
