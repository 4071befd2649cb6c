/// Text that goes into a page.
enum HTML {
  /// Whatever it holds, it is shown as it is and ends no element or attribute.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default:
        // Control characters are not allowed in a page.
        result.unicodeScalars.append(scalar.value < 0x20 && scalar != "\n" && scalar != "\t" ? "\u{fffd}" : scalar)
      }
    }
    return result
  }

  /// Rows of a name and a value.
  static func facts(_ rows: [(String, String)]) -> String {
    "<table class=\"facts\">" + rows.map { "<tr><th>\(escaped($0.0))</th><td>\(escaped($0.1))</td></tr>" }.joined()
      + "</table>"
  }

  /// Colors for a light and a dark screen; no font or file from elsewhere.
  static let style = """
    :root { color-scheme: light dark; --page: #fff; --card: #f6f7f9; --line: #d5d9e0; --text: #1b1f27; --faint: #5c6573;
      --blue: 32, 96, 208; --s0: #2060d0; --s1: #c2540a; --bad: #b3261e; --good: #1a7f37; }
    @media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1d2128; --line: #373d47; --text: #e8eaee;
      --faint: #a3abb8; --blue: 110, 165, 255; --s0: #6ea5ff; --s1: #ff9d57; --bad: #ff8a80; --good: #6fd08c; } }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 1.5rem; max-width: 66rem; background: var(--page); color: var(--text);
      font: 15px/1.5 system-ui, sans-serif; }
    h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
    h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
    p { margin: .3rem 0; } .faint { color: var(--faint); }
    .tiles, .charts, .samples { display: grid; gap: .8rem; }
    .tiles { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); margin-top: 1rem; }
    .charts { grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); }
    .samples { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
    .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
    .tile b { display: block; font-size: 1.35rem; } .tile span, .sample span { color: var(--faint); font-size: .85rem; }
    .finding { border-left: .3rem solid var(--bad); margin-bottom: .6rem; }
    .facts { border-collapse: collapse; width: 100%; } .facts th { text-align: left; font-weight: 500; color: var(--faint);
      padding: .15rem 1rem .15rem 0; white-space: nowrap; vertical-align: top; } .facts td { overflow-wrap: anywhere; }
    .charts .card { max-width: 40rem; } .matrix .none { opacity: .35; }
    .scroll { overflow-x: auto; } .matrix { border-collapse: collapse; font-variant-numeric: tabular-nums; }
    .matrix td, .matrix th { min-width: 2.6rem; padding: .3rem .45rem; text-align: right; border: 1px solid var(--line); }
    .matrix th { color: var(--faint); font-weight: 500; }
    .sample { text-align: center; } .sample img { width: 100%; max-width: 6rem; image-rendering: pixelated; }
    .right b { color: var(--good); } .wrong b { color: var(--bad); }
    svg { width: 100%; height: auto; display: block; } svg text { fill: var(--faint); font-size: 12px; }
    svg .grid { stroke: var(--line); } svg .s0 { stroke: var(--s0); } svg .s1 { stroke: var(--s1); }
    svg .line { fill: none; stroke-width: 2; } svg .thin { stroke-width: 1; opacity: .35; }
    svg .f0 { fill: var(--s0); stroke: none; } svg .f1 { fill: var(--s1); stroke: none; }
    """
}
