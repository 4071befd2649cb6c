import KilnEngine
import KilnLayers

/// Parameters that lie together and are updated as one flat tensor: those of a group that have made equally many steps.
/// What a rule that looks at whole parameters updates is a block of its own, in its shape.
struct ParameterBlock: Sendable {
  /// Indices of the optimizer's parameters, ascending.
  let members: [Int]
  let group: Int
  let storage: ParameterStorage
  /// Each of the storage's shape.
  var slots: [Tensor]
  let dtype: DType
  let device: Device

  /// A member's slots: views.
  func slots(of member: Int) -> [Tensor]? {
    guard let position = members.firstIndex(of: member) else { return nil }
    return slots.map { storage.part(position, of: $0) }
  }
}

/// The values and slots of a block.
struct BlockTensors {
  var value: Tensor
  var slots: [Tensor]
  var all: [Tensor] { [value] + slots }
}

extension Optimizer {
  /// Brings the parameters of the coming step into blocks, if they are not: at the first step, when parameters were
  /// frozen or thawed, or given values from outside. Throws what the evaluation of values reports; nothing is lost then.
  func arrange(_ state: inout State, _ trainable: [Int]) throws {
    if isArranged(state, trainable) { return }
    // All slots first: blocks are made of other blocks.
    var slots: [Int: [Tensor]] = [:]
    for index in allParameters.indices {
      slots[index] = state.blocks.lazy.compactMap { $0.slots(of: index) }.first ?? state.resting[index]
    }
    var blocks: [ParameterBlock] = []
    for members in divide(trainable, state) {
      let parameters = members.map { allParameters[$0].parameter }
      let storage = try ParameterStorage(parameters)
      let rule = state.rule(of: members[0])
      let joined = try rule.slots.enumerated().map { position, slot in
        let whole =
          members.contains { slots[$0] != nil }
          ? ParameterStorage.joined(
            members.map { slots[$0]?[position] ?? freshSlot(slot, allParameters[$0].parameter.shape, storage, rule) })
          : freshSlot(slot, storage.whole.shape, storage, rule)
        // A tensor of its own: a step gives its slots away, and the one that this came from may be another's too. What
        // was joined is one already.
        let own = members.count > 1 ? whole : whole.stopGradient()
        try evaluate(own)
        return own
      }
      blocks.append(
        ParameterBlock(
          members: members, group: state.groupOf[members[0]], storage: storage, slots: joined,
          dtype: storage.whole.dtype, device: storage.whole.device))
    }
    state.blocks = blocks
    let inBlocks = Set(blocks.flatMap(\.members))
    state.resting = slots.filter { !inBlocks.contains($0.key) }
  }

  private func isArranged(_ state: State, _ trainable: [Int]) -> Bool {
    guard state.blocks.reduce(0, { $0 + $1.members.count }) == trainable.count else { return false }
    for block in state.blocks {
      for (position, member) in block.members.enumerated() {
        let parameter = allParameters[member].parameter
        guard parameter.isTrainable, parameter.lies(in: block.storage, as: position) else { return false }
      }
    }
    return true
  }

  /// Which parameters share a block.
  private func divide(_ trainable: [Int], _ state: State) -> [[Int]] {
    struct Key: Equatable {
      var group: Int
      var steps: Int
      var dtype: DType
      var device: Device
    }
    var blocks: [(key: Key, members: [Int])] = []
    for index in trainable {
      let value = allParameters[index].parameter.value
      let key = Key(group: state.groupOf[index], steps: state.steps[index], dtype: value.dtype, device: value.device)
      if state.rule(of: index).isElementwise, let known = blocks.firstIndex(where: { $0.key == key }) {
        blocks[known].members.append(index)
      } else {
        blocks.append((key, [index]))
      }
    }
    return blocks.map(\.members)
  }

  private func freshSlot(
    _ slot: String, _ shape: Shape, _ storage: ParameterStorage, _ rule: any UpdateRule
  ) -> Tensor {
    .full(shape, rule.initialValue(ofSlot: slot), dtype: storage.whole.dtype, on: storage.whole.device)
  }

  /// A parameter's slots: those of its block, those kept, or new ones.
  func slots(of index: Int, in state: State) -> [Tensor] {
    if let slots = state.blocks.lazy.compactMap({ $0.slots(of: index) }).first ?? state.resting[index] { return slots }
    let (parameter, rule) = (allParameters[index].parameter, state.rule(of: index))
    return rule.slots.map {
      .full(parameter.shape, rule.initialValue(ofSlot: $0), dtype: parameter.dtype, on: parameter.value.device)
    }
  }
}

/// One step on the blocks of an optimizer, as a function of tensors: what a step that runs at once and one that is
/// traced share.
struct BlockUpdate: Sendable {
  let blocks: [(members: [Int], rule: any UpdateRule)]
  let clipping: GradientClipping?
  /// Of each block, the numbers of this step.
  let scalars: [[Double]]

  init(_ state: Optimizer.State) {
    let rules = state.rules.indices.map(state.scheduledRule)
    clipping = state.clipping
    blocks = state.blocks.map { ($0.members, rules[$0.group]) }
    scalars = state.blocks.map { rules[$0.group].scalars(step: state.steps[$0.members[0]] + 1) }
  }

  /// New values and slots, lazily.
  func apply(to old: [BlockTensors], gradients: [Tensor], scalars: [[Tensor]]) -> [BlockTensors] {
    // The position of each member among the trainable parameters.
    let trainable = blocks.flatMap(\.members).sorted()
    let position = Dictionary(uniqueKeysWithValues: trainable.enumerated().map { ($1, $0) })
    var flat = blocks.map { block in
      ParameterStorage.joined(block.members.map { gradients[position[$0]!].stopGradient() })
    }
    if let clipping { flat = clipping.clipped(flat) }
    return blocks.indices.map { block in
      let new = blocks[block].rule.update(
        value: old[block].value.stopGradient(), gradient: flat[block], slots: old[block].slots, scalars: scalars[block])
      return BlockTensors(value: new.value, slots: new.slots)
    }
  }
}
