/// Why a text is not an exposition, and where.
public struct ExpositionError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case expected(String, found: String)
    /// Not Unicode in UTF-8.
    case badText(String)
    case repeated(String)
    case tooMany(String, max: Int)
    /// The last line has no line feed.
    case cutShort
  }

  /// From 1.
  public var line: Int
  /// In bytes, from 1.
  public var column: Int
  public var problem: Problem

  public init(line: Int, column: Int, _ problem: Problem) {
    self.line = line
    self.column = column
    self.problem = problem
  }

  public var description: String {
    let what =
      switch problem {
      case .expected(let wanted, let found): "expected \(wanted), found \(found)"
      case .badText(let what): "\(what) is not UTF-8"
      case .repeated(let what): "a second \(what)"
      case .tooMany(let what, let max): "more than \(max) \(what); is this a metrics page?"
      case .cutShort: "the last line has no line feed; the text was cut short"
      }
    return "line \(line), column \(column): \(what)"
  }
}
