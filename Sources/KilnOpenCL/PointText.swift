import KilnEngine

/// The text by which a kernel finds the elements of a step's operands: parameters, strides and address arithmetic.
///
/// The iteration space has outer dims and, for reductions, inner ones. Strides of 0 and 1 are part of the text (they
/// decide how it can be vectorised); other strides and all sizes are read from the table of the compiled program, so
/// that kernels of one structure are one kernel whatever the sizes.
struct PointText {
  struct Place {
    let name: String
    let operand: Operand
    let isOutput: Bool
    let isLoaded: Bool
  }

  private let outer: [Int]
  private let inner: [Int]
  private(set) var places: [Place] = []
  private(set) var scalars: [(index: Int, dtype: DType)] = []
  /// dims, then every place's strides: what the table holds for this kernel.
  private(set) var table: [Int] = []
  private var tableIndex: [String: Int] = [:]

  /// `expressions` say which operands are read and how. All of `outer` and `inner` must be non-empty lists or absent.
  init(
    outer: [Int], inner: [Int], operands: [Operand], outputs: [Operand], expressions: [Expression],
    scalarTypes: [DType]
  ) {
    self.outer = outer
    self.inner = inner
    var loaded = Set<Int>()
    var addressed = Set<Int>()
    // In the order of their use, so that a kernel's text does not depend on where in a program it stands.
    var used: [Int] = []
    func use(_ scalar: Int) {
      if !used.contains(scalar) { used.append(scalar) }
    }
    for expression in expressions {
      for instruction in expression.instructions {
        switch instruction {
        case .load(let i): loaded.insert(i)
        case .address(let i): addressed.insert(i)
        case .scalar(let i): use(i)
        case .random(_, let key, let counter, _):
          use(key)
          use(counter)
        case .result, .unary, .binary, .select, .cast: break
        }
      }
    }
    for (i, operand) in operands.enumerated() where loaded.contains(i) || addressed.contains(i) {
      places.append(Place(name: "in\(i)", operand: operand, isOutput: false, isLoaded: loaded.contains(i)))
    }
    for (i, operand) in outputs.enumerated() {
      places.append(Place(name: "out\(i)", operand: operand, isOutput: true, isLoaded: false))
    }
    scalars = used.map { ($0, scalarTypes[$0]) }
    for (axis, size) in (outer + inner).enumerated() { enter("size\(axis)", size) }
    for place in places {
      for (axis, stride) in place.operand.strides.enumerated() where stride != 0 && stride != 1 {
        enter("\(place.name)_s\(axis)", stride)
      }
    }
  }

  private mutating func enter(_ name: String, _ value: Int) {
    tableIndex[name] = table.count
    table.append(value)
  }

  /// "GLOBAL const float *in0, const long in0_at, ..., GLOBAL const long *table, const long table_at, ".
  var parameters: String {
    var text = ""
    for place in places {
      if place.isLoaded || place.isOutput {
        text += "GLOBAL \(place.isOutput ? "" : "const ")\(place.operand.dtype.openCL) *\(place.name), "
      }
      text += "const long \(place.name)_at, "
    }
    for (i, scalar) in scalars.enumerated() { text += "const \(scalar.dtype.openCL) c\(i), " }
    return text + "GLOBAL const long *table, const long table_at, "
  }

  func arguments(tableAt: Int) -> [Argument] {
    var list: [Argument] = []
    for place in places {
      // Data without a slot lies in the scratch memory.
      if place.isLoaded || place.isOutput { list.append(place.operand.slot.map { .buffer($0) } ?? .scratch) }
      list.append(.offset(place.operand.slot, place.operand.offset, elementSize: place.operand.dtype.size))
    }
    list += scalars.map { .scalar($0.index) }
    return list + [.table, .long(tableAt)]
  }

  /// Reads what the address arithmetic needs into locals.
  var prepare: String {
    var text = ""
    for (axis, _) in (outer + inner).enumerated() { text += "const INDEX size\(axis) = \(tableEntry("size\(axis)")); " }
    for place in places {
      for (axis, stride) in place.operand.strides.enumerated() where stride != 0 && stride != 1 {
        let name = "\(place.name)_s\(axis)"
        text += "const INDEX \(name) = \(tableEntry(name)); "
      }
      if place.isLoaded || place.isOutput {
        let constant = place.isOutput ? "" : "const "
        text += "GLOBAL \(constant)\(place.operand.dtype.openCL) *\(place.name)_p = \(place.name) + \(place.name)_at; "
      }
    }
    return text
  }

  private func tableEntry(_ name: String) -> String { "(INDEX)table[table_at + \(tableIndex[name] ?? 0)]" }

  /// The name of the size of the last outer or inner axis.
  var outerLast: String { "size\(outer.count - 1)" }
  var innerLast: String { "size\(outer.count + inner.count - 1)" }

  private func product(_ place: Place, _ axis: Int, _ index: String) -> String? {
    let stride = place.operand.strides[axis]
    if stride == 0 { return nil }
    return stride == 1 ? "(\(index))" : "(\(index)) * \(place.name)_s\(axis)"
  }

  /// Splits `row` into the indices of all axes of `axes` but the last.
  private func decompose(_ row: String, _ axes: Range<Int>, _ prefix: String) -> (text: String, indices: [String]) {
    var text = ""
    var rest = "(INDEX)(\(row))"
    var indices: [String] = []
    for axis in axes.dropLast().reversed() {
      let name = "\(prefix)\(axis)"
      if axis == axes.lowerBound {
        text += "const INDEX \(name) = \(rest); "
      } else {
        text += "const INDEX \(prefix)r\(axis) = \(rest); "
        text += "const INDEX \(name) = \(prefix)r\(axis) % size\(axis); "
        rest = "\(prefix)r\(axis) / size\(axis)"
      }
      indices.insert(name, at: 0)
    }
    return (text, indices)
  }

  /// Sets `<place>_b` to the address of element `x` (if any) of the row of the outer space.
  func outerAddresses(row: String, x: String?) -> String {
    let axes = 0..<outer.count
    var (text, indices) = decompose(row, axes, "i")
    for place in places {
      var terms = axes.dropLast().compactMap { product(place, $0, indices[$0]) }
      if let x, let last = product(place, outer.count - 1, "(INDEX)(\(x))") { terms.append(last) }
      text += "const INDEX \(place.name)_b = \(terms.isEmpty ? "0" : terms.joined(separator: " + ")); "
    }
    return text
  }

  /// Sets `<place>_c` to `<place>_b` moved to a row of the inner space.
  func innerAddresses(row: String) -> String {
    let axes = outer.count..<(outer.count + inner.count)
    var (text, indices) = decompose(row, axes, "j")
    for place in places where !place.isOutput {
      var terms = ["\(place.name)_b"]
      terms += axes.dropLast().compactMap { product(place, $0, indices[$0 - outer.count]) }
      text += "const INDEX \(place.name)_c = \(terms.joined(separator: " + ")); "
    }
    return text
  }

  /// The address of `place` from `<place>_b` or `_c`, `k` along the last inner and `l` along the last outer axis.
  private func address(_ place: Place, base: String, k: String?, l: String?) -> String {
    var terms = ["\(place.name)_\(base)"]
    if let k, let term = product(place, outer.count + inner.count - 1, "(INDEX)(\(k))") { terms.append(term) }
    if let l, let term = product(place, outer.count - 1, "(INDEX)(\(l))") { terms.append(term) }
    return terms.joined(separator: " + ")
  }

  /// The expression's statements, at the point that `base`, `k` and `l` say.
  func evaluate(_ expression: Expression, register: String, base: String, k: String?, l: String?) -> ExpressionText {
    func place(_ index: Int) -> Place? { places.first { $0.name == "in\(index)" } }
    return ExpressionText(
      expression, register: register,
      names: ExpressionText.Names(
        load: { i in place(i).map { "in\(i)_p[\(address($0, base: base, k: k, l: l))]" } ?? "0" },
        address: { i in
          place(i).map { "(long)(\(address($0, base: base, k: k, l: l))) + in\(i)_at" } ?? "0"
        },
        scalar: { scalar in "c\(scalars.firstIndex { $0.index == scalar } ?? 0)" }))
  }

  /// Stores the registers at `<out>_b`, `k` or `l` along the last outer axis.
  func stores(_ registers: [String], l: String) -> String {
    zip(places.filter(\.isOutput), registers).map { place, register in
      "\(place.name)_p[\(address(place, base: "b", k: nil, l: l))] = \(register);"
    }.joined(separator: " ")
  }

  /// As `evaluate`, for sixteen neighbours along the last outer axis; `nil` where the expression or the layout of an operand
  /// has no text for that.
  func evaluateVector(
    _ expression: Expression, register: String, base: String, k: String?, l: String
  ) -> ExpressionText? {
    let (last, loaded) = (outer.count - 1, expression.loaded)
    let inputs = places.filter { place in loaded.contains { place.name == "in\($0)" } }
    guard expression.hasVectorText, inputs.allSatisfy({ (0...1).contains($0.operand.strides[last]) }) else {
      return nil
    }
    func load(_ index: Int) -> String {
      guard let place = inputs.first(where: { $0.name == "in\(index)" }) else { return "0" }
      let (at, isBool) = (address(place, base: base, k: k, l: l), place.operand.dtype == .bool)
      if place.operand.strides[last] == 0 {
        return isBool ? "(int16)(\(place.name)_p[\(at)] != 0 ? -1 : 0)" : "(float16)(\(place.name)_p[\(at)])"
      }
      let vector = "vload16(0, \(place.name)_p + (\(at)))"
      return isBool ? "(convert_int16(\(vector)) != 0)" : vector
    }
    return ExpressionText(
      expression, register: register,
      names: ExpressionText.Names(
        load: load, address: { _ in "0" },
        scalar: { scalar in "c\(scalars.firstIndex { $0.index == scalar } ?? 0)" }),
      lanes: .sixteen)
  }

  /// `evaluateVector` at `<place>_b` and the stores of its values.
  func storeVector(_ expression: Expression, register: String, l: String) -> String? {
    let outputs = places.filter(\.isOutput)
    guard outputs.allSatisfy({ $0.operand.strides[outer.count - 1] == 1 }),
      let text = evaluateVector(expression, register: register, base: "b", k: nil, l: l)
    else { return nil }
    let stores = zip(outputs, text.outputs).map { place, value in
      let stored = place.operand.dtype == .bool ? "convert_uchar16(\(value) & 1)" : value
      return "vstore16(\(stored), 0, \(place.name)_p + (\(address(place, base: "b", k: nil, l: l))));"
    }
    return (text.statements + stores).joined(separator: " ")
  }

  /// Whether all addresses and counts fit 32 bits.
  var fitsInt: Bool {
    let dims = outer + inner
    guard dims.reduce(1, { $0.multipliedReportingOverflow(by: max($1, 1)).partialValue }) < 1 << 30 else {
      return false
    }
    return places.allSatisfy { place in
      var reach = 0
      for (axis, stride) in place.operand.strides.enumerated() { reach += max(dims[axis] - 1, 0) * abs(stride) }
      return reach < 1 << 30
    }
  }
}
