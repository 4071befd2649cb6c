import KilnEngine

/// The calls of a model's layers in one run, with what they gave: to find where in a model a value comes from.
package struct LayerTrace: Sendable {
  package struct Call: Sendable {
    /// The path in the model, or what the layer is if it is stored nowhere; "the model" for the model itself.
    package let name: String
    package let module: any Module
    package let output: Tensor
    /// The numbers of the values that the call made, those of the calls within it included; nil for none.
    package let values: ClosedRange<UInt64>?
  }
  package let calls: [Call]

  /// The innermost call that made the value of this number.
  package func call(making number: UInt64) -> Call? {
    calls.last { $0.values?.contains(number) == true }
  }
}

extension Layer {
  /// The model's result, in the mode that it is in, and its layers' calls.
  package func traced(_ x: Tensor) -> (output: Tensor, trace: LayerTrace) {
    let recorder = LayerRecorder(root: self, keepsOutputs: true)
    let y = LayerRecorder.$current.withValue(recorder) { recorder.record(self, named: "") { self(x) } }
    let calls = recorder.calls.compactMap { call in
      call.output.map { output in
        let path = call.path ?? call.module.headline
        return LayerTrace.Call(
          name: path.isEmpty ? "the model" : path, module: call.module, output: output, values: call.values)
      }
    }
    return (y, LayerTrace(calls: calls))
  }
}

extension Module {
  /// What the layer applies to its result; `nil` for one that has no activation.
  package var appliedActivation: Activation? {
    switch self {
    case is ReLU: return .relu
    case is ReLU6: return .relu6
    default: break
    }
    return Mirror(reflecting: self).children.lazy.compactMap {
      $0.label == "activation" ? $0.value as? Activation : nil
    }
    .first
  }
}
