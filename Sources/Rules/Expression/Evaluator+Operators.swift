extension Evaluator {
  func aggregate(
    _ aggregation: MetricExpression.Aggregation, _ grouping: MetricExpression.Grouping, _ elements: [Element]
  ) -> [Element] {
    var groups: [LabelSet: [Double]] = [:]
    for element in elements {
      let labels =
        switch grouping {
        case .by(let names): element.labels.keeping(names)
        case .without(let names): element.labels.dropping(names)
        }
      groups[labels, default: []].append(element.value)
    }
    return groups.sorted { $0.key < $1.key }
      .map { Element(labels: $0.key, value: combine(aggregation, $0.value)) }
  }

  private func combine(_ aggregation: MetricExpression.Aggregation, _ values: [Double]) -> Double {
    switch aggregation {
    case .count: return Double(values.count)
    case .sum: return values.dropFirst().reduce(values[0], +)
    case .max: return values.reduce(values[0]) { $0 < $1 || $0.isNaN ? $1 : $0 }
    case .min: return values.reduce(values[0]) { $0 > $1 || $0.isNaN ? $1 : $0 }
    case .avg:
      var mean = values[0]
      for (index, value) in values.enumerated().dropFirst() {
        // Nothing finite moves an infinite mean.
        if mean.isInfinite, value == mean || value.isFinite { continue }
        let count = Double(index + 1)
        mean += value / count - mean / count
      }
      return mean
    }
  }

  func binary(
    _ operation: MetricExpression.Operator, _ left: Value, _ right: Value,
    _ matching: MetricExpression.Matching
  ) throws(RuleError) -> Value {
    switch (left, right) {
    case (.scalar(let a), .scalar(let b)):
      return .scalar(compute(operation, a, b)!)
    case (.vector(let elements), .scalar(let scalar)):
      let kept = elements.compactMap { element in
        compute(operation, element.value, scalar).map { changed(operation, element, $0) }
      }
      return .vector(try unique(kept))
    case (.scalar(let scalar), .vector(let elements)):
      let kept = elements.compactMap { element in
        // A comparison filters the series, whichever side it stands on.
        compute(operation, scalar, element.value).map {
          changed(operation, element, operation.comparison == nil ? $0 : element.value)
        }
      }
      return .vector(try unique(kept))
    case (.vector(let a), .vector(let b)):
      return .vector(
        try unique(operation.isSet ? combine(operation, a, b, matching) : match(operation, a, b, matching)))
    }
  }

  private func changed(_ operation: MetricExpression.Operator, _ element: Element, _ value: Double) -> Element
  {
    Element(name: operation.comparison == nil ? "" : element.name, labels: element.labels, value: value)
  }

  /// - Returns: `nil` where a comparison doesn't hold.
  private func compute(_ operation: MetricExpression.Operator, _ a: Double, _ b: Double) -> Double? {
    switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    default: operation.comparison!.holds(a, b) ? a : nil
    }
  }

  /// What two elements must share to belong together; names never count.
  private func signature(_ element: Element, _ matching: MetricExpression.Matching) -> LabelSet {
    switch matching {
    case .on(let labels): element.labels.keeping(labels)
    case .ignoring(let labels): element.labels.dropping(labels)
    }
  }

  private func combine(
    _ operation: MetricExpression.Operator, _ left: [Element], _ right: [Element],
    _ matching: MetricExpression.Matching
  ) -> [Element] {
    if operation == .or {
      let taken = Set(left.map { signature($0, matching) })
      return left + right.filter { !taken.contains(signature($0, matching)) }
    }
    let other = Set(right.map { signature($0, matching) })
    return left.filter { other.contains(signature($0, matching)) == (operation == .and) }
  }

  /// One-to-one.
  private func match(
    _ operation: MetricExpression.Operator, _ left: [Element], _ right: [Element],
    _ matching: MetricExpression.Matching
  ) throws(RuleError) -> [Element] {
    if left.isEmpty || right.isEmpty { return [] }
    var partners: [LabelSet: Element] = [:]
    for element in right {
      if let other = partners.updateValue(element, forKey: signature(element, matching)) {
        throw RuleError(
          message:
            "\(other.series) and \(element.series) on the right of \"\(operation.rawValue)\" match the "
            + "same series; name the labels that differ")
      }
    }
    var matched: Set<LabelSet> = []
    var result: [Element] = []
    for element in left {
      let key = signature(element, matching)
      guard let partner = partners[key], let value = compute(operation, element.value, partner.value) else {
        continue
      }
      guard matched.insert(key).inserted else {
        throw RuleError(
          message: "several series on the left of \"\(operation.rawValue)\" match \(partner.series); "
            + "aggregate them first")
      }
      let labels =
        switch matching {
        case .on: key
        case .ignoring(let names): element.labels.dropping(names)
        }
      let keepsName: Bool
      if case .on = matching { keepsName = false } else { keepsName = operation.comparison != nil }
      result.append(Element(name: keepsName ? element.name : "", labels: labels, value: value))
    }
    return result
  }
}
