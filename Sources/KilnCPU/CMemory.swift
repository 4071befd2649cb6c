import CVector
import KilnEngine

/// Owns the arrays and objects that C structures of one step point to.
final class CMemory {
  private var blocks: [UnsafeMutableRawPointer] = []
  private var objects: [AnyObject] = []

  func array<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element>? {
    if elements.isEmpty { return nil }
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
    memory.initialize(from: elements, count: elements.count)
    blocks.append(UnsafeMutableRawPointer(memory))
    return UnsafePointer(memory)
  }

  func integers(_ elements: [Int]) -> UnsafePointer<Int64>? { array(elements.map(Int64.init)) }

  /// Keeps an object alive and gives C its address.
  func context(_ object: AnyObject) -> UnsafeRawPointer {
    objects.append(object)
    return UnsafeRawPointer(Unmanaged.passUnretained(object).toOpaque())
  }

  deinit { for block in blocks { block.deallocate() } }
}

extension DType {
  var kv: kv_dtype {
    switch self {
    case .float32: KV_F32
    case .float64: KV_F64
    case .int32: KV_I32
    case .int64: KV_I64
    case .uint8: KV_U8
    case .bool: KV_BOOL
    }
  }
  /// How CVector's loops are named by their target.
  var loopSuffix: String {
    switch self {
    case .float32: "f32"
    case .float64: "f64"
    case .int32: "i32"
    case .int64: "i64"
    case .uint8: "u8"
    case .bool: "bool"
    }
  }
}
