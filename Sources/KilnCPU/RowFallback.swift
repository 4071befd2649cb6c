import CVector
import KilnEngine

/// Runs a row of `UnaryOp` or `BinaryOp` that has no C loop through its Swift closures, so that a new operation works
/// here before anyone writes one.
final class UnaryFallback {
  let row: UnaryRow
  init(_ op: UnaryOp) { row = op.row }

  static func loop(_ dtype: DType) -> kv_loop {
    switch dtype {
    case .float32:
      return { destination, a, _, _, count, context in
        guard let destination, let a, let context else { return }
        let row = Unmanaged<UnaryFallback>.fromOpaque(context).takeUnretainedValue().row
        let x = a.assumingMemoryBound(to: Float.self)
        if row.isPredicate {
          let y = destination.assumingMemoryBound(to: UInt8.self)
          for i in 0..<count { y[i] = row.float(x[i]) != 0 ? 1 : 0 }
        } else {
          let y = destination.assumingMemoryBound(to: Float.self)
          for i in 0..<count { y[i] = row.float(x[i]) }
        }
      }
    case .float64:
      return { destination, a, _, _, count, context in
        guard let destination, let a, let context else { return }
        let row = Unmanaged<UnaryFallback>.fromOpaque(context).takeUnretainedValue().row
        let x = a.assumingMemoryBound(to: Double.self)
        if row.isPredicate {
          let y = destination.assumingMemoryBound(to: UInt8.self)
          for i in 0..<count { y[i] = row.double(x[i]) != 0 ? 1 : 0 }
        } else {
          let y = destination.assumingMemoryBound(to: Double.self)
          for i in 0..<count { y[i] = row.double(x[i]) }
        }
      }
    case .int32: return { apply($0, $1, $4, $5, Int32.self) }
    case .int64: return { apply($0, $1, $4, $5, Int64.self) }
    case .uint8, .bool: return { apply($0, $1, $4, $5, UInt8.self) }
    }
  }
}

private func apply<T: FixedWidthInteger>(
  _ destination: UnsafeMutableRawPointer?, _ a: UnsafeRawPointer?, _ count: Int, _ context: UnsafeRawPointer?,
  _ type: T.Type
) {
  guard let destination, let a, let context else { return }
  let row = Unmanaged<UnaryFallback>.fromOpaque(context).takeUnretainedValue().row
  let x = a.assumingMemoryBound(to: T.self)
  for i in 0..<count {
    let value = row.integer?(Int64(x[i])) ?? Scalar(row.double(Double(x[i])), .int64).intValue
    if row.isPredicate {
      destination.assumingMemoryBound(to: UInt8.self)[i] = value != 0 ? 1 : 0
    } else {
      destination.assumingMemoryBound(to: T.self)[i] = T(truncatingIfNeeded: value)
    }
  }
}

final class BinaryFallback {
  let row: BinaryRow
  init(_ op: BinaryOp) { row = op.row }

  static func loop(_ dtype: DType) -> kv_loop {
    switch dtype {
    case .float32:
      return { destination, a, b, _, count, context in
        guard let destination, let a, let b, let context else { return }
        let row = Unmanaged<BinaryFallback>.fromOpaque(context).takeUnretainedValue().row
        let (x, y) = (a.assumingMemoryBound(to: Float.self), b.assumingMemoryBound(to: Float.self))
        for i in 0..<count {
          let value = row.float(x[i], y[i])
          if row.isPredicate {
            destination.assumingMemoryBound(to: UInt8.self)[i] = value != 0 ? 1 : 0
          } else {
            destination.assumingMemoryBound(to: Float.self)[i] = value
          }
        }
      }
    case .float64:
      return { destination, a, b, _, count, context in
        guard let destination, let a, let b, let context else { return }
        let row = Unmanaged<BinaryFallback>.fromOpaque(context).takeUnretainedValue().row
        let (x, y) = (a.assumingMemoryBound(to: Double.self), b.assumingMemoryBound(to: Double.self))
        for i in 0..<count {
          let value = row.double(x[i], y[i])
          if row.isPredicate {
            destination.assumingMemoryBound(to: UInt8.self)[i] = value != 0 ? 1 : 0
          } else {
            destination.assumingMemoryBound(to: Double.self)[i] = value
          }
        }
      }
    case .int32: return { apply($0, $1, $2, $4, $5, Int32.self) }
    case .int64: return { apply($0, $1, $2, $4, $5, Int64.self) }
    case .uint8, .bool: return { apply($0, $1, $2, $4, $5, UInt8.self) }
    }
  }
}

private func apply<T: FixedWidthInteger>(
  _ destination: UnsafeMutableRawPointer?, _ a: UnsafeRawPointer?, _ b: UnsafeRawPointer?, _ count: Int,
  _ context: UnsafeRawPointer?, _ type: T.Type
) {
  guard let destination, let a, let b, let context else { return }
  let row = Unmanaged<BinaryFallback>.fromOpaque(context).takeUnretainedValue().row
  let (x, y) = (a.assumingMemoryBound(to: T.self), b.assumingMemoryBound(to: T.self))
  for i in 0..<count {
    let value =
      row.integer?(Int64(x[i]), Int64(y[i])) ?? Scalar(row.double(Double(x[i]), Double(y[i])), .int64).intValue
    if row.isPredicate {
      destination.assumingMemoryBound(to: UInt8.self)[i] = value != 0 ? 1 : 0
    } else {
      destination.assumingMemoryBound(to: T.self)[i] = T(truncatingIfNeeded: value)
    }
  }
}

extension Scalar {
  fileprivate var intValue: Int64 { Int64(int) }
}
