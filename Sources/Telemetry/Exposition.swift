import Core

/// The metrics of a scraped service, read from Prometheus' text format 0.0.4.
///
/// The text comes from another process, which may be old, broken or not ours at all. Taking what can be
/// understood and skipping the rest would let a rule judge half of a service's numbers without anybody
/// knowing, so a text is accepted as a whole or refused with the line and column of the first thing that is
/// wrong. A last line without its line feed is refused too: `depth 12` may be the beginning of `depth 1234`.
///
/// One pass over the bytes. Since the text ends in a line feed and no token contains one, every scan stops
/// there and needs no other end. A number of up to 15 digits is exact as an integer and so is the power of ten
/// that it is divided by, so the division rounds correctly (W. D. Clinger, "How to read floating point numbers
/// accurately", 1990); the rare others take the library's way.
///
/// Bounds: ``Limits``. Time stamps are checked and dropped, comments that are neither `HELP` nor `TYPE` skipped.
public struct Exposition: Sendable {
  public struct Family: Equatable, Sendable {
    public var name: String
    public var type: MetricType
    public var help: String

    public init(name: String, type: MetricType = .untyped, help: String = "") {
      self.name = name
      self.type = type
      self.help = help
    }
  }

  public struct Limits: Sendable {
    public var bytesMax = 16 << 20
    public var familiesMax = 20_000
    public var samplesMax = 200_000
    public var labelsPerSampleMax = 64

    public init() {}
  }

  /// What `HELP` and `TYPE` lines announce, in order of first mention.
  public var families: [Family]
  /// In the order of their lines.
  public var samples: [MetricSample]

  /// Reads a whole text; the empty one is valid.
  ///
  /// - Throws: `ExpositionError` for the first thing that is not of the format or beyond the limits.
  /// - Complexity: O(bytes)
  public init(parsing bytes: UnsafeRawBufferPointer, limits: Limits = Limits()) throws(ExpositionError) {
    families = []
    samples = []
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    guard bytes.count <= limits.bytesMax else {
      throw ExpositionError(line: 1, column: 1, .tooMany("bytes", max: limits.bytesMax))
    }
    var reader = ExpositionReader(base: base, count: bytes.count, limits: limits)
    try reader.readAll()
    families = reader.families
    samples = reader.samples
  }
}
