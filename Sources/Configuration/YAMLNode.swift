/// A parsed piece of YAML with the place it was written at.
public struct YAMLNode: Sendable, Equatable {
  /// Line and column, both counted from 1; the column counts characters.
  public struct Position: Sendable, Equatable, Hashable {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
      self.line = line
      self.column = column
    }
  }

  public enum Content: Sendable, Equatable {
    /// A plain scalar is one written without quotes.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([Entry])
  }

  public struct Entry: Sendable, Equatable {
    public var key: String
    public var position: Position
    public var value: YAMLNode

    public init(key: String, position: Position, value: YAMLNode) {
      self.key = key
      self.position = position
      self.value = value
    }
  }

  public var content: Content
  public var position: Position

  public init(_ content: Content, at position: Position) {
    self.content = content
    self.position = position
  }

  /// True for `key:` with nothing behind it and for the unquoted words YAML reads as null.
  public var isNull: Bool {
    if case .scalar(let text, isPlain: true) = content {
      return ["", "~", "null", "Null", "NULL"].contains(text)
    }
    return false
  }
}

/// What is wrong with a YAML text, and where.
public struct YAMLProblem: Error, Equatable, Sendable, CustomStringConvertible {
  public var position: YAMLNode.Position
  public var message: String

  public init(_ position: YAMLNode.Position, _ message: String) {
    self.position = position
    self.message = message
  }

  public var description: String { "\(position.line):\(position.column): \(message)" }
}
