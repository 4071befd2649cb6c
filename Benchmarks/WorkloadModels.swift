import Kiln

// The models of the nine workloads, each with the layers, sizes and biases of its PyTorch twin in Peers/train_torch.py.

func mnistPerceptron(on device: Device) -> Sequential {
  Sequential {
    Flatten()
    Dense(784, 128, activation: .relu, on: device)
    Dense(128, 10, on: device)
  }
}

func widePerceptron(on device: Device) -> Sequential {
  Sequential {
    Dense(1024, 2048, activation: .relu, on: device)
    Dense(2048, 2048, activation: .relu, on: device)
    Dense(2048, 10, on: device)
  }
}

func mnistConvolutional(on device: Device) -> Sequential {
  Sequential {
    Conv2D(1, 32, kernel: (3, 3), activation: .relu, on: device)
    MaxPool2D((2, 2))
    Conv2D(32, 64, kernel: (3, 3), activation: .relu, on: device)
    MaxPool2D((2, 2))
    Flatten()
    Dense(1600, 128, activation: .relu, on: device)
    Dense(128, 10, on: device)
  }
}

/// A decoder block: x + attention(norm(x)), then x + the feed-forward part of its norm.
struct DecoderBlock: Layer {
  let norm1: LayerNorm
  let qkv: Dense
  let projection: Dense
  let norm2: LayerNorm
  let up: Dense
  let down: Dense
  let heads: Int

  init(width: Int, heads: Int, on device: Device) {
    self.heads = heads
    norm1 = LayerNorm(width, on: device)
    qkv = Dense(width, 3 * width, on: device)
    projection = Dense(width, width, on: device)
    norm2 = LayerNorm(width, on: device)
    up = Dense(width, 4 * width, activation: .gelu, on: device)
    down = Dense(4 * width, width, on: device)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let (batch, time, width) = (x.shape[0], x.shape[1], x.shape[2])
    let parts = qkv(norm1(x)).reshaped(to: [batch, time, 3, heads, width / heads]).permuted([2, 0, 3, 1, 4])
    let mixed = scaledDotProductAttention(query: parts[0], key: parts[1], value: parts[2], isCausal: true)
    let attended = x + projection(mixed.permuted([0, 2, 1, 3]).reshaped(to: [batch, time, width]))
    return attended + down(up(norm2(attended)))
  }
}

/// Tokens [batch, time] to logits [batch, time, 65].
struct CharacterDecoder: Layer {
  let tokens: Embedding
  let positions: Embedding
  let blocks: Sequential
  let norm: LayerNorm
  let head: Dense

  init(width: Int, layers: Int, heads: Int, time: Int, on device: Device) {
    tokens = Embedding(65, width, on: device)
    positions = Embedding(time, width, on: device)
    blocks = Sequential((0..<layers).map { _ in DecoderBlock(width: width, heads: heads, on: device) })
    norm = LayerNorm(width, on: device)
    head = Dense(width, 65, bias: false, on: device)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let places = Tensor.arange(to: Double(x.shape[1]), dtype: .int64, on: x.device)
    return head(norm(blocks(tokens(x) + positions(places))))
  }
}

/// Two SimpleRNN(50) and Dense(1) on the last state: [batch, time, 1] to [batch, 1].
struct SeriesModel: Layer {
  let first: SimpleRNN
  let second: SimpleRNN
  let head: Dense

  init(on device: Device) {
    first = SimpleRNN(1, 50, on: device)
    second = SimpleRNN(50, 50, returnSequences: false, on: device)
    head = Dense(50, 1, on: device)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { head(second(first(x))) }
}

/// Tokens [batch, time] through two LSTM layers of 256 to logits [batch, time, 65].
struct CharacterLSTM: Layer {
  let tokens: Embedding
  let lstm: LSTM
  let head: Dense

  init(on device: Device) {
    tokens = Embedding(65, 256, on: device)
    lstm = LSTM(256, 256, layers: 2, on: device)
    head = Dense(256, 65, on: device)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { head(lstm(tokens(x))) }
}

/// Two 3x3 convolutions with batch normalization, and the input (through a 1x1 convolution where its shape differs).
struct ResidualBlock: Layer {
  let convolution1: Conv2D
  let norm1: BatchNorm2D
  let convolution2: Conv2D
  let norm2: BatchNorm2D
  let shortcut: Sequential

  init(_ channels: Int, _ filters: Int, stride: Int, on device: Device) {
    func convolution(_ channels: Int, kernel: Int, stride: Int, padding: Int) -> Conv2D {
      Conv2D(
        channels, filters, kernel: (kernel, kernel), stride: (stride, stride), padding: .symmetric(padding, padding),
        bias: false, on: device)
    }
    convolution1 = convolution(channels, kernel: 3, stride: stride, padding: 1)
    norm1 = BatchNorm2D(filters, on: device)
    convolution2 = convolution(filters, kernel: 3, stride: 1, padding: 1)
    norm2 = BatchNorm2D(filters, on: device)
    shortcut =
      stride == 1 && channels == filters
      ? Sequential([])
      : Sequential([convolution(channels, kernel: 1, stride: stride, padding: 0), BatchNorm2D(filters, on: device)])
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    relu(norm2(convolution2(relu(norm1(convolution1(x))))) + shortcut(x))
  }
}

func residual20(on device: Device) -> Sequential {
  var layers: [any Layer] = [
    Conv2D(3, 16, kernel: (3, 3), padding: .symmetric(1, 1), bias: false, on: device), BatchNorm2D(16, on: device),
    ReLU(),
  ]
  var channels = 16
  for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
    for block in 0..<3 {
      layers.append(ResidualBlock(channels, filters, stride: block == 0 ? stride : 1, on: device))
      channels = filters
    }
  }
  return Sequential(layers + [GlobalAveragePool2D(), Dense(64, 10, on: device)])
}
