extension LearningTask {
  /// A commented configuration that trains at once, on sets that Kiln knows.
  public var template: String {
    switch self {
    case .image: Self.imageTemplate
    case .tabular: Self.tabularTemplate
    case .text: Self.textTemplate
    case .series: Self.seriesTemplate
    }
  }

  private static let imageTemplate = """
    # Pictures and their classes. Train with: kiln train FILE.yaml; all fields are in docs/config.md.
    task: image
    name: digits
    seed: 0
    device: cpu                 # or auto: the fastest one for this model

    data:
      set: digits               # embedded 8x8 digits; or mnist, fashion-mnist, cifar10 (see kiln data list)
      # folder: photos          # instead of a set: a folder with a folder of PNG or JPEG files for each class
      # size: 32                # to which those are scaled
      validation: 0.1

    preparation:
      augmentation:
        - crop: 1               # shifts by a pixel; horizontal_flip is for pictures that may be mirrored

    model:                      # the output layer follows by itself
      layers:
        - conv: {filters: 16, kernel: 3, activation: relu}
        - max_pool: 2
        - conv: {filters: 32, kernel: 3, activation: relu}
        - flatten
        - dropout: 0.2
        - dense: {units: 64, activation: relu}

    metrics: [accuracy]
    optimizer: {name: adam, learning_rate: 0.005}
    schedule: cosine

    training:
      epochs: 20
      batch_size: 32

    callbacks:
      early_stopping: {monitor: validation_loss, patience: 4}

    """

  private static let tabularTemplate = """
    # Rows of a table and a class for each. Train with: kiln train FILE.yaml; all fields are in docs/config.md.
    task: tabular
    name: iris
    seed: 0
    device: cpu

    data:
      set: iris                 # or breast-cancer
      # file: rows.csv          # instead of a set: a CSV or TSV file with a header
      label: label              # the column of answers
      # answers: numbers        # for a regression
      validation: 0.15
      test: 0.2

    preparation:
      missing: median           # fills empty fields; learned from the training part alone
      scaling: standard
      # balance: smote          # for rare classes; or weights

    model:                      # the output layer follows by itself
      layers:
        - dense: {units: 16, activation: relu}
        - dense: {units: 16, activation: relu}

    metrics: [accuracy, f1]
    optimizer: {name: adamw, learning_rate: 0.01}

    training:
      epochs: 60
      batch_size: 16
      clip_norm: 1

    callbacks:
      early_stopping: {monitor: validation_loss, patience: 15}

    """

  private static let textTemplate = """
    # Running text: the model learns the next character. Train with: kiln train FILE.yaml; all fields: docs/config.md.
    task: text
    name: names
    seed: 0
    device: cpu

    data:
      set: names                # 32,033 first names; or tinyshakespeare
      # file: book.txt          # instead of a set: any text
      context: 32               # tokens that are seen
      validation: 0.05
      test: 0.05
      limit: 3000               # for a quick first try; leave it out for a better model

    preparation:
      tokenizer: character      # or byte, bpe

    model:                      # the output layer follows by itself
      layers:
        - embedding: 32
        - gru: 64
        # A transformer instead of it:
        # - position
        # - transformer: {heads: 4, dropout: 0.1}

    metrics: [perplexity]
    optimizer: {name: adamw, learning_rate: 0.01}
    schedule: {name: cosine, warmup_epochs: 0.2}

    training:
      epochs: 3
      batch_size: 32
      clip_norm: 1

    """

  private static let seriesTemplate = """
    # Rows in the order of time: the next ones are forecast. Train with: kiln train FILE.yaml; all fields: docs/config.md.
    task: series
    name: etth1
    seed: 0
    device: cpu

    data:
      set: etth1                # hourly loads and oil temperature of a transformer
      # file: rows.csv          # instead of a set: a CSV file with a header, oldest row first
      targets: [OT]             # columns to forecast
      history: 24               # rows that are seen
      horizon: 6                # rows that are forecast
      stride: 4
      validation: 0.1
      test: 0.2

    preparation:
      scaling: standard         # learned from the training part alone

    model:                      # the output layer follows by itself
      layers:
        - flatten
        - dense: {units: 64, activation: relu}
        - dense: {units: 64, activation: relu}

    loss: huber
    metrics: [mae, rmse]
    optimizer: {name: adam, learning_rate: 0.001}

    training:
      epochs: 5
      batch_size: 64
      average: 0.99             # evaluation uses an average of the weights

    callbacks:
      plateau: {patience: 1, factor: 0.5}

    """
}
