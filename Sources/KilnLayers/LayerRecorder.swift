import KilnEngine
import Synchronization

/// Notes the calls of a model's layers while `summary` or `traced` runs it.
final class LayerRecorder: Sendable {
  /// One call of a layer.
  struct Call {
    /// How many recorded calls it lies within.
    var depth: Int
    /// Where the layer is in the model; nil if it is not stored there.
    var path: String?
    var module: any Module
    var outputShape: Shape?
    var operations = 0
    /// What the call gave, for those who look at values.
    var output: Tensor?
    /// The numbers of the values that were made meanwhile; nil for none.
    var values: ClosedRange<UInt64>?
  }

  @TaskLocal static var current: LayerRecorder?

  private struct Frame {
    var path: String?
    var type: Any.Type
    /// A container announced the call, and the layer itself has not yet.
    var isAnnounced: Bool
  }
  private struct State {
    var frames: [Frame] = []
    var calls: [Call] = []
    var recurrences: [RecurrentCall] = []
  }
  private let state = Mutex(State())
  private let paths: [ObjectIdentifier: [(path: String, type: Any.Type)]]

  private let keepsOutputs: Bool

  init(root: any Module, keepsOutputs: Bool = false) {
    self.keepsOutputs = keepsOutputs
    var paths: [ObjectIdentifier: [(path: String, type: Any.Type)]] = [:]
    for (name, module) in root.namedModules {
      if let identity = module.layerIdentity { paths[identity, default: []].append((name, type(of: module))) }
    }
    self.paths = paths
  }

  var calls: [Call] { state.withLock { $0.calls } }
  var recurrences: [RecurrentCall] { state.withLock { $0.recurrences } }

  func note(_ call: RecurrentCall) { state.withLock { $0.recurrences.append(call) } }

  /// Runs `body`, the computation of `module`. A container gives the name under which it holds it.
  func record(_ module: any Module, named name: String?, _ body: () throws -> Tensor) rethrows -> Tensor {
    let kind = type(of: module)
    let identity = name == nil ? module.layerIdentity : nil
    let index = state.withLock { state -> Int? in
      if let top = state.frames.last, top.isAnnounced, name == nil, top.type == kind {
        state.frames[state.frames.count - 1].isAnnounced = false
        return nil
      }
      var path: String?
      if let name, state.frames.isEmpty {
        path = name
      } else if let name {
        path = state.frames.last.flatMap(\.path).map { $0.isEmpty || name.isEmpty ? $0 + name : "\($0).\(name)" }
      } else if let identity {
        path = paths[identity]?.first { $0.type == kind }?.path
      }
      state.calls.append(Call(depth: state.frames.count, path: path, module: module))
      state.frames.append(Frame(path: path, type: kind, isAnnounced: name != nil))
      return state.calls.count - 1
    }
    guard let index else { return try body() }
    let mark = Tensor.newestValue
    let y = try body()
    let operations = y.operationCount(since: mark)
    state.withLock { state in
      state.frames.removeLast()
      state.calls[index].outputShape = y.shape
      state.calls[index].operations = operations
      if Tensor.newestValue > mark { state.calls[index].values = mark + 1...Tensor.newestValue }
      if keepsOutputs { state.calls[index].output = y }
    }
    return y
  }
}

/// What a model's layers did while it ran, for those who translate its graph.
package struct RecordedCalls: Sendable {
  /// A call of a layer.
  package struct LayerCall: Sendable {
    /// Where the layer is in the model; nil if it is not stored there.
    package var path: String?
    /// The numbers of the values that were made meanwhile.
    package var values: ClosedRange<UInt64>
  }
  /// The outer before the inner.
  package var layers: [LayerCall]
  package var recurrences: [RecurrentCall]
}

extension Module {
  /// The result of `body` with the calls of this module's layers meanwhile.
  package func recordingCalls<Result>(_ body: () throws -> Result) rethrows -> (result: Result, calls: RecordedCalls) {
    let recorder = LayerRecorder(root: self)
    let result = try LayerRecorder.$current.withValue(recorder, operation: body)
    let layers = recorder.calls.compactMap { call in
      call.values.map { RecordedCalls.LayerCall(path: call.path, values: $0) }
    }
    return (result, RecordedCalls(layers: layers, recurrences: recorder.recurrences))
  }
}
