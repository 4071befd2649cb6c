import Foundation
import Synchronization

/// The part of the lazy graph that one evaluation works on, free of buffers and of scalar values: equal graphs mean
/// equal programs, so a graph is also the key under which its program is kept.
struct Graph: Hashable, Sendable {
  struct Vertex: Hashable, Sendable {
    var kind: Kind
    /// Earlier vertices.
    var inputs: [Int]
    var shape: Shape
    var dtype: DType
  }
  enum Kind: Hashable, Sendable {
    /// Program input `index`, with the strides it is bound with.
    case leaf(index: Int, strides: [Int])
    /// Run-time scalar slot.
    case constant(Int)
    /// Run-time scalar slots of key and counter.
    case random(Distribution, key: Int, counter: Int)
    /// Any other op; it holds no values.
    case op(Op)
  }

  /// Inputs before users.
  var vertices: [Vertex] = []
  /// Vertices whose values are wanted.
  var outputs: [Int] = []
  /// Program inputs whose buffers may be overwritten.
  var donated: [Int] = []
  var options = EngineOptions.Flags()
}

/// Switches for debugging and for the tests that hold fused against unfused results.
public enum EngineOptions {
  public struct Flags: Hashable, Sendable {
    /// Merge elementwise work into its consumers.
    public var fusion = true
    /// Let temporaries share memory and donated inputs be updated in place.
    public var memoryReuse = true
    /// Evaluate every node as it is made, to find the operation that goes wrong; also `KILN_EAGER=1`.
    public var eager = EngineOptions.isEagerByEnvironment
    public init() {}
  }
  @TaskLocal private static var scoped: Flags?
  fileprivate static let isEagerByEnvironment = ProcessInfo.processInfo.environment["KILN_EAGER"] == "1"
  public static var current: Flags { scoped ?? Flags() }

  /// Runs `body` with other switches.
  public static func with<R>(_ change: (inout Flags) -> Void, _ body: () throws -> R) rethrows -> R {
    var flags = current
    change(&flags)
    return try $scoped.withValue(flags, operation: body)
  }
}
