import KilnEngine
import Synchronization

/// One tensor in which several parameters lie one after another, so that an optimizer updates them as one. Each
/// parameter is a view of it; a new whole gives all of them new values at once.
package final class ParameterStorage: Sendable {
  /// Where each parameter lies among the elements.
  package struct Place: Sendable, Hashable {
    package var start: Int
    package var shape: Shape
  }
  package let places: [Place]
  private struct State {
    var whole: Tensor
    /// Made when first asked for: a training that is replayed never asks.
    var views: [Tensor?]
  }
  private let state: Mutex<State>

  /// Takes the parameters' values together: in memory of their own if there are several. Throws what their evaluation
  /// reports; the parameters are then as before.
  package init(_ parameters: [Parameter]) throws {
    let values = parameters.map { $0.value.stopGradient() }
    // One by one: as equal values of one evaluation share their memory, and equal shapes their programs.
    for value in values { try evaluate(value) }
    let whole = Self.joined(values)
    try evaluate(whole)
    var start = 0
    var places: [Place] = []
    for parameter in parameters {
      places.append(Place(start: start, shape: parameter.shape))
      start += parameter.count
    }
    self.places = places
    state = Mutex(State(whole: whole, views: places.map { _ in nil }))
    for (member, parameter) in parameters.enumerated() { parameter.move(into: self, as: member) }
  }

  /// The values of all parameters: of shape [elements], or of the parameter's shape if there is only one.
  package var whole: Tensor { state.withLock { $0.whole } }

  /// Gives the parameters new values.
  package func replace(with whole: Tensor) {
    state.withLock { $0 = State(whole: whole, views: $0.views.map { _ in nil }) }
  }

  /// One parameter's value, until the next `replace` always the same tensor, so that it can be differentiated by.
  func value(of member: Int) -> Tensor {
    state.withLock { state in
      if let view = state.views[member] { return view }
      let view = part(member, of: state.whole).watched()
      state.views[member] = view
      return view
    }
  }

  /// The part of `whole`, or of what stands for it, that is one parameter's: a view.
  package func part(_ member: Int, of whole: Tensor) -> Tensor {
    let place = places[member]
    guard places.count > 1 else { return whole.stopGradient() }
    return whole[place.start..<place.start + place.shape.count].reshaped(to: place.shape).stopGradient()
  }

  /// Tensors of one dtype as one, of shape [elements]; a single one as it is.
  package static func joined(_ tensors: [Tensor]) -> Tensor {
    guard tensors.count > 1 else { return tensors[0] }
    return concatenate(tensors.map { $0.reshaped(to: [$0.count]) })
  }
}
