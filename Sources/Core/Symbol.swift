/// An instrument as a small dense number, given in order of first appearance in a ``SymbolTable``.
@frozen
public struct SymbolID: RawRepresentable, Hashable, Comparable, Sendable {
  public var rawValue: Int32
  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
  @inlinable public init(_ index: Int) { rawValue = Int32(truncatingIfNeeded: index) }
  @inlinable public var index: Int { Int(rawValue) }
  @inlinable public static func < (a: SymbolID, b: SymbolID) -> Bool { a.rawValue < b.rawValue }
  public static let none = SymbolID(rawValue: -1)
}

/// The names behind ``SymbolID``s. Names are upper case, as in a frame's `s` field.
public struct SymbolTable: Sendable {
  public private(set) var names: [String] = []
  private var ids: [String: SymbolID] = [:]

  /// A venue lists fewer than a thousand instruments; the bound keeps junk from growing the table for ever.
  public static let countMax = 4096

  public init() {}

  public var count: Int { names.count }

  /// The id of a name, new if it was not seen; `nil` once the table is full.
  public mutating func intern(_ name: String) -> SymbolID? {
    if let id = ids[name] { return id }
    guard names.count < SymbolTable.countMax else { return nil }
    let id = SymbolID(names.count)
    names.append(name)
    ids[name] = id
    return id
  }

  public func find(_ name: String) -> SymbolID? { ids[name] }

  public subscript(id: SymbolID) -> String { names[id.index] }
}

/// A side of the book.
public enum Side: UInt8, Sendable {
  case bid, ask
}

/// Who took liquidity. `m` (buyer is maker) true means the taker sold.
public enum Aggressor: UInt8, Sendable {
  case buyer, seller
}
