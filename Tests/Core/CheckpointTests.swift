import Core
import Testing

/// A value with one of everything.
private struct Sample: Equatable, Checkpointed {
  var integer: Int64 = 0
  var small: UInt16 = 0
  var flag = false
  var real = 0.0
  var absent: Int64?
  var text = ""
  var quote: Quote?
  var words: [Int64] = []
  var aggressor = Aggressor.buyer

  func save(to writer: inout CheckpointWriter) {
    writer.append(integer)
    writer.append(small)
    writer.append(flag)
    writer.append(real)
    writer.append(absent)
    writer.append(text)
    writer.section("INNR") {
      $0.append(quote)
      $0.append(words)
    }
    writer.append(aggressor)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    integer = try reader.integer()
    small = try reader.integer()
    flag = try reader.boolean()
    real = try reader.double()
    absent = try reader.optionalInteger()
    text = try reader.text()
    var inner: (quote: Quote?, words: [Int64]) = (nil, [])
    try reader.section("INNR") { (reader) throws(CheckpointError) in
      inner = (try reader.quote(), try reader.words(max: 1000))
    }
    (quote, words) = inner
    aggressor = try reader.value()
  }

  static func random(_ random: inout SeededRandom) -> Sample {
    var sample = Sample()
    sample.integer = Int64(bitPattern: random.next())
    sample.small = UInt16(truncatingIfNeeded: random.next())
    sample.flag = random.bernoulli(0.5)
    sample.real = [random.normal(), -0.0, .infinity, .leastNonzeroMagnitude][random.below(4)]
    sample.absent = random.bernoulli(0.5) ? nil : Int64(bitPattern: random.next())
    sample.text = String(repeating: "µ\u{0}x", count: random.below(5))
    if random.bernoulli(0.5) {
      sample.quote = Quote(bidPrice: 1, bidQuantity: 2, askPrice: 3, askQuantity: 4)
    }
    sample.words = (0..<random.below(20)).map { _ in Int64(bitPattern: random.next()) }
    sample.aggressor = random.bernoulli(0.5) ? .buyer : .seller
    return sample
  }
}

@Suite("Checkpoint codec")
struct CheckpointTests {
  private func bytes(of sample: Sample) -> [UInt8] {
    var writer = CheckpointWriter()
    writer.append("SAMP", sample)
    return Array(writer.bytes)
  }

  private func read(from bytes: [UInt8]) throws -> Sample {
    try bytes.withUnsafeBytes { buffer in
      var reader = CheckpointReader(buffer)
      var sample = Sample()
      try reader.restore("SAMP", &sample)
      try reader.finish()
      return sample
    }
  }

  @Test(arguments: 1...50 as ClosedRange<UInt64>)
  func whatIsWrittenIsReadBack(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let sample = Sample.random(&random)
    let found = try read(from: bytes(of: sample))
    #expect(found == sample)
    #expect(found.real.bitPattern == sample.real.bitPattern)
  }

  /// Every shorter text, and one with more, is refused; a changed one is refused or read as another value.
  @Test func damageIsRefusedAndNeverTraps() throws {
    var random = SeededRandom(seed: 7)
    let whole = bytes(of: .random(&random))
    for length in whole.indices {
      #expect(throws: CheckpointError.self) { try read(from: Array(whole[..<length])) }
    }
    #expect(throws: CheckpointError.self) { try read(from: whole + [0]) }
    for bit in 0..<(whole.count * 8) {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      if let found = try? read(from: damaged) { #expect(bytes(of: found) == damaged) }
    }
    for _ in 0..<2000 {
      let junk = (0..<random.below(64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      _ = try? read(from: whole.prefix(8) + junk)
    }
  }

  /// A count that leads beyond the file is refused before room is made for it.
  @Test func aCountBeyondTheFileMakesNoRoom() {
    var writer = CheckpointWriter()
    writer.append(UInt32.max)
    var reader = CheckpointReader(writer.bytes)
    #expect(throws: CheckpointError.self) { try reader.words(max: .max) }
  }

  @Test func sectionsAreToldApart() {
    var writer = CheckpointWriter()
    writer.section("ABCD") { $0.append(1) }
    var reader = CheckpointReader(writer.bytes)
    let error = #expect(throws: CheckpointError.self) {
      try reader.section("ABCE") { (reader) throws(CheckpointError) in _ = try reader.integer(Int.self) }
    }
    #expect(error?.problem == "section ABCD stands where ABCE should")
  }
}
