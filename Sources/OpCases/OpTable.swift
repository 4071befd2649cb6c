import KilnEngine

/// Every operation's cases.
public enum OpTable {
  public static let all: [OpCase] = {
    var seen: Set<String> = []
    return families.map { one in one.with { $0.isLead = seen.insert(one.name).inserted } }
  }()

  private static var families: [OpCase] {
    UnaryCases.all + BinaryCases.all + SelectCastCases.all + CompositeCases.all + ViewCases.all + AssemblyCases.all
      + ReductionCases.all + ScanSortCases.all + RowwiseCases.all + AttentionCases.all + MatmulCases.all
      + ConvolutionCases.all + PoolCases.all + GatherCases.all + CreationCases.all + RandomCases.all
  }

  /// The names that have at least one case.
  public static let names = Set(all.map(\.name))

  public static func cases(named name: String) -> [OpCase] { all.filter { $0.name == name } }
}
