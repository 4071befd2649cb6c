import Glibc

/// SHA-256 (FIPS 180-4), a piece at a time.
struct SHA256 {
  private static let constants: [UInt32] = primes(64).map { fraction($0, cube: true) }
  private var state: [UInt32] = primes(8).map { fraction($0, cube: false) }
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  mutating func add(_ bytes: [UInt8]) {
    length += UInt64(bytes.count)
    pending += bytes
    let whole = pending.count / 64 * 64
    guard whole > 0 else { return }
    pending.withUnsafeBufferPointer { buffer in
      for start in stride(from: 0, to: whole, by: 64) {
        block(UnsafeBufferPointer(rebasing: buffer[start..<start + 64]))
      }
    }
    pending.removeFirst(whole)
  }

  /// The digest in hexadecimal. Nothing is added after it.
  mutating func finish() -> String {
    let bits = length &* 8
    var tail: [UInt8] = [0x80]
    while (pending.count + tail.count) % 64 != 56 { tail.append(0) }
    tail += (0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) }
    add(tail)
    return state.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  /// A file's digest.
  static func ofFile(_ path: String) throws -> String {
    let file = try Descriptor(path)
    var hash = SHA256()
    var place = 0
    while place < file.size {
      let part = min(1 << 20, file.size - place)
      hash.add(try file.read(at: place, part))
      place += part
    }
    return hash.finish()
  }

  private mutating func block(_ bytes: UnsafeBufferPointer<UInt8>) {
    func turned(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { w in
      for i in 0..<16 {
        let high = UInt32(bytes[4 * i]) << 24 | UInt32(bytes[4 * i + 1]) << 16
        w[i] = high | UInt32(bytes[4 * i + 2]) << 8 | UInt32(bytes[4 * i + 3])
      }
      for i in 16..<64 {
        let s0 = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3
        let s1 = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10
        w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
      }
      var (a, b, c, d) = (state[0], state[1], state[2], state[3])
      var (e, f, g, h) = (state[4], state[5], state[6], state[7])
      for i in 0..<64 {
        let s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
        let first = h &+ s1 &+ (e & f ^ ~e & g) &+ SHA256.constants[i] &+ w[i]
        let s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)
        let second = s0 &+ (a & b ^ a & c ^ b & c)
        (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
      }
      for (i, word) in [a, b, c, d, e, f, g, h].enumerated() { state[i] &+= word }
    }
  }

  private static func primes(_ count: Int) -> [Int] {
    var found: [Int] = []
    var candidate = 2
    while found.count < count {
      if found.allSatisfy({ candidate % $0 != 0 }) { found.append(candidate) }
      candidate += 1
    }
    return found
  }

  /// The first 32 bits of the fraction of a prime's square or cube root, in whole numbers: floor(root * 2^32) mod 2^32.
  private static func fraction(_ prime: Int, cube: Bool) -> UInt32 {
    // The largest r with r^2 <= p * 2^64, or r^3 <= p * 2^96; r has fewer than 37 bits.
    var root: UInt64 = 0
    for bit in (0..<37).reversed() {
      let trial = root | 1 << UInt64(bit)
      let square = trial.multipliedFullWidth(by: trial)
      if cube {
        // r^3 / 2^96 <= p, with the product of 128 by 64 bits taken in two parts.
        let high = square.high.multipliedFullWidth(by: trial)
        let low = square.low.multipliedFullWidth(by: trial)
        let (middle, carry) = high.low.addingReportingOverflow(low.high)
        let top = high.high + (carry ? 1 : 0)
        // The product is top * 2^128 + middle * 2^64 + low.low; the limit is p * 2^96.
        let whole = top << 32 | middle >> 32
        let rest = middle & 0xffff_ffff != 0 || low.low != 0
        if whole < UInt64(prime) || whole == UInt64(prime) && !rest { root = trial }
      } else if square.high < UInt64(prime) || square.high == UInt64(prime) && square.low == 0 {
        root = trial
      }
    }
    return UInt32(truncatingIfNeeded: root)
  }
}
