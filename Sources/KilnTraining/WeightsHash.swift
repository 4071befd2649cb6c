import KilnEngine
import KilnLayers

extension Layer {
  /// A hash of the names, shapes, dtypes and bits of all parameters (FNV-1a, 64 bits, as 16 hexadecimal digits):
  /// equal for runs that gave the same weights bit for bit. Not a cryptographic one.
  public func weightsHash() throws -> String {
    var sum = Checksum()
    for named in namedParameters {
      // A tensor of its own: one that keeps the parameter in memory would make the next step copy it.
      let value = named.parameter.value.stopGradient()
      sum.add("\(named.name) \(value.shape) \(value.dtype)\n".utf8)
      sum.add(try value.hostBytes())
    }
    return sum.text
  }
}
