import Core
import DuckDB

/// Compares converted files with their tape and measures it; see `ConversionValidator`.
///
/// - Parameter progress: gets the number of the tape's records so far.
/// - Returns: the verdict, and its JSON with `seconds` and `max_rss_mb`.
public func validateConversion(
  tape: String, folder: String, checksSeals: Bool, progress: (Int64) -> Void
) throws -> (verdict: ConversionVerdict, json: JSONValue) {
  let start = ProcessUsage.now()
  var validator = try ConversionValidator(tape: tape, folder: folder, checksSeals: checksSeals)
  let verdict = try validator.run(progress: progress)
  let usage = ProcessUsage.now() - start
  let measured: [JSONValue.Member] = [
    .init("seconds", .rounded(usage.wallSeconds, 3)), .init("max_rss_mb", .rounded(usage.maxRSSMiB, 1)),
  ]
  return (verdict, .object((verdict.json.members ?? []) + measured))
}
