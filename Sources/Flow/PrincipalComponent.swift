/// The direction in which the vectors of the recent past vary most.
///
/// **Problem.** The order flow of a book's levels moves together; the direction in which it does says how to
/// weigh the levels. It changes slowly and must be known from the past alone.
///
/// **Why the obvious answer fails.** Sums of products over a sliding window, added and subtracted, cancel and
/// drift, and what they are depends on how long a process has run.
///
/// **Algorithm.** The past is cut into blocks of ``blockSamplesMax`` samples. A block keeps the mean and the
/// co-moments of its samples (Welford). When one is full, the newest blocks are merged (T. Chan, G. Golub,
/// R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979), and a
/// power iteration from a fixed start, of a fixed number of steps, gives the direction: no subtraction ever
/// takes a sample back out, and the same samples give the same bits. The result has the L1 norm 1 and a sum
/// that is not negative. Where nothing varies, the direction known before stays.
///
/// **Bounds.** Memory is (1 + blocks)·(K + K·(K+1)/2) numbers: 2.6 KB for five levels and 15 blocks. A sample
/// costs O(K²), a full block O(blocks·K² + 64·K²).
struct PrincipalComponent: ~Copyable {
  static let blockSamplesMax = 60
  private static let iterations = 64

  let width: Int
  let blockSamples: Int
  let blocksMax: Int
  /// Numbers of a block: the mean, then the co-moments' upper triangle, row by row.
  let stride: Int
  /// A ring; the block at ``place`` is open.
  let blocks: UnsafeMutablePointer<Double>
  var place = 0
  /// Blocks that are full.
  var full = 0
  /// Samples of the open block.
  var samples = 0
  var isKnown = false
  /// The direction, once ``isKnown``.
  let weights: UnsafeMutablePointer<Double>
  /// For the merge: one block, and two vectors.
  private let scratch: UnsafeMutablePointer<Double>

  /// - Parameter history: samples that the direction is taken over, as far as they fill blocks.
  init(width: Int, history: Int) {
    self.width = width
    blockSamples = max(2, min(PrincipalComponent.blockSamplesMax, history))
    blocksMax = max(1, history / blockSamples)
    stride = width + width * (width + 1) / 2
    blocks = .allocate(capacity: blocksMax * stride)
    blocks.initialize(repeating: 0, count: blocksMax * stride)
    weights = .allocate(capacity: width)
    weights.initialize(repeating: 0, count: width)
    scratch = .allocate(capacity: stride + 2 * width)
    scratch.initialize(repeating: 0, count: stride + 2 * width)
  }

  deinit {
    blocks.deallocate()
    weights.deallocate()
    scratch.deallocate()
  }

  /// Takes a vector. After every full block the direction is made anew.
  ///
  /// - Complexity: O(width²), amortised.
  mutating func push(_ x: UnsafePointer<Double>) {
    let mean = blocks + place * stride
    let moments = mean + width
    let delta = scratch
    let n = Double(samples + 1)
    for row in 0..<width { delta[row] = x[row] - mean[row] }
    var cell = 0
    for row in 0..<width {
      for column in row..<width {
        moments[cell] += delta[row] * delta[column] * (n - 1) / n
        cell += 1
      }
    }
    for row in 0..<width { mean[row] += delta[row] / n }
    samples += 1
    guard samples == blockSamples else { return }
    full = min(full + 1, blocksMax)
    merge()
    place = (place + 1) % blocksMax
    samples = 0
    (blocks + place * stride).update(repeating: 0, count: stride)
  }

  /// All full blocks as one, and its direction.
  private mutating func merge() {
    let mean = scratch
    let moments = scratch + width
    mean.update(from: blocks, count: stride)
    for block in 1..<max(1, full) {
      let other = blocks + block * stride
      let share = 1 / Double(block + 1)
      let factor = Double(blockSamples) * Double(block) * share
      var cell = 0
      for row in 0..<width {
        for column in row..<width {
          moments[cell] +=
            other[width + cell] + (other[row] - mean[row]) * (other[column] - mean[column]) * factor
          cell += 1
        }
      }
      for row in 0..<width { mean[row] += (other[row] - mean[row]) * share }
    }
    findDirection(moments)
  }

  private mutating func findDirection(_ moments: UnsafePointer<Double>) {
    var direction = scratch + stride
    var product = direction + width
    direction.update(repeating: 1, count: width)
    for _ in 0..<PrincipalComponent.iterations {
      product.update(repeating: 0, count: width)
      var cell = 0
      for row in 0..<width {
        product[row] += moments[cell] * direction[row]
        cell += 1
        for column in row + 1..<max(row + 1, width) {
          product[row] += moments[cell] * direction[column]
          product[column] += moments[cell] * direction[row]
          cell += 1
        }
      }
      var largest = 0.0
      for row in 0..<width { largest = max(largest, abs(product[row])) }
      guard largest > 0, largest.isFinite else { return }
      for row in 0..<width { product[row] /= largest }
      swap(&direction, &product)
    }
    var sum = 0.0
    var norm = 0.0
    for row in 0..<width {
      sum += direction[row]
      norm += abs(direction[row])
    }
    if sum < 0 { norm = -norm }
    for row in 0..<width { weights[row] = direction[row] / norm }
    isKnown = true
  }
}
