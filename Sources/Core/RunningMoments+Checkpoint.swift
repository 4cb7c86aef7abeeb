extension RunningMoments: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(count)
    writer.append(mean)
    writer.append(squares)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    count = try reader.integer(in: 0...Int64(1) << 53)
    mean = try reader.double()
    squares = try reader.double()
    guard mean.isFinite, squares.isFinite else { throw reader.failure("moments that are not finite") }
  }
}

extension RunningCorrelation: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(count)
    for value in [meanX, meanY, xx, yy, xy] { writer.append(value) }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    count = try reader.integer(in: 0...Int64(1) << 53)
    meanX = try reader.double()
    meanY = try reader.double()
    xx = try reader.double()
    yy = try reader.double()
    xy = try reader.double()
    guard meanX.isFinite, meanY.isFinite, xx.isFinite, yy.isFinite, xy.isFinite else {
      throw reader.failure("moments that are not finite")
    }
  }
}
