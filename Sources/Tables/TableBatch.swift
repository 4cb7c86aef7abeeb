import Core

/// Rows of one table in columns, on their way from the tape to a file or a server.
///
/// Every value is an `Int64`: integers as they are, decimals in 1e-8 units, booleans 0 and 1, names as
/// indices of ``names``, texts as indices of the batch's own texts; ``null`` where there is none. A column
/// that is of the message (``TableColumn/isOfMessage``) has one value a message, others one a row.
/// The storage grows and is reused.
public final class TableBatch {
  public static let null = Int64.min

  public let schema: TableSchema
  /// The symbol of all rows, where the rows are kept apart by symbol.
  public let symbol: String?
  public private(set) var messageCount = 0
  public private(set) var rowCount = 0
  /// Rows of each message; at least one.
  public private(set) var messageRows: UnsafeMutablePointer<Int32>
  /// The names that occurred, which keep their indices for good.
  public private(set) var names: [String] = []
  private var columns: [UnsafeMutablePointer<Int64>]
  private var messageCapacity = TableBatch.capacityMin
  private var rowCapacity = TableBatch.capacityMin
  private var nameIndices: [String: Int64] = [:]
  private var textBytes = ByteWriter(capacity: 256)
  private var textEnds: [Int] = []

  public init(_ schema: TableSchema, symbol: String? = nil) {
    self.schema = schema
    self.symbol = symbol
    messageRows = .allocate(capacity: messageCapacity)
    columns = schema.columns.map { _ in .allocate(capacity: TableBatch.capacityMin) }
  }

  deinit {
    messageRows.deallocate()
    for column in columns { column.deallocate() }
  }

  /// A column's values: ``messageCount`` or ``rowCount`` of them.
  public func values(_ column: Int) -> UnsafePointer<Int64> { UnsafePointer(columns[column]) }

  public func text(_ index: Int64) -> UnsafeRawBufferPointer {
    let start = index == 0 ? 0 : textEnds[Int(index) - 1]
    return UnsafeRawBufferPointer(rebasing: textBytes.bytes[start..<textEnds[Int(index)]])
  }

  /// Bytes that the values take.
  public var byteCount: Int {
    let perMessage = schema.columns.count { $0.isOfMessage }
    return 8 * (messageCount * perMessage + rowCount * (schema.columns.count - perMessage)) + textBytes.count
  }

  /// Bytes of memory that the values have room for.
  public var storageBytes: Int {
    let perMessage = schema.columns.count { $0.isOfMessage }
    return (8 * perMessage + 4) * messageCapacity + 8 * (schema.columns.count - perMessage) * rowCapacity
      + textBytes.count
  }

  public func removeAll() {
    messageCount = 0
    rowCount = 0
    textBytes.removeAll()
    textEnds.removeAll(keepingCapacity: true)
  }

  /// Removes all rows and gives back the memory that they took; names keep their indices.
  public func removeAllAndShrink() {
    removeAll()
    messageCapacity = TableBatch.capacityMin
    rowCapacity = TableBatch.capacityMin
    messageRows.deallocate()
    messageRows = .allocate(capacity: messageCapacity)
    for index in columns.indices {
      columns[index].deallocate()
      columns[index] = .allocate(capacity: TableBatch.capacityMin)
    }
    textBytes = ByteWriter(capacity: 256)
    textEnds = []
  }

  private static let capacityMin = 256

  /// The index of a name, new if unseen.
  public func index(ofName name: String) -> Int64 {
    if let index = nameIndices[name] { return index }
    let index = Int64(names.count)
    names.append(name)
    nameIndices[name] = index
    return index
  }

  /// By kind of trade; -1 where it has none yet.
  private var tradeKindIndices = [Int64](repeating: -1, count: TradeKind.allCases.count)

  @inline(__always)
  func index(of kind: TradeKind) -> Int64 {
    if tradeKindIndices[kind.rawValue] < 0 { tradeKindIndices[kind.rawValue] = index(ofName: kind.name) }
    return tradeKindIndices[kind.rawValue]
  }

  /// By symbol, its index among the names; -1 where it has none yet.
  private var symbolIndices: [Int64] = []

  @inline(__always)
  func index(ofSymbol symbol: SymbolID, names table: SymbolTable) -> Int64 {
    if symbol.index < symbolIndices.count, symbolIndices[symbol.index] >= 0 {
      return symbolIndices[symbol.index]
    }
    return addSymbol(symbol, table)
  }

  @inline(never)
  private func addSymbol(_ symbol: SymbolID, _ table: SymbolTable) -> Int64 {
    while symbolIndices.count <= symbol.index { symbolIndices.append(-1) }
    symbolIndices[symbol.index] = index(ofName: table[symbol])
    return symbolIndices[symbol.index]
  }

  func append(text: UnsafeRawBufferPointer) -> Int64 {
    textBytes.append(bytes: text)
    textEnds.append(textBytes.count)
    return Int64(textEnds.count - 1)
  }

  /// Room for one more message of so many rows; the caller fills every column at the places it returns.
  @inline(__always)
  func begin(rows: Int) -> (message: Int, row: Int) {
    if messageCount == messageCapacity || rowCount &+ rows > rowCapacity { grow(rows) }
    let place = (messageCount, rowCount)
    messageRows[messageCount] = Int32(truncatingIfNeeded: rows)
    messageCount &+= 1
    rowCount &+= rows
    return place
  }

  /// The column for writing.
  @inline(__always)
  func column(_ index: Int) -> UnsafeMutablePointer<Int64> { columns[index] }

  @inline(never)
  private func grow(_ rows: Int) {
    func move<T>(_ old: inout UnsafeMutablePointer<T>, _ count: Int, _ capacity: Int) {
      let new = UnsafeMutablePointer<T>.allocate(capacity: capacity)
      new.update(from: old, count: count)
      old.deallocate()
      old = new
    }
    let messages = messageCount == messageCapacity ? messageCapacity * 2 : messageCapacity
    var room = rowCapacity
    while room < rowCount + rows { room *= 2 }
    if messages != messageCapacity { move(&messageRows, messageCount, messages) }
    for (index, column) in schema.columns.enumerated() {
      if column.isOfMessage {
        if messages != messageCapacity { move(&columns[index], messageCount, messages) }
      } else if room != rowCapacity {
        move(&columns[index], rowCount, room)
      }
    }
    messageCapacity = messages
    rowCapacity = room
  }
}
