extension ConfigSchema {
  /// docs/config.md: every field, made of the schema, so that it is true.
  public static var reference: String {
    var text = """
      # Configurations

      What `kiln train CONFIG.yaml` understands. `kiln new --task image` (or `tabular`, `text`, `series`) writes one to
      begin with. Any field can also be set on the command line: `--set training.epochs=5 --set optimizer=sgd`; a place in
      a list is its number (`--set model.layers.0.dense.units=32`).

      A configuration is checked before any work. Fields that do not exist, values of a wrong type, values that cannot be
      and keys that stand twice are all listed, each with its line; the exit code is then 2.

      This page is made of the schema that the check uses: `kiln new --reference > docs/config.md`. A test compares both.

      """
    for section in [
      root, data, preparation, model, loss, optimizer, schedule, training, average, callbacks, earlyStopping, plateau,
      checkpoint,
    ] {
      text += "\n## \(section.name)\n\n"
      if !section.doc.isEmpty { text += section.doc + "\n\n" }
      text += table(section.fields)
    }
    text += "\n## Layers\n\nWhat `model.layers` is a list of. `- flatten`, `- dense: 64` (its first field alone) and\n"
    text += "`- dense: {units: 64, activation: relu}` are all fine.\n"
    text += variants(layers)
    text += "\n## Augmentation\n\nWhat `preparation.augmentation` is a list of, written as layers are.\n"
    text += variants(augmentation)
    return text
  }

  private static func variants(_ sections: [Section]) -> String {
    sections.map { section in
      let fields = section.fields.isEmpty ? "" : "\n" + table(section.fields)
      return "\n### \(section.name)\n\nIn short: \(section.doc).\n" + fields
    }.joined()
  }

  private static func table(_ fields: [Field]) -> String {
    var text = "| field | holds | if left out | |\n|---|---|---|---|\n"
    for field in fields {
      let fallback = field.fallback ?? "must be given"
      text += "| `\(field.name)` | \(field.kind.words) | \(fallback) | \(field.doc) |\n"
    }
    return text
  }
}
