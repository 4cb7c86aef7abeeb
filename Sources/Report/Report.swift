import Core
import Strategy
public struct ReportAccumulator: ~Copyable { public init() {}
  public mutating func register(_ s: SymbolTable) {}
  public mutating func add(_ s: Signal) {} }
