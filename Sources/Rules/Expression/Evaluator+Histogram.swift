extension Evaluator {
  /// The quantile of each histogram among the buckets, told apart by all labels but `le`.
  func histogramQuantiles(_ share: Double, _ buckets: [Element]) -> [Element] {
    struct Histogram: Hashable {
      var name: String
      var labels: LabelSet
    }
    var found: [Histogram: [Bucket]] = [:]
    for element in buckets {
      // What has no bound is no bucket.
      guard let text = element.labels["le"], let bound = Double(text) else { continue }
      let histogram = Histogram(name: element.name, labels: element.labels.dropping(["le"]))
      found[histogram, default: []].append(Bucket(bound: bound, count: element.value))
    }
    return found.sorted { ($0.key.labels, $0.key.name) < ($1.key.labels, $1.key.name) }
      .map { Element(labels: $0.key.labels, value: bucketQuantile(share, $0.value)) }
  }

  private struct Bucket {
    /// The largest value counted.
    var bound: Double
    /// Of all values up to the bound.
    var count: Double
  }

  /// Linear within the bucket that holds the rank; the lowest bucket begins at 0, the highest has no end and
  /// gives its lower bound. Source: `bucketQuantile` in Prometheus 2.42.
  private func bucketQuantile(_ share: Double, _ unsorted: [Bucket]) -> Double {
    if share.isNaN { return .nan }
    if share < 0 { return -.infinity }
    if share > 1 { return .infinity }
    let sorted = unsorted.sorted { $0.bound < $1.bound }
    guard sorted[sorted.count - 1].bound == .infinity else { return .nan }
    var buckets: [Bucket] = []
    for bucket in sorted {
      if bucket.bound == buckets.last?.bound {
        buckets[buckets.count - 1].count += bucket.count
      } else {
        buckets.append(bucket)
      }
    }
    // Buckets of one histogram can be scraped or extrapolated unevenly; a count never falls.
    for index in buckets.indices.dropFirst() where buckets[index].count < buckets[index - 1].count {
      buckets[index].count = buckets[index - 1].count
    }
    let last = buckets.count - 1
    guard last >= 1, buckets[last].count != 0 else { return .nan }
    var rank = share * buckets[last].count
    let index = buckets[..<last].firstIndex { $0.count >= rank } ?? last
    if index == last { return buckets[last - 1].bound }
    if index == 0, buckets[0].bound <= 0 { return buckets[0].bound }
    guard index > 0 else { return buckets[0].bound * (rank / buckets[0].count) }
    let start = buckets[index - 1].bound
    rank -= buckets[index - 1].count
    return start + (buckets[index].bound - start) * (rank / (buckets[index].count - buckets[index - 1].count))
  }
}
