import Kiln

/// Where a case's layer lives.
struct Place {
  var dtype: DType
  var device: Device
}

/// The layers of Golden/make_layers.py's cases, by name.
let goldenCases: [String: @Sendable (Place) throws -> any Layer] = [
  "dense": { Dense(5, 3, dtype: $0.dtype, on: $0.device) },
  "dense-batch1-nobias": { Dense(7, 2, bias: false, dtype: $0.dtype, on: $0.device) },
  "dense-rank3-tanh": { Sequential([Dense(3, 4, dtype: $0.dtype, on: $0.device), Tanh()]) },

  "conv2d": { Conv2D(3, 4, kernel: 3, dtype: $0.dtype, on: $0.device) },
  "conv2d-options": {
    Conv2D(
      4, 6, kernel: (3, 2), stride: (2, 1), padding: .symmetric(1, 2), dilation: (1, 2), groups: 2, dtype: $0.dtype,
      on: $0.device)
  },
  "conv2d-depthwise": { Conv2D(3, 6, kernel: 3, padding: 1, groups: 3, bias: false, dtype: $0.dtype, on: $0.device) },
  "conv2d-same": { Conv2D(2, 3, kernel: (4, 3), padding: .same, dtype: $0.dtype, on: $0.device) },
  "conv2d-same-stride": { Conv2D(2, 3, kernel: 3, stride: 2, padding: .same, dtype: $0.dtype, on: $0.device) },
  "conv2d-reflect": { Conv2D(2, 3, kernel: 3, padding: 2, paddingMode: .reflect, dtype: $0.dtype, on: $0.device) },
  "conv2d-edge": { Conv2D(2, 3, kernel: 3, padding: .same, paddingMode: .edge, dtype: $0.dtype, on: $0.device) },
  "conv2d-relu": { Sequential([Conv2D(2, 3, kernel: 1, activation: .relu, dtype: $0.dtype, on: $0.device)]) },
  "conv1d": { Conv1D(3, 4, kernel: 3, dtype: $0.dtype, on: $0.device) },
  "conv1d-options": {
    Conv1D(4, 4, kernel: 3, stride: 2, padding: 2, dilation: 2, groups: 2, bias: false, dtype: $0.dtype, on: $0.device)
  },
  "conv1d-same": { Conv1D(2, 3, kernel: 4, padding: .same, dtype: $0.dtype, on: $0.device) },
  "conv1d-reflect": { Conv1D(2, 3, kernel: 3, padding: 2, paddingMode: .reflect, dtype: $0.dtype, on: $0.device) },
  "convtranspose2d": { ConvTranspose2D(3, 2, kernel: 3, dtype: $0.dtype, on: $0.device) },
  "convtranspose2d-options": {
    ConvTranspose2D(
      4, 6, kernel: (3, 2), stride: (2, 3), padding: (1, 0), outputPadding: (1, 2), dilation: (2, 1), groups: 2,
      dtype: $0.dtype, on: $0.device)
  },
  "convtranspose1d": { ConvTranspose1D(3, 2, kernel: 4, stride: 2, padding: 1, dtype: $0.dtype, on: $0.device) },
  "convtranspose1d-options": {
    ConvTranspose1D(
      4, 4, kernel: 3, stride: 3, outputPadding: 1, dilation: 2, groups: 4, bias: false, dtype: $0.dtype, on: $0.device)
  },

  "maxpool2d": { _ in MaxPool2D(2) },
  "maxpool2d-options": { _ in MaxPool2D((3, 2), stride: (2, 1), padding: .symmetric(1, 0), dilation: (1, 2)) },
  "maxpool1d": { _ in MaxPool1D(3, stride: 2, padding: 1) },
  "averagepool2d": { _ in AveragePool2D((2, 3), stride: (2, 1), padding: 1) },
  "averagepool2d-inside": { _ in AveragePool2D(3, stride: 2, padding: 1, countsPadding: false) },
  "averagepool1d": { _ in AveragePool1D(2) },
  "globalaveragepool2d": { _ in GlobalAveragePool2D() },
  "globalaveragepool1d": { _ in GlobalAveragePool1D(keepDims: true) },
  "globalmaxpool2d": { _ in GlobalMaxPool2D(keepDims: true) },
  "globalmaxpool1d": { _ in GlobalMaxPool1D() },
  "adaptiveaveragepool2d": { _ in AdaptiveAveragePool2D((3, 2)) },
  "adaptiveaveragepool2d-even": { _ in AdaptiveAveragePool2D(2) },
  "adaptiveaveragepool1d": { _ in AdaptiveAveragePool1D(4) },
  "adaptivemaxpool2d": { _ in AdaptiveMaxPool2D((2, 3)) },
  "adaptivemaxpool1d": { _ in AdaptiveMaxPool1D(3) },

  "flatten": { _ in Flatten() },
  "flatten-range": { _ in Flatten(from: 1, to: 2) },
  "reshape": { _ in Reshape([3, 2]) },
  "reshape-rest": { _ in Reshape([2, -1]) },
  "upsample-nearest": { _ in Upsample(scale: 2) },
  "upsample-nearest-uneven": { _ in Upsample(scale: (1.5, 2.3)) },
  "upsample-nearest-size": { _ in Upsample(size: (7, 5)) },
  "upsample-nearest-1d": { _ in Upsample(scale: 3) },
  "upsample-bilinear": { _ in Upsample(scale: 2, mode: .bilinear()) },
  "upsample-bilinear-uneven": { _ in Upsample(scale: (1.7, 0.6), mode: .bilinear()) },
  "upsample-bilinear-size": { _ in Upsample(size: (5, 7), mode: .bilinear()) },
  "upsample-bilinear-corners": { _ in Upsample(size: (5, 7), mode: .bilinear(alignCorners: true)) },
  "upsample-bilinear-one": { _ in Upsample(size: (1, 4), mode: .bilinear(alignCorners: true)) },
  "upsample-linear": { _ in Upsample(scale: 2, mode: .bilinear()) },

  "embedding": { Embedding(6, 3, dtype: $0.dtype, on: $0.device) },
  "embedding-padding": { Embedding(5, 4, paddingIndex: 1, dtype: $0.dtype, on: $0.device) },

  "batchnorm1d": { BatchNorm1D(4, dtype: $0.dtype, on: $0.device) },
  "batchnorm1d-width": { BatchNorm1D(3, momentum: 0.3, epsilon: 1e-3, dtype: $0.dtype, on: $0.device) },
  "batchnorm2d": { BatchNorm2D(3, dtype: $0.dtype, on: $0.device) },
  "batchnorm2d-batch1": { BatchNorm2D(3, dtype: $0.dtype, on: $0.device) },
  "batchnorm2d-average": { BatchNorm2D(3, momentum: nil, dtype: $0.dtype, on: $0.device) },
  "batchnorm2d-plain": { BatchNorm2D(3, isAffine: false, dtype: $0.dtype, on: $0.device) },
  "batchnorm2d-untracked": { BatchNorm2D(3, tracksStatistics: false, dtype: $0.dtype, on: $0.device) },
  "layernorm": { LayerNorm(6, dtype: $0.dtype, on: $0.device) },
  "layernorm-two": { LayerNorm([3, 4], epsilon: 1e-3, dtype: $0.dtype, on: $0.device) },
  "layernorm-nobias": { LayerNorm(5, bias: false, dtype: $0.dtype, on: $0.device) },
  "layernorm-plain": { LayerNorm(5, isAffine: false, dtype: $0.dtype, on: $0.device) },
  "rmsnorm": { RMSNorm(6, dtype: $0.dtype, on: $0.device) },
  "rmsnorm-two": { RMSNorm([3, 4], epsilon: 1e-6, isAffine: false, dtype: $0.dtype, on: $0.device) },
  "groupnorm": { GroupNorm(2, 6, dtype: $0.dtype, on: $0.device) },
  "groupnorm-plain": { GroupNorm(3, 3, isAffine: false, dtype: $0.dtype, on: $0.device) },
  "instancenorm1d": { InstanceNorm1D(3, dtype: $0.dtype, on: $0.device) },
  "instancenorm2d": { InstanceNorm2D(3, isAffine: true, dtype: $0.dtype, on: $0.device) },
  "instancenorm2d-tracked": {
    InstanceNorm2D(3, isAffine: true, tracksStatistics: true, dtype: $0.dtype, on: $0.device)
  },
  "instancenorm1d-tracked": {
    InstanceNorm1D(3, momentum: 0.2, tracksStatistics: true, dtype: $0.dtype, on: $0.device)
  },

  "dropout": { _ in Dropout(0.3) },
  "dropout1d": { _ in Dropout1D(0.3) },
  "dropout2d": { _ in Dropout2D(0.3) },
  "alphadropout": { _ in AlphaDropout(0.3) },

  "relu": { _ in ReLU() },
  "relu6": { _ in ReLU6() },
  "leakyrelu": { _ in LeakyReLU(slope: 0.2) },
  "elu": { _ in ELU(alpha: 1.3) },
  "celu": { _ in CELU(alpha: 0.5) },
  "selu": { _ in SELU() },
  "gelu": { _ in GELU() },
  "gelu-tanh": { _ in GELU(isApproximate: true) },
  "silu": { _ in SiLU() },
  "mish": { _ in Mish() },
  "sigmoid": { _ in Sigmoid() },
  "logsigmoid": { _ in LogSigmoid() },
  "hardsigmoid": { _ in Hardsigmoid() },
  "hardswish": { _ in Hardswish() },
  "tanh": { _ in Tanh() },
  "hardtanh": { _ in Hardtanh(min: -0.5, max: 1.5) },
  "softplus": { _ in Softplus() },
  "softsign": { _ in Softsign() },
  "softmax": { _ in Softmax() },
  "softmax-axis": { _ in Softmax(axis: 1) },
  "logsoftmax": { _ in LogSoftmax() },
  "prelu": { PReLU(dtype: $0.dtype, on: $0.device) },
  "prelu-channels": { PReLU(3, dtype: $0.dtype, on: $0.device) },

  "identity": { _ in Identity() },
  "lambda": { _ in Lambda("affine") { $0 * 2 + 1 } },
  "residual": { place in Residual { Dense(4, 4, activation: .relu, dtype: place.dtype, on: place.device) } },
  "residual-shortcut": {
    Residual(
      Dense(4, 2, dtype: $0.dtype, on: $0.device), shortcut: Dense(4, 2, bias: false, dtype: $0.dtype, on: $0.device))
  },
  "highway": { Highway(4, dtype: $0.dtype, on: $0.device) },
  "concatenate": { place in
    Concatenate {
      Conv2D(2, 1, kernel: 1, dtype: place.dtype, on: place.device)
      Conv2D(2, 2, kernel: 3, padding: 1, dtype: place.dtype, on: place.device)
    }
  },
  "sequential": { place in
    Sequential {
      Conv2D(2, 3, kernel: 3, padding: 1, bias: false, dtype: place.dtype, on: place.device)
      BatchNorm2D(3, dtype: place.dtype, on: place.device)
      ReLU()
      MaxPool2D(2)
      Flatten()
      Dense(12, 3, dtype: place.dtype, on: place.device)
    }
  },
  "weightnorm": { try WeightNorm(Dense(5, 3, dtype: $0.dtype, on: $0.device)) },
  "weightnorm-conv": { try WeightNorm(Conv2D(2, 3, kernel: 2, dtype: $0.dtype, on: $0.device), axis: 1) },
  "spectralnorm": { try SpectralNorm(Dense(5, 3, dtype: $0.dtype, on: $0.device)) },
  "spectralnorm-conv": {
    try SpectralNorm(Conv2D(2, 3, kernel: 2, bias: false, dtype: $0.dtype, on: $0.device), iterations: 2)
  },
]
