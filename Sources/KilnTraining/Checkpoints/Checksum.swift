/// FNV-1a, 64 bits: any change of a single byte changes it, other damage goes unseen once in 2^64. Not a
/// cryptographic hash. After Fowler, Noll and Vo, http://www.isthe.com/chongo/tech/comp/fnv/.
struct Checksum {
  private var hash: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    // An iterator of `Data` takes longer than the sum.
    let isDone: Void? = bytes.withContiguousStorageIfAvailable { for byte in $0 { add(byte) } }
    if isDone == nil { for byte in bytes { add(byte) } }
  }

  private mutating func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

  /// 16 hexadecimal digits.
  var text: String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  static func of(_ bytes: some Sequence<UInt8>) -> String {
    var sum = Checksum()
    sum.add(bytes)
    return sum.text
  }
}
