import KilnEngine
import KilnLayers

extension Layer {
  /// A hash of the names, shapes, dtypes and bits of all parameters (FNV-1a, 64 bits, as 16 hexadecimal digits):
  /// equal for runs that gave the same weights bit for bit. Not a cryptographic one.
  public func weightsHash() throws -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ bytes: some Sequence<UInt8>) {
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    }
    for named in namedParameters {
      let value = named.parameter.value
      add("\(named.name) \(value.shape) \(value.dtype)\n".utf8)
      add(try value.hostBytes())
    }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
