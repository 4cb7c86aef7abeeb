import Core

/// One decoded frame in flat storage that the decoder fills and the stages read: numbers in fields, book
/// levels in two parallel arrays (bids first, then asks).
///
/// A whole frame is parsed and checked here before any of it is applied, so that a bad frame can never
/// half-update a book. The storage is allocated once and reused.
public struct DecodedFrame: ~Copyable {
  /// More levels than any depth message has (spot snapshots have 5,000 a side); a frame beyond it is an error.
  public static let levelsMax = 16_384

  public internal(set) var kind: FrameKind = .other
  public internal(set) var symbol: SymbolID = .none
  /// Which ``Field``s the frame had.
  public internal(set) var present: UInt32 = 0
  /// `X` was given and is not `MARKET` (an insurance-fund or auto-deleveraging trade).
  public internal(set) var isExcludedTrade = false
  public internal(set) var bidCount = 0
  public internal(set) var askCount = 0
  public let prices: UnsafeMutablePointer<Int64>
  public let quantities: UnsafeMutablePointer<Int64>
  @usableFromInline let fields: UnsafeMutablePointer<Int64>

  /// A number of a frame. Raw values index the field storage.
  public enum Field: UInt8, Sendable, CaseIterable {
    /// `E`, ms
    case eventTime
    /// `T`, ms
    case transactionTime
    /// `U` of a depth event
    case firstUpdateID
    /// `u` of a depth event or a book ticker
    case finalUpdateID
    /// `pu`
    case previousFinalUpdateID
    /// `a` of an aggregate trade, `t` of a trade
    case tradeID
    case price, quantity
    /// `nq`: the aggregate's quantity without retail price improvement orders
    case quantityWithoutRPI
    case firstTradeID, lastTradeID
    /// 1 when the buyer is the maker, i.e. the taker sold
    case buyerIsMaker
    case bidPrice, bidQuantity, askPrice, askQuantity
  }

  public init() {
    prices = .allocate(capacity: DecodedFrame.levelsMax)
    quantities = .allocate(capacity: DecodedFrame.levelsMax)
    fields = .allocate(capacity: Field.allCases.count)
    fields.initialize(repeating: 0, count: Field.allCases.count)
  }

  deinit {
    prices.deallocate()
    quantities.deallocate()
    fields.deallocate()
  }

  @inlinable @inline(__always)
  public func has(_ field: Field) -> Bool { present & (1 << UInt32(field.rawValue)) != 0 }

  /// Meaningful only when the frame ``has(_:)`` the field.
  @inlinable @inline(__always)
  public subscript(field: Field) -> Int64 { fields[Int(field.rawValue)] }

  /// `E` in milliseconds; nil where the frame has none (spot book tickers).
  @inlinable @inline(__always)
  public var eventTimeMs: Int64? { has(.eventTime) ? self[.eventTime] : nil }

  @inlinable @inline(__always)
  public var depthIDs: DepthIDs {
    DepthIDs(
      first: self[.firstUpdateID], final: self[.finalUpdateID],
      previousFinal: has(.previousFinalUpdateID) ? self[.previousFinalUpdateID] : nil)
  }

  @inlinable @inline(__always)
  public var quote: Quote {
    Quote(
      bidPrice: self[.bidPrice], bidQuantity: self[.bidQuantity], askPrice: self[.askPrice],
      askQuantity: self[.askQuantity])
  }

  @inlinable @inline(__always)
  public var aggressor: Aggressor { self[.buyerIsMaker] != 0 ? .seller : .buyer }
}

/// Why a payload is not a frame that can be used.
public enum DecodeError: UInt8, Error, Sendable, CaseIterable {
  /// Not JSON, or not of the structure of a frame.
  case malformed
  /// A field that the kind of frame must have is absent.
  case missingField
  /// A field has another type than it must have.
  case wrongType
  /// A price or quantity with more decimals than the instrument has, or out of range.
  case offGrid
  /// A number beyond 64 bits.
  case overflow
  /// A price that is not above zero, a negative quantity, or ids in the wrong order.
  case invalidValue
  case tooManyLevels
  /// More instruments than ``SymbolTable/countMax``.
  case tooManySymbols

  public var name: StaticString {
    switch self {
    case .malformed: "malformed"
    case .missingField: "missing_field"
    case .wrongType: "wrong_type"
    case .offGrid: "off_grid"
    case .overflow: "overflow"
    case .invalidValue: "invalid_value"
    case .tooManyLevels: "too_many_levels"
    case .tooManySymbols: "too_many_symbols"
    }
  }
}
