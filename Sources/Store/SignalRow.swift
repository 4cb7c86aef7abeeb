import Core
import Flow
import Strategy

/// The one mapping from a ``Signal`` to the values of its columns.
///
/// Two sinks that each format a row on their own drift apart: one rounds, the other prints sixteen digits, a
/// third column is renamed in one of them. Here a row is rendered once, as its canonical JSON line, and every
/// column leaves a ``Cell`` that says where its text lies and which exact decimal it stands for. The JSONL
/// sink copies the line, the SQLite sink binds the cells, the run's hash covers the line; none of them sees
/// the ``Signal``. Equal values are then a property of the construction and not of a test.
///
/// All text is written through one cursor into room that is known to suffice, so that a row allocates nothing
/// and checks no bound per value. Names and other fixed texts are kept in 32-byte slots, copied 24 bytes at a
/// time whatever their length.
public struct SignalRow: ~Copyable {
  enum CellKind: UInt8 {
    case null, integer, boolean, decimal, text
  }

  /// Where a column's text lies, and the number it stands for.
  struct Cell {
    var kind: CellKind
    /// `.decimal`: the value is `units / 10^decimals`.
    var decimals: UInt8
    /// From ``SignalRow/base``; text is without its quotes and not escaped.
    var offset: Int32
    var length: Int32
    /// `.integer`, `.boolean`: the value. `.decimal`: see `decimals`; `Int64.max` when it does not fit.
    var units: Int64
  }

  /// A foreign text, as it is and as a JSON string's content.
  struct ForeignText {
    var raw: UnsafeMutableRawBufferPointer
    var escaped: UnsafeMutableRawBufferPointer
    var isPlain: Bool

    init(_ text: String) {
      var writer = ByteWriter(capacity: 64)
      writer.append(text)
      raw = ForeignText.copy(writer.bytes)
      writer.removeAll()
      writer.append(jsonString: text)
      escaped = ForeignText.copy(UnsafeRawBufferPointer(rebasing: writer.bytes.dropFirst().dropLast()))
      isPlain = raw.count == escaped.count
    }

    /// At least a slot's room, so that ``putText(_:_:)`` may copy a fixed length.
    static func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
      let room = max(SignalRow.slotTextMax, bytes.count)
      let result = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 8)
      result.initializeMemory(as: UInt8.self, repeating: 0)
      result.copyMemory(from: bytes)
      return UnsafeMutableRawBufferPointer(rebasing: result[..<bytes.count])
    }

    func deallocate() {
      raw.deallocate()
      escaped.deallocate()
    }
  }

  static let columnCount = Signal.columns.count
  /// Everything in a row that is not foreign text: names and punctuation 424, 11 decimals of at most 42,
  /// integers, names of kinds, reasons and flags, and the slack of the 24-byte copies.
  private static let fixedBytesMax = 2048
  private static let slotStride = 32
  static let slotTextMax = 24

  public private(set) var symbol = SymbolID.none
  public private(set) var receiveTime = UnixNanos(0)
  public private(set) var trigger = Signal.Trigger.grid
  public private(set) var symbols = SymbolTable()

  var base: UnsafeMutablePointer<UInt8>
  var capacity: Int
  private var lineLength = 0
  let cells: UnsafeMutablePointer<Cell>
  private var names: [ForeignText] = []
  private var nameBytesMax = 0
  private let configVersion: ForeignText
  private let slots: UnsafeMutablePointer<UInt8>
  var flags = QualityFlags()
  var flagsText = ByteWriter(capacity: 128)

  public init(_ context: SignalContext) {
    precondition(SignalColumn.allCases.count == SignalRow.columnCount, "one case for every column")
    configVersion = ForeignText(context.configVersion)
    cells = .allocate(capacity: SignalRow.columnCount)
    cells.initialize(
      repeating: Cell(kind: .null, decimals: 0, offset: 0, length: 0, units: 0), count: SignalRow.columnCount)
    slots = .allocate(capacity: SignalRow.slotStride * Slot.count)
    slots.initialize(repeating: 0, count: SignalRow.slotStride * Slot.count)
    capacity = 0
    base = .allocate(capacity: 1)
    fillSlots()
    register(context.symbols)
  }

  deinit {
    for name in names { name.deallocate() }
    configVersion.deallocate()
    base.deallocate()
    cells.deallocate()
    slots.deallocate()
  }

  /// The canonical JSON object of the last encoded signal with its newline, valid until the next.
  public var line: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: lineLength) }

  /// Takes over the names that a growing table gained; ids never change their meaning.
  ///
  /// - Complexity: O(new names)
  public mutating func register(_ table: SymbolTable) {
    precondition(table.count >= names.count, "a symbol table only grows")
    for index in names.count..<table.count {
      let name = ForeignText(table[SymbolID(index)])
      names.append(name)
      nameBytesMax = max(nameBytesMax, name.escaped.count + name.raw.count)
    }
    symbols = table
    let context = configVersion.escaped.count + configVersion.raw.count
    let wanted = SignalRow.fixedBytesMax + 2 * nameBytesMax + context
    if wanted > capacity {
      base.deallocate()
      base = .allocate(capacity: wanted)
      capacity = wanted
      lineLength = 0
    }
  }

  // MARK: Fixed texts

  /// Slot numbers: a prefix such as `,"z_ofi":` for every column, then the quoted names of the enumerations.
  enum Slot {
    static let kind = SignalRow.columnCount
    static let regime = kind + Signal.Kind.allCases.count
    static let mode = regime + 3
    static let guardReason = mode + Signal.Mode.allCases.count
    static let scenario = guardReason + Signal.GuardReason.allCases.count
    static let divergence = scenario + Scenario.allCases.count
    static let count = divergence + DivergenceKind.allCases.count
  }

  private mutating func fillSlots() {
    for column in SignalColumn.allCases {
      setSlot(column.rawValue, column.rawValue == 0 ? "{\"" : ",\"", column.name, "\":")
    }
    for kind in Signal.Kind.allCases { setSlot(Slot.kind + Int(kind.rawValue), "\"", kind.name, "\"") }
    for regime in [Signal.Regime.normal, .active, .quiet] {
      setSlot(Slot.regime + Int(regime.rawValue), "\"", regime.name, "\"")
    }
    for mode in Signal.Mode.allCases { setSlot(Slot.mode + Int(mode.rawValue), "\"", mode.name, "\"") }
    for reason in Signal.GuardReason.allCases {
      setSlot(Slot.guardReason + Int(reason.rawValue), "\"", reason.name, "\"")
    }
    for scenario in Scenario.allCases {
      setSlot(Slot.scenario + Int(scenario.rawValue), "\"", scenario.name, "\"")
    }
    for kind in DivergenceKind.allCases {
      setSlot(Slot.divergence + Int(kind.rawValue), "\"", kind.name, "\"")
    }
  }

  private func setSlot(_ slot: Int, _ before: StaticString, _ name: StaticString, _ after: StaticString) {
    var writer = ByteWriter(capacity: 64)
    writer.append(before)
    writer.append(name)
    writer.append(after)
    precondition(
      writer.count <= SignalRow.slotTextMax, "a column or enumeration name is too long for its slot")
    let start = UnsafeMutableRawPointer(slots + slot * SignalRow.slotStride)
    start.copyMemory(from: writer.bytes.baseAddress!, byteCount: writer.count)
    slots[slot * SignalRow.slotStride + SignalRow.slotStride - 1] = UInt8(writer.count)
  }

  @inline(__always)
  func put(slot: Int, _ cursor: inout UnsafeMutablePointer<UInt8>) {
    let start = slots + slot &* SignalRow.slotStride
    UnsafeMutableRawPointer(cursor).copyMemory(from: start, byteCount: SignalRow.slotTextMax)
    cursor += Int(start[SignalRow.slotStride - 1])
  }

  // MARK: Encoding

  /// Renders a signal into ``line`` and the cells.
  ///
  /// - Precondition: the signal's symbol was registered.
  /// - Complexity: O(length of the line), without allocation
  public mutating func encode(_ signal: Signal) {
    precondition(signal.symbol.index >= 0 && signal.symbol.index < names.count, "register the symbol first")
    symbol = signal.symbol
    receiveTime = signal.receiveTime
    trigger = signal.trigger
    let name = names[signal.symbol.index]
    var cursor = base

    put(slot: SignalColumn.signalID.rawValue, &cursor)
    cursor[0] = 0x22
    let idStart = cursor + 1
    cursor = idStart
    putText(name.escaped, &cursor)
    let idTail = cursor
    cursor[0] = 0x2D
    cursor += 1
    let digits = cursor
    putInteger(signal.receiveTime.rawValue, &cursor)
    let digitCount = cursor - digits
    cursor[0] = 0x2D
    cursor[1] = signal.trigger.letter
    cursor += 2
    let idEnd = cursor
    cursor[0] = 0x22
    cursor += 1
    setText(.signalID, idStart, idEnd)

    // From one millisecond after 1970 on, the milliseconds are the nanoseconds' digits without the last six.
    if signal.receiveTime.rawValue >= 1_000_000 {
      integer(.tsMs, signal.receiveTime.milliseconds, digits, digitCount - 6, &cursor)
    } else {
      integer(.tsMs, signal.receiveTime.milliseconds, &cursor)
    }
    integer(.recvNs, signal.receiveTime.rawValue, digits, digitCount, &cursor)
    put(slot: SignalColumn.symbol.rawValue, &cursor)
    quoted(.symbol, name, &cursor)
    micros(.score, signal.score, &cursor)
    micros(.zOFI, signal.zOFI, &cursor)
    micros(.zCVD, signal.zCVD, &cursor)
    micros(.ofi, signal.ofi, &cursor)
    decimal(.cvd, signal.cvd, signal.quantityScale.decimals, &cursor)
    micros(.consistency, signal.consistency, &cursor)
    micros(.dispersion, signal.dispersion, &cursor)
    price(signal.doubledMid, signal.priceScale.decimals, &cursor)
    micros(.spreadBps, signal.spreadBps, &cursor)
    micros(.lagMs, signal.lagMs, &cursor)
    micros(.stalenessMs, signal.stalenessMs, &cursor)
    fixed(.regime, Slot.regime + Int(signal.regime.rawValue), &cursor)
    fixed(.mode, Slot.mode + Int(signal.mode.rawValue), &cursor)
    if signal.scenario == .none {
      null(.scenario, &cursor)
    } else {
      fixed(.scenario, Slot.scenario + Int(signal.scenario.rawValue), &cursor)
    }
    if signal.divergence == .none {
      null(.divType, &cursor)
    } else {
      fixed(.divType, Slot.divergence + Int(signal.divergence.rawValue), &cursor)
    }
    fixed(.signalType, Slot.kind + Int(signal.kind.rawValue), &cursor)
    boolean(.confirm, signal.confirmed, &cursor)
    boolean(.gating, signal.guardReason != .none, &cursor)
    if signal.guardReason == .none {
      null(.guardReason, &cursor)
    } else {
      fixed(.guardReason, Slot.guardReason + Int(signal.guardReason.rawValue), &cursor)
    }
    qualityFlags(signal.qualityFlags, &cursor)
    boolean(.shadow, signal.trigger.isShadow, &cursor)
    put(slot: SignalColumn.configVersion.rawValue, &cursor)
    let isConfigured = signal.version == .configured
    if isConfigured {
      quoted(.configVersion, configVersion, &cursor)
    } else {
      hexadecimal(.configVersion, signal.version.rawValue, digits: ParameterVersion.digits, &cursor)
    }
    put(slot: SignalColumn.traceID.rawValue, &cursor)
    hexadecimal(.traceID, UInt64(bitPattern: signal.tapeSequence), digits: 16, &cursor)
    cursor[0] = 0x7D
    cursor[1] = 0x0A
    cursor += 2
    lineLength = cursor - base

    // The line holds foreign text escaped; where that differs, the cells point at plain copies behind it.
    if !name.isPlain {
      let start = cursor
      putText(name.raw, &cursor)
      setText(.symbol, start, cursor)
      cursor.update(from: idTail, count: idEnd - idTail)
      cursor += idEnd - idTail
      setText(.signalID, start, cursor)
    }
    if isConfigured, !configVersion.isPlain { appendPlain(.configVersion, configVersion, &cursor) }
    assert(cursor - base + SignalRow.slotTextMax <= capacity, "a row fits the room computed for it")
  }

  // MARK: Reading the cells

  /// The last encoded signal's value of a column as text, strings without quotes; `nil` for null.
  public func text(_ column: SignalColumn) -> String? {
    let cell = cells[column.rawValue]
    switch cell.kind {
    case .null: return nil
    case .integer: return String(cell.units)
    case .boolean: return cell.units == 1 ? "true" : "false"
    case .decimal, .text: return String(decoding: text(cell), as: UTF8.self)
    }
  }

  func text(_ cell: Cell) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + Int(cell.offset), count: Int(cell.length))
  }

  /// The double nearest to a decimal cell's text.
  @inline(__always)
  func double(_ cell: Cell) -> Double {
    if let exact = nearestDouble(units: cell.units, decimals: Int(cell.decimals)) { return exact }
    return nearestDouble(text: text(cell))!
  }
}
