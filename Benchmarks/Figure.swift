import Foundation

/// What was measured of one workload on one device.
struct Figure: Codable {
  var workload: String
  var device: String
  /// The median over windows of many steps.
  var msPerStep: Double
  /// Images or tokens per second.
  var perS: Double
  /// From the model's making to its first loss, in a process of its own: with the caches on disk as they were,
  var firstStepS: Double
  /// and with none.
  var firstStepColdS: Double?
  /// Arithmetic of the forward and the backward pass.
  var gflops: Double
  /// `gflops` as a part of what a product of 1024 x 1024 matrices reaches on the device.
  var peakShare: Double
  /// Kernels, or calls of block loops, in one step.
  var launches: Int
  /// The most that tensors took on the device.
  var peakBytes: Int
  /// The slowest window's time as a multiple of the fastest one's.
  var spread: Double
  /// Of the first steps.
  var losses: [Double]
}

/// Figures as JSON, with names in snake case.
extension KilnBench {
  static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: data)
  }

  static func encode(_ value: some Encodable, pretty: Bool = false) throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = pretty ? [.prettyPrinted, .sortedKeys] : [.sortedKeys]
    return try encoder.encode(value)
  }
}
