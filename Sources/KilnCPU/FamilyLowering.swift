import CVector
import KilnEngine

/// The families that read and write whole contiguous operands.
final class ScanRun: CPUStep {
  private var step: kv_scan
  private let input, output: Place
  let scratchBytes = 0

  init(_ scan: ScanStep, _ slots: SlotTable) {
    let (isProduct, isReversed) =
      switch scan.kind {
      case .sum(let reverse): (false, reverse)
      case .product(let reverse): (true, reverse)
      }
    step = kv_scan(
      dtype: scan.input.dtype.kv, product: isProduct, reverse: isReversed, outer: Int64(scan.outer),
      length: Int64(scan.length), inner: Int64(scan.inner))
    (input, output) = (Place(scan.input, slots), Place(scan.output, slots))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    kv_run_scan(&step, input.pointer(binding), output.pointer(binding))
  }
}

final class ArgsortRun: CPUStep {
  private var step: kv_argsort
  private let input, output: Place
  let scratchBytes: Int

  init(_ sort: ArgsortStep, _ slots: SlotTable) {
    step = kv_argsort(
      dtype: sort.input.dtype.kv, descending: sort.descending, rows: Int64(sort.rows), columns: Int64(sort.columns))
    (input, output) = (Place(sort.input, slots), Place(sort.output, slots))
    scratchBytes = Int(kv_argsort_scratch(&step))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    kv_run_argsort(&step, input.pointer(binding), output.pointer(binding)?.assumingMemoryBound(to: Int64.self))
  }
}

final class GatherRun: CPUStep {
  private var step: kv_gather
  private let data, indices, output: Place
  private let operation: String
  let scratchBytes = 0

  init(_ gather: GatherStep, _ slots: SlotTable) {
    let (kind, operation) =
      switch gather.gather.kind {
      case .rows: (KV_ROWS, "gathered")
      case .scatterAddRows: (KV_SCATTER_ROWS, "scatterAdd")
      case .along: (KV_ALONG, "takenAlong")
      case .scatterAddAlong: (KV_SCATTER_ALONG, "scatterAddAlong")
      }
    let g = gather.gather
    step = kv_gather(
      kind: kind, dtype: gather.dtype.kv, outer: Int64(g.outer), length: Int64(g.length), inner: Int64(g.inner),
      count: Int64(g.count))
    self.operation = operation
    data = Place(gather.inputs[0], slots)
    indices = Place(gather.inputs[1], slots)
    output = Place(gather.output, slots)
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    try kv_run_gather(
      &step, data.pointer(binding), indices.pointer(binding)?.assumingMemoryBound(to: Int64.self),
      output.pointer(binding)
    ).check(operation)
  }
}

final class PoolRun: CPUStep {
  private var step: kv_pooling
  private let inputs: [Place]
  private let output: Place
  let scratchBytes: Int

  init(_ pool: PoolStep, _ slots: SlotTable) {
    let p = pool.pool
    step = kv_pooling()
    switch p.kind {
    case .max: step.kind = KV_POOL_MAX
    case .maxGradient: step.kind = KV_POOL_MAX_GRADIENT
    case .maxGather: step.kind = KV_POOL_MAX_GATHER
    case .average(let countPadding): (step.kind, step.count_padding) = (KV_POOL_AVERAGE, countPadding)
    case .averageGradient(let countPadding):
      (step.kind, step.count_padding) = (KV_POOL_AVERAGE_GRADIENT, countPadding)
    }
    step.dtype = pool.dtype.kv
    (step.planes, step.height, step.width) = (Int64(p.planes), Int64(p.height), Int64(p.width))
    (step.out_height, step.out_width) = (Int64(p.outHeight), Int64(p.outWidth))
    (step.kernel_height, step.kernel_width) = (Int64(p.kernelHeight), Int64(p.kernelWidth))
    (step.stride_y, step.stride_x) = (Int64(p.strideY), Int64(p.strideX))
    (step.dilation_y, step.dilation_x) = (Int64(p.dilationY), Int64(p.dilationX))
    (step.pad_top, step.pad_left) = (Int64(p.padTop), Int64(p.padLeft))
    scratchBytes = Int(kv_pooling_scratch(&step))
    inputs = pool.inputs.map { Place($0, slots) }
    output = Place(pool.output, slots)
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    kv_run_pooling(
      &step, inputs[0].pointer(binding), inputs.count > 1 ? inputs[1].pointer(binding) : nil, output.pointer(binding))
  }
}
