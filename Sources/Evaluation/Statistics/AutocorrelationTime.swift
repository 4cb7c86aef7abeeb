import Core

/// How many grid steps a score takes to forget itself: 1 + 2·Σ ρₖ, at least 1.
///
/// The sum is taken by trapezoids between lags 1, 2, 3, 4, 6, 8, 12, 16, … and ends at the first correlation
/// below 0.05 (what follows is sampling noise, whose sum does not converge; A. Sokal, "Monte Carlo Methods in
/// Statistical Mechanics", 1989) or at a quarter of the data. Holes take part in no pair.
///
/// - Parameter values: on the grid; NaN where there is none.
/// - Complexity: O(n log n).
func autocorrelationTime(_ values: [Double]) -> Double {
  var count = 0.0
  var sum = 0.0
  for value in values where !value.isNaN {
    count += 1
    sum += value
  }
  guard count >= 8 else { return 1 }
  let mean = sum / count
  var variance = 0.0
  for value in values where !value.isNaN { variance += (value - mean) * (value - mean) }
  variance /= count
  guard variance > 0 else { return 1 }

  func correlation(_ lag: Int) -> Double? {
    var pairs = 0.0
    var products = 0.0
    for index in 0..<values.count - lag {
      let product = (values[index] - mean) * (values[index + lag] - mean)
      if !product.isNaN {
        pairs += 1
        products += product
      }
    }
    return pairs >= 8 ? products / pairs / variance : nil
  }

  var time = 1.0
  var lag = 0
  var last = 1.0
  var next = 1
  while next <= values.count / 4, let rho = correlation(next), rho >= 0.05 {
    // Lags lag+1 … next, of which those between the two that are known lie on a line.
    let step = Double(next - lag)
    time += 2 * (step * (last + rho) / 2 - (last - rho) / 2)
    lag = next
    last = rho
    next = lag < 4 ? lag + 1 : lag & (lag - 1) == 0 ? lag + lag / 2 : lag / 3 * 4
  }
  return max(1, time)
}
