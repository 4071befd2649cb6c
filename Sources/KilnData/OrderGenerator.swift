/// The random order of samples: a function of (seed, epoch) alone, the same on every machine and device.
struct OrderGenerator {
  private var state: UInt64

  init(seed: UInt64, epoch: Int) {
    state = seed
    // Two rounds apart, so that (seed, epoch) and (seed + 1, epoch - 1) have nothing in common.
    state = next() ^ UInt64(truncatingIfNeeded: epoch)
    state = next()
  }

  /// SplitMix64 (Steele, Lea and Flood, 2014).
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Uniform in 0..<bound, without bias.
  mutating func below(_ bound: Int) -> Int {
    let bound = UInt64(bound)
    while true {
      let product = next().multipliedFullWidth(by: bound)
      // The few low words that would favour some results are drawn again (Lemire, 2019).
      if product.low >= (0 &- bound) % bound { return Int(product.high) }
    }
  }

  /// Fisher and Yates.
  mutating func shuffle<T>(_ values: inout [T]) {
    guard values.count > 1 else { return }
    for i in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(i, below(i + 1)) }
  }
}
