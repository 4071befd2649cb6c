/// What a family answers when it is asked for its gradient. Nothing is dropped silently.
///
/// Every family's file holds its rule next to the operation. Rules are written with public tensor functions over
/// inputs, results and attributes only, so that gradients of gradients need no code of their own.
enum Cotangents {
  /// One for each input, in its shape and dtype; `nil` for inputs that have none by nature (indices, labels).
  case rule([Tensor?])
  /// Zero wherever it exists: integer and bool results, steps.
  case zero
  /// There is none, and why.
  case undefined(String)

  /// Those of the plain composition that is equal to a fused operation.
  static func ofPlain(_ inputs: [Tensor], _ g: Tensor, _ plain: ([Tensor]) -> Tensor) -> Cotangents {
    // Marks of their own, so that a way from one input to another is not followed here.
    let own = inputs.map { $0.watched() }
    do {
      return .rule(try gradient(of: plain(own), withRespectTo: own, seed: g))
    } catch {
      return .rule(inputs.map { .carrying(error, shape: $0.shape, dtype: $0.dtype, device: $0.device) })
    }
  }
}
