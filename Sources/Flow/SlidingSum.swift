/// Exact sums of integers over the last W milliseconds, half-open: [t − W, t).
///
/// Contributions of the same millisecond share an entry, so a window of W ms never holds more than W entries:
/// the bound. The ring grows to it by doubling and then allocates nothing.
public struct SlidingSum: ~Copyable {
  /// Values summed side by side (e.g. one per book level).
  public let width: Int
  public let windowMs: Int64
  var capacity: Int
  var head = 0
  var count = 0
  var times: UnsafeMutablePointer<Int64>
  var values: UnsafeMutablePointer<Int64>
  /// The current sums, `width` of them.
  public let sums: UnsafeMutablePointer<Int64>

  public init(windowMs: Int, width: Int = 1) {
    self.width = width
    self.windowMs = Int64(windowMs)
    capacity = 256
    times = .allocate(capacity: capacity)
    values = .allocate(capacity: capacity * width)
    sums = .allocate(capacity: width)
    sums.initialize(repeating: 0, count: width)
  }

  deinit {
    times.deallocate()
    values.deallocate()
    sums.deallocate()
  }

  /// Adds one value at `timeMs`, which must not be before the last one added.
  @inline(__always)
  public mutating func add(_ value: Int64, at timeMs: Int64) {
    let entry = place(timeMs)
    values[entry &* width] &+= value
    sums[0] &+= value
  }

  /// Adds to the first two columns.
  @inline(__always)
  public mutating func add(_ first: Int64, _ second: Int64, at timeMs: Int64) {
    let entry = place(timeMs)
    values[entry &* width] &+= first
    values[entry &* width &+ 1] &+= second
    sums[0] &+= first
    sums[1] &+= second
  }

  /// Adds `width` values.
  @inline(__always)
  public mutating func add(_ contributions: UnsafePointer<Int64>, at timeMs: Int64) {
    let entry = place(timeMs)
    for index in 0..<width {
      values[entry &* width &+ index] &+= contributions[index]
      sums[index] &+= contributions[index]
    }
  }

  @inline(__always)
  private mutating func place(_ timeMs: Int64) -> Int {
    if count > 0 {
      let last = (head &+ count &- 1) & (capacity &- 1)
      if times[last] == timeMs { return last }
    }
    expire(before: timeMs &+ 1 &- windowMs)
    if count == capacity { grow() }
    let entry = (head &+ count) & (capacity &- 1)
    times[entry] = timeMs
    for index in 0..<width { values[entry &* width &+ index] = 0 }
    count &+= 1
    return entry
  }

  /// Drops what is older than `timeMs`; afterwards ``sums`` are those of the window that starts there.
  @inline(__always)
  public mutating func expire(before timeMs: Int64) {
    while count > 0, times[head] < timeMs {
      for index in 0..<width { sums[index] &-= values[head &* width &+ index] }
      head = (head &+ 1) & (capacity &- 1)
      count &-= 1
    }
  }

  @inline(never)
  private mutating func grow() {
    let larger = capacity * 2
    let newTimes = UnsafeMutablePointer<Int64>.allocate(capacity: larger)
    let newValues = UnsafeMutablePointer<Int64>.allocate(capacity: larger * width)
    for index in 0..<count {
      let entry = (head + index) & (capacity - 1)
      newTimes[index] = times[entry]
      for column in 0..<width { newValues[index * width + column] = values[entry * width + column] }
    }
    times.deallocate()
    values.deallocate()
    times = newTimes
    values = newValues
    capacity = larger
    head = 0
  }

  public mutating func removeAll() {
    head = 0
    count = 0
    sums.update(repeating: 0, count: width)
  }
}
