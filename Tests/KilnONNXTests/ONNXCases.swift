import Foundation
import Kiln
import Testing

extension ONNXCase {
  /// Every layer kind and model that can be written. Batch normalization has seen a batch, so that its statistics count.
  static let all: [ONNXCase] = models + dense + convolutions + sequences + attention

  private static let generator = RandomGenerator(seed: 7)

  static let models: [ONNXCase] = [
    ONNXCase("mlp", digitsMLP(generator: generator, on: .cpu), [1, 8, 8]),
    ONNXCase(
      "cnn",
      trained(
        Sequential {
          Conv2D(1, 4, kernel: 3, padding: .symmetric(1, 1), activation: .relu, generator: generator, on: .cpu)
          BatchNorm2D(4, on: .cpu)
          MaxPool2D(2)
          Conv2D(4, 8, kernel: 3, stride: 2, padding: .same, activation: .relu, generator: generator, on: .cpu)
          AveragePool2D(2)
          Flatten()
          Dropout(0.5)
          Dense(32, 5, generator: generator, on: .cpu)
        }, [6, 1, 16, 16]), [1, 1, 16, 16]),
    ONNXCase("resnet20", trained(resNet20(width: 4, generator: generator, on: .cpu), [4, 3, 16, 16]), [1, 3, 16, 16]),
    ONNXCase(
      "lstm-tagger",
      LSTMTagger(words: 20, features: 6, hidden: 5, layers: 2, classes: 4, generator: generator, on: .cpu),
      [1, 7], dtype: .int64, words: 20, timeAxis: 1),
    ONNXCase(
      "lstm-classifier",
      LSTMTagger(words: 20, features: 6, hidden: 5, classes: 4, isPerToken: false, generator: generator, on: .cpu),
      [1, 7], dtype: .int64, words: 20),
    ONNXCase(
      "gpt2",
      GPT2(
        GPT2.Configuration(words: 30, positions: 16, features: 24, layers: 2, heads: 3), generator: generator, on: .cpu),
      [1, 9], dtype: .int64, words: 30, timeAxis: 1),
    ONNXCase("bert", bert, [1, 9], dtype: .int64, words: 30),
    ONNXCase(
      "bert-masked", bert,
      inputs: [
        ONNXInput("tokens", shape: [1, 9], dtype: .int64, timeAxis: 1),
        ONNXInput("mask", shape: [1, 9], dtype: .bool, timeAxis: 1),
        ONNXInput("types", shape: [1, 9], dtype: .int64, timeAxis: 1),
      ], words: 2
    ) { [bert($0[0], keyMask: $0[1], tokenTypes: $0[2])] },
  ]

  private static let bert = BERT(
    BERT.Configuration(
      words: 30, positions: 16, features: 24, layers: 2, heads: 3, feedForward: 40, classes: 3), generator: generator,
    on: .cpu)

  static let dense: [ONNXCase] = [
    ONNXCase("dense-3d", Dense(5, 4, activation: .tanh, generator: generator, on: .cpu), [1, 3, 5], timeAxis: 1),
    ONNXCase(
      "activations",
      Concatenate {
        for activation: Activation in [
          .relu, .leakyReLU(slope: 0.1), .elu(), .gelu, .geluTanh, .silu, .sigmoid, .tanh, .softplus, .relu6, .selu,
          .celu(alpha: 0.7), .mish, .hardtanh(), .hardsigmoid, .hardswish, .softsign, .logSigmoid, .softmax,
          .logSoftmax,
        ] {
          Lambda { activation($0) }
        }
        PReLU(6, on: .cpu)
        Softmax(axis: 1)
      }, [1, 6]),
    ONNXCase("highway", Highway(6, generator: generator, on: .cpu), [1, 6]),
    ONNXCase("residual", Residual(Dense(6, 6, generator: generator, on: .cpu)), [1, 6]),
    ONNXCase("layer-norm", LayerNorm(6, on: .cpu), [1, 3, 6]),
    ONNXCase("rms-norm", RMSNorm(6, on: .cpu), [1, 3, 6]),
    ONNXCase(
      "weight-norm",
      (try? WeightNorm(Dense(6, 4, generator: generator, on: .cpu))).map { $0 as any Layer } ?? Identity(),
      [1, 6]),
    ONNXCase("batch-norm-1d", trained(Sequential { BatchNorm1D(6, on: .cpu) }, [9, 6]), [1, 6]),
    ONNXCase(
      "float64", Dense(5, 4, activation: .sigmoid, dtype: .float64, generator: generator, on: .cpu), [1, 5],
      dtype: .float64),
    ONNXCase(
      "arithmetic",
      Lambda { x in
        let pair = concatenate([x.flipped(axes: [1]), x.sliced(axis: 1, from: 4, step: -2)], axis: 1)
        let ranks = x.argsorted(axis: 1).cast(to: .float32)
        let first = x.argmax(axis: 1, keepDims: true).cast(to: .float32)
        let running = x.cumulativeSum(axis: 1) + remainder(x, 0.7) + maximum(x, 0.1) * minimum(x, 0.2)
        let powers = pow(abs(x) + 0.1, 1.3) + sqrt(abs(x)) + square(x) + floor(x) + rsqrt(abs(x) + 1)
        let flags = ((x .> 0.3) .|| (x .<= -0.3) .&& (x .!= 0)).cast(to: .float32)
        return concatenate([pair, ranks, first, running, powers, flags, x.max(axes: [1], keepDims: true)], axis: 1)
      }, [1, 5]),
    ONNXCase("whole-batch", Lambda { x in x - x.sum(axes: [0], keepDims: true) * 0.1 + x.flipped(axes: [0]) }, [1, 5]),
  ]

  static let convolutions: [ONNXCase] = [
    ONNXCase(
      "conv-groups",
      Conv2D(
        4, 6, kernel: (3, 2), stride: (2, 1), padding: .symmetric(1, 1), dilation: (1, 2), groups: 2,
        generator: generator, on: .cpu),
      [1, 4, 9, 8]),
    ONNXCase(
      "conv-reflect",
      Conv2D(2, 3, kernel: 3, padding: .symmetric(1, 1), paddingMode: .reflect, generator: generator, on: .cpu),
      [1, 2, 6, 6]),
    ONNXCase("conv-leftover", Conv2D(2, 3, kernel: 2, stride: 3, generator: generator, on: .cpu), [1, 2, 10, 9]),
    ONNXCase(
      "conv-1d", Conv1D(3, 4, kernel: 3, stride: 2, padding: .same, generator: generator, on: .cpu), [1, 3, 11]),
    ONNXCase(
      "conv-transposed",
      ConvTranspose2D(
        3, 4, kernel: (3, 3), stride: (2, 2), padding: (1, 1), outputPadding: (1, 1), generator: generator, on: .cpu),
      [1, 3, 5, 4]),
    ONNXCase("pool-max", MaxPool2D(3, stride: 2, padding: .symmetric(1, 1)), [1, 2, 9, 8]),
    ONNXCase("pool-max-1d", MaxPool1D(2, stride: 3), [1, 2, 9]),
    ONNXCase("pool-average", AveragePool2D(3, stride: 2, padding: .symmetric(1, 1)), [1, 2, 9, 8]),
    ONNXCase("pool-average-inside", AveragePool2D(3, stride: 2, padding: .same, countsPadding: false), [1, 2, 9, 8]),
    ONNXCase(
      "pool-global",
      Concatenate {
        GlobalAveragePool2D(); GlobalMaxPool2D()
      }, [1, 2, 5, 4]),
    ONNXCase("pool-adaptive", AdaptiveAveragePool2D((3, 2)), [1, 2, 7, 4]),
    ONNXCase("pool-adaptive-max", AdaptiveMaxPool2D((3, 2)), [1, 2, 7, 4]),
    ONNXCase("instance-norm", InstanceNorm2D(3, isAffine: true, on: .cpu), [1, 3, 5, 4]),
    ONNXCase("group-norm", GroupNorm(2, 4, on: .cpu), [1, 4, 5, 3]),
    ONNXCase("upsample", Upsample(scale: 2), [1, 2, 4, 3]),
    ONNXCase("upsample-odd", Upsample(scale: 1.5), [1, 2, 4, 3]),
    ONNXCase("upsample-bilinear", Upsample(scale: 2, mode: .bilinear()), [1, 2, 4, 3]),
  ]

  static let sequences: [ONNXCase] = [
    ONNXCase("rnn", SimpleRNN(4, 5, generator: generator, on: .cpu), [1, 6, 4]),
    ONNXCase(
      "rnn-relu", SimpleRNN(4, 5, bidirectional: true, activation: .relu, bias: false, generator: generator, on: .cpu),
      [1, 6, 4]),
    ONNXCase("lstm", LSTM(4, 5, layers: 2, dropout: 0.3, generator: generator, on: .cpu), [1, 6, 4], timeAxis: 1),
    // With a state of its own it is written step by step.
    ONNXCase(
      "lstm-state", stateLSTM,
      inputs: [
        ONNXInput("x", shape: [1, 6, 4]), ONNXInput("h", shape: [1, 1, 5]), ONNXInput("c", shape: [1, 1, 5]),
      ]
    ) { inputs in
      let state = LSTM.State(h: inputs[1].permuted([1, 0, 2]), c: inputs[2].permuted([1, 0, 2]))
      let (output, final) = stateLSTM(inputs[0], state: state)
      return [concatenate([output, final.c.permuted([1, 0, 2])], axis: 1)]
    },
    ONNXCase("lstm-time-first", timeFirstLSTM, inputs: [ONNXInput(shape: [1, 6, 4])]) {
      [timeFirstLSTM($0[0].permuted([1, 0, 2])).permuted([1, 0, 2])]
    },
    ONNXCase(
      "gru", GRU(4, 5, bidirectional: true, returnSequences: false, generator: generator, on: .cpu), [1, 6, 4],
      timeAxis: 1),
    ONNXCase(
      "lstm-lengths", lengthLSTM,
      inputs: [ONNXInput("x", shape: [1, 6, 4], timeAxis: 1), ONNXInput("lengths", shape: [1], dtype: .int64)], words: 6
    ) { [lengthLSTM($0[0], state: nil, lengths: $0[1]).output] },
    ONNXCase(
      "embedding", Embedding(12, 5, paddingIndex: 0, generator: generator, on: .cpu), [1, 4], dtype: .int32, words: 12,
      timeAxis: 1),
  ]
  private static let stateLSTM = LSTM(4, 5, generator: RandomGenerator(seed: 8), on: .cpu)
  private static let timeFirstLSTM = LSTM(4, 5, timeFirst: true, generator: RandomGenerator(seed: 8), on: .cpu)
  private static let lengthLSTM = LSTM(4, 5, bidirectional: true, generator: RandomGenerator(seed: 9), on: .cpu)

  static let attention: [ONNXCase] = [
    ONNXCase(
      "transformer",
      Sequential {
        Embedding(20, 16, generator: generator, on: .cpu)
        SinusoidalEncoding()
        TransformerEncoder(
          2, 16, heads: 4, feedForward: 32, activation: .gelu, normFirst: true, finalNorm: true, generator: generator,
          on: .cpu)
        Dense(16, 20, generator: generator, on: .cpu)
      }, [1, 8], dtype: .int64, words: 20, timeAxis: 1),
    ONNXCase(
      "decoder", decoder,
      inputs: [ONNXInput("x", shape: [1, 6, 16], timeAxis: 1), ONNXInput("memory", shape: [1, 4, 16])]
    ) { [decoder($0[0], memory: $0[1])] },
    ONNXCase(
      "rotary", rotary, inputs: [ONNXInput(shape: [1, 6, 16], timeAxis: 1)]
    ) { [rotary($0[0], mask: nil, isCausal: true)] },
  ]
  private static let decoder = TransformerDecoder(
    1, 16, heads: 4, feedForward: 32, generator: RandomGenerator(seed: 3), on: .cpu)
  private static let rotary = MultiHeadAttention(
    16, heads: 4, keyHeads: 2, rotary: RotaryEmbedding(pairing: .neighbors), generator: RandomGenerator(seed: 4),
    on: .cpu)

  /// The model after one batch in training mode.
  private static func trained(_ model: Sequential, _ shape: Shape) -> Sequential {
    let x = Tensor.randomNormal(shape, mean: 0.3, standardDeviation: 1.7, generator: RandomGenerator(seed: 5), on: .cpu)
    _ = model(x)
    return model
  }
}
