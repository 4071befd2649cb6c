import Kiln

extension ClosedRange<Double> {
  static var positive: Self { Double.leastNonzeroMagnitude...Double.infinity }
  static var nonnegative: Self { 0...Double.infinity }
  /// 0..<1.
  static var share: Self { 0...1.0.nextDown }
}

/// Every field of a configuration. docs/config.md is made of it.
public enum ConfigSchema {
  private static let count = 1...Int.max
  private static let activations = FieldKind.choice(Activation.names, also: Activation.spellings)

  public static let root = Section(
    "configuration", "What is trained, on what, and how.",
    [
      Field(
        "task", .choice(LearningTask.allCases.map(\.rawValue)), or: nil,
        "what kind of data it is; decides the output layer"),
      Field("name", .text, or: "the task", "names the run: its folder is `runs/<name>-<time>`"),
      Field("seed", .integer(0...Int.max), or: "0", "decides the first weights, every random choice and the order"),
      Field("device", .text, or: "cpu", "`cpu`, `opencl:0`, `opencl:<part of a name>`, or `auto`: the fastest"),
      Field("data", .section(data), or: nil, "the samples"),
      Field("preparation", .section(preparation), or: "by the task", "what is done to them"),
      Field("model", .section(model), or: nil, "the layers"),
      Field("loss", .section(loss), or: "by the task", "what training makes small"),
      Field(
        "metrics", .list(.choice(TrainingMetric.names, also: TrainingMetric.spellings)), or: "by the task",
        "what is reported beside the loss"),
      Field("optimizer", .section(optimizer), or: "adam", "how weights are updated"),
      Field("schedule", .section(schedule), or: "constant", "how the learning rate goes"),
      Field("training", .section(training), or: "its fields' own", "how long, and what happens to gradients"),
      Field("callbacks", .section(callbacks), or: "none", "what is done at the end of every epoch"),
    ])

  static let data = Section(
    "data", "Exactly one of `set`, `file` and `folder` is given.",
    [
      Field("set", .choice(LearningTask.sets.map(\.name)), or: "none", "a set that Kiln knows; see `kiln data list`"),
      Field(
        "file", .text, or: "none",
        "tabular, series: a CSV or TSV file with a header; text: a text file, or with `label` such a table; image: "
          + "CIFAR's binary records, or with `labels` an `.npy` or IDX file"),
      Field("labels", .text, or: "none", "image: the `.npy` or IDX file of classes that belongs to `file`"),
      Field(
        "folder", .text, or: "none", "image: a folder with a folder of PNG or JPEG files for each class"),
      Field(
        "label", .text, or: "label", "tabular: the column of answers; text: that of classes, if texts are classified"),
      Field("text", .text, or: "text", "text with a label: the column of texts"),
      Field("weights", .text, or: "none", "tabular: a column of numbers, how much each row counts in training"),
      Field(
        "answers", .choice(["classes", "numbers"]), or: "classes", "tabular: what they are; `numbers` is a regression"),
      Field(
        "columns", .list(.text), or: "all others",
        "tabular: the columns to learn from; series: those that are seen, by default all that hold numbers"),
      Field("targets", .list(.text), or: "all columns", "series: the columns to forecast"),
      Field("history", .integer(count), or: "24", "series: how many rows are seen"),
      Field("horizon", .integer(count), or: "1", "series: how many rows are forecast"),
      Field("context", .integer(count), or: "64", "text: how many tokens are seen; shorter texts are filled up"),
      Field("stride", .integer(count), or: "1 for series, the context for text", "how far apart windows begin"),
      Field(
        "size", .integer(count), or: "the images' own",
        "image folders: the shorter side is scaled to it, and the middle cut out"),
      Field("channels", .choice(["1", "3"]), or: "3", "image folders: grey or colour"),
      Field(
        "stream", .flag, or: "from 256 MB on",
        "image, tabular, text of bytes: samples are read as they are needed, so that memory does not grow with them; a "
          + "table is then prepared by at most 100,000 of its training rows and shuffled among 10,000"),
      Field("workers", .integer(0...64), or: "2", "threads that read such samples ahead"),
      Field(
        "limit", .integer(count), or: "none",
        "at most so many samples for training, for a quick try; the first of them in a random order"),
      Field(
        "validation", .number(.share), or: "0.1",
        "the share that is held out to judge by after each epoch; of series and text the part before the test's"),
      Field(
        "test", .number(.share), or: "0.2",
        "the share that is held out to the end; sets that come with a test part use that, series and text their end"),
    ])

  static let preparation = Section(
    "preparation", "Learned from the training part alone, kept in the run's folder, and used by `kiln predict`.",
    [
      Field(
        "scale", .number(.positive), or: "1/255; 1/16 for digits", "image: what bytes of pixels are multiplied by"),
      Field(
        "augmentation", .list(.variant(augmentation)), or: "none", "image: what changes every training image at random"),
      Field(
        "missing", .choice(["mean", "median", "most_frequent", "drop"]), or: "median",
        "tabular: what fills missing numbers (empty, `?`, `NA`, `nan`); `drop` leaves such rows out"),
      Field(
        "scaling", .choice(["standard", "min_max", "none"]), or: "standard", "tabular, series: of columns of numbers"),
      Field(
        "balance", .choice(["none", "weights", "smote"]), or: "none",
        "tabular classes, images and texts (weights): rare classes count more, or get made-up neighbours"),
      Field(
        "tokenizer", .choice(["character", "byte", "bpe"]), or: "character; bpe for classes", "text: what a token is"),
      Field("vocabulary", .integer(257...1_000_000), or: "512", "text: tokens of a `bpe` tokenizer"),
    ])

  static let augmentation = [
    Section("horizontal_flip", "left and right are changed", main: "probability", [probability]),
    Section("vertical_flip", "up and down are changed", main: "probability", [probability]),
    Section(
      "crop", "shifts by as much as the padding", main: "padding",
      [Field("padding", .integer(count), or: "2", "rows and columns of zeros around, before a random part is cut out")]),
    Section(
      "rotation", "turns", main: "degrees",
      [Field("degrees", .number(0...180), or: "10", "at most so far, either way")]),
    Section(
      "cutout", "covers a square", main: "size", [Field("size", .integer(count), or: "4", "its side, in pixels")]),
  ]
  private static let probability = Field("probability", .number(0...1), or: "0.5", "of each image")

  static let model = Section(
    "model", "An output layer of the size that the task needs follows the layers by itself.",
    [
      Field("layers", .list(.variant(layers)), or: nil, "one after the other; sizes of inputs follow by themselves"),
      Field(
        "output_activation", .choice(["identity", "softmax", "sigmoid"]), or: "identity",
        "of the output layer, for losses of probabilities"),
    ])

  static let layers = [
    Section("flatten", "all axes to one", []),
    Section(
      "dense", "activation(x W + b) over the last axis", main: "units",
      [Field("units", .integer(count), or: nil, "numbers that it gives"), activation]),
    Section(
      "conv", "a 2-D convolution of images", main: "filters",
      [
        Field("filters", .integer(count), or: nil, "channels that it gives"),
        Field("kernel", .integer(count), or: "3", "its side"),
        Field("stride", .integer(count), or: "1", "how far it moves"),
        Field("padding", .choice(["same", "valid"]), or: "same", "with zeros around, or only where it fits"),
        activation,
      ]),
    Section("max_pool", "the greatest of every square", main: "size", [pool]),
    Section("average_pool", "the mean of every square", main: "size", [pool]),
    Section("global_average_pool", "the mean of each channel; of a sequence, over time", []),
    Section("batch_norm", "each channel or feature to mean 0 and variance 1 over the batch", []),
    Section("layer_norm", "each sample's last axis to mean 0 and variance 1", []),
    Section(
      "activation", "a function of every number", main: "name", [Field("name", activations, or: nil, "which one")]),
    Section(
      "dropout", "numbers that become 0 at random, in training", main: "probability",
      [Field("probability", .number(.share), or: "0.5", "of each number")]),
    Section(
      "embedding", "a vector for each token: the first layer of a text model", main: "size",
      [Field("size", .integer(count), or: nil, "numbers for each token")]),
    Section("position", "learned vectors for the places of a sequence are added", []),
    Section("lstm", "a long short-term memory over a sequence", main: "units", recurrent),
    Section("gru", "gated recurrent units over a sequence", main: "units", recurrent),
    Section(
      "transformer", "a transformer block over a sequence; where text is continued it looks back alone", main: "heads",
      [
        Field("heads", .integer(count), or: nil, "of attention; they divide the features"),
        Field("feed_forward", .integer(count), or: "4 times the features", "the width of its inner layer"),
        Field("dropout", .number(.share), or: "0", "within the block, in training"),
      ]),
  ]
  private static let activation = Field("activation", activations, or: "identity", "what follows")
  private static let pool = Field("size", .integer(count), or: "2", "the square's side")
  private static let recurrent = [
    Field("units", .integer(count), or: nil, "numbers of its state"),
    Field("layers", .integer(count), or: "1", "how many, one on the other"),
    Field(
      "sequences", .flag, or: "true for text that is continued, else false",
      "gives every step's state, not the last one's alone"),
  ]

  static let loss = Section(
    "loss", "A name alone stands for the loss with its own settings.", main: "name",
    [
      Field("name", .choice(Loss.names, also: Loss.spellings), or: "by the task", "which one"),
      Field(
        "label_smoothing", .number(.share), or: "0",
        "softmax_cross_entropy, sparse_categorical_crossentropy: this share of every label goes to all classes alike"),
      Field("delta", .number(.positive), or: "1", "huber: from which error on it grows linearly"),
      Field("beta", .number(.positive), or: "1", "smooth_l1: from which error on it grows linearly"),
    ])

  static let optimizer = Section(
    "optimizer", "A name alone stands for the rule with its own settings.", main: "name",
    [
      Field("name", .choice(UpdateRules.names), or: "adam", "the rule"),
      Field("learning_rate", .number(.positive), or: "the rule's own", "how far a step goes"),
      Field("weight_decay", .number(.nonnegative), or: "the rule's own", "how much weights shrink"),
      Field("momentum", .number(.share), or: "0", "of `sgd`"),
      Field("nesterov", .flag, or: "false", "of `sgd` with momentum"),
    ])

  static let schedule = Section(
    "schedule", "Over the whole training. A name alone stands for it with its own settings.", main: "name",
    [
      Field(
        "name", .choice(["constant", "cosine", "linear", "step", "exponential", "one_cycle"]), or: "constant",
        "the form; `one_cycle` rises to the learning rate and falls again"),
      Field("warmup_epochs", .number(.nonnegative), or: "0", "the rate first rises from 0 for so long"),
      Field("minimum", .number(.nonnegative), or: "0", "cosine: where it ends"),
      Field("every_epochs", .number(.positive), or: "10", "step: how often the rate falls"),
      Field("factor", .number(.positive), or: "0.1; 0.95 for exponential", "step, exponential: to which share of it"),
    ])

  static let training = Section(
    "training", "",
    [
      Field("epochs", .integer(0...1_000_000), or: "10", "passes over the training data"),
      Field("batch_size", .integer(count), or: "32", "samples of a batch"),
      Field("last_batch", .choice(["keep", "drop"]), or: "keep", "what becomes of one that is not full"),
      Field("accumulation", .integer(count), or: "1", "an update for so many batches"),
      Field("clip_norm", .number(.positive), or: "none", "the L2 norm that all gradients together may have"),
      Field("clip_value", .number(.positive), or: "none", "how large an element of a gradient may be"),
      Field("average", .section(average), or: "none", "an average of the weights"),
      Field(
        "class_weights", .list(.number(.nonnegative)), or: "none", "what a sample of each class counts, in their order"),
      Field(
        "not_finite", .choice(["stop", "skip"]), or: "stop",
        "an update whose loss or weights are not finite ends the training, or is undone and left out"),
      Field("measure_training", .flag, or: "true", "metrics of training too, not of validation alone"),
    ])

  static let average = Section(
    "average", "Exponential, of the weights after each update; the first ones have no more than their share.",
    main: "decay",
    [
      Field("decay", .number(.share), or: "0.999", "how much of the average stays"),
      Field("evaluate", .flag, or: "true", "validation, test and predictions use it"),
    ])

  static let callbacks = Section(
    "callbacks", "",
    [
      Field(
        "early_stopping", .section(earlyStopping), or: "none",
        "ends the training when a value gets no better, with the best epoch's weights"),
      Field("plateau", .section(plateau), or: "none", "lowers the learning rate when a value gets no better"),
      Field("checkpoint", .section(checkpoint), or: "its fields' own", "what is kept on disk"),
    ])

  private static let monitor = Field(
    "monitor", .text, or: "validation_loss", "`loss`, `validation_loss`, or a metric's name, also with `validation_`")
  static let earlyStopping = Section(
    "early_stopping", "", main: "patience",
    [
      monitor, Field("patience", .integer(count), or: "3", "epochs without a better value"),
      Field("minimum_change", .number(.nonnegative), or: "0", "what counts as better"),
    ])
  static let plateau = Section(
    "plateau", "", main: "patience",
    [
      monitor, Field("patience", .integer(0...Int.max), or: "10", "epochs without a better value that are borne"),
      Field("factor", .number(.positive), or: "0.1", "to which share of it the rate falls"),
      Field("minimum", .number(.nonnegative), or: "0", "no lower than this"),
    ])
  static let checkpoint = Section(
    "checkpoint", "",
    [
      Field("every_steps", .integer(count), or: "none", "also within epochs, after so many updates"),
      Field("keep", .integer(count), or: "3", "the last so many, and the best"),
      Field(
        "monitor", .text, or: "the last alone decide", "what the best is judged by; every best one is then written"),
    ])
}
