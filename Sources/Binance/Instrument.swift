import Core

/// How an instrument's decimals become integers.
public struct Instrument: Hashable, Sendable {
  public var priceScale: DecimalScale
  public var quantityScale: DecimalScale

  public init(priceScale: DecimalScale, quantityScale: DecimalScale) {
    self.priceScale = priceScale
    self.quantityScale = quantityScale
  }
}

/// The instruments of a tape: given by configuration, or learnt from the first frame that carries prices.
///
/// The exchange pads every price and quantity of an instrument to a fixed number of decimals, so the first
/// frame shows the power of ten. From then on a value that needs more decimals is a decode error, never
/// rounded; `instruments.SYMBOL.price_decimals` in the configuration settles it where a feed does not pad.
public struct InstrumentTable: Sendable {
  public var symbols = SymbolTable()
  var instruments: [Instrument?] = []
  private let configured: [String: Instrument]

  public init(configured: [String: Instrument] = [:]) { self.configured = configured }

  /// The symbol's id, new if unseen; `nil` when the table is full.
  public mutating func intern(_ name: String) -> SymbolID? {
    guard let id = symbols.intern(name) else { return nil }
    while instruments.count < symbols.count {
      instruments.append(configured[symbols.names[instruments.count]])
    }
    return id
  }

  public subscript(id: SymbolID) -> Instrument? {
    get { instruments[id.index] }
    set { instruments[id.index] = newValue }
  }
}

/// The number of decimals a wire decimal is written with; `nil` when it is not a plain decimal.
func writtenDecimals(_ text: UnsafeRawBufferPointer) -> Int? {
  var fraction = -1
  for byte in text {
    if byte == 0x2E, fraction < 0 {
      fraction = 0
    } else if byte &- 0x30 > 9, byte != 0x2D {
      return nil
    } else if fraction >= 0 {
      fraction += 1
    }
  }
  return text.isEmpty ? nil : max(0, fraction)
}
