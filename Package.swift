// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: Swift 6 language mode (the tools version's default), warnings as errors.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "Kiln",
  products: [
    .library(name: "Kiln", targets: ["Kiln"]),
    .executable(name: "kiln", targets: ["KilnCLI"]),
    .executable(name: "kiln-bench", targets: ["KilnBench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C: the two run-time-opened libraries, the CPU device's loops, the embedded kernel sources, the device registration.
    .target(name: "COpenCL"),
    .target(name: "COpenBLAS"),
    .target(name: "CVector"),
    .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),
    .target(name: "CImages"),
    .target(name: "CDigits", exclude: ["digits.csv.gz", "NOTICE.md"]),
    .target(name: "CKilnStart"),
    .target(
      name: "Kernels", path: "Kernels",
      exclude: [
        "prelude.cl", "random.cl", "elementwise.cl", "reduce.cl", "scan.cl", "sort.cl", "rowwise.cl", "product.cl",
        "tiles.cl", "panels.cl", "convolution.cl", "planes.cl", "filters.cl", "singles.cl", "pool.cl", "gather.cl",
        "attention.cl", "attention_panels.cl", "attention_tiles.cl",
      ]),

    .target(name: "KilnEngine", swiftSettings: strict),
    .target(name: "KilnCPU", dependencies: ["KilnEngine", "COpenBLAS", "CVector"], swiftSettings: strict),
    .target(name: "KilnOpenCL", dependencies: ["KilnEngine", "COpenCL", "Kernels"], swiftSettings: strict),
    .target(name: "KilnLayers", dependencies: ["KilnEngine"], swiftSettings: strict),
    .target(name: "KilnOptimizers", dependencies: ["KilnEngine", "KilnLayers"], swiftSettings: strict),
    .target(name: "KilnData", dependencies: ["KilnEngine", "CZlib", "CDigits", "CImages"], swiftSettings: strict),
    // Generated code; see Protos/generate.sh.
    .target(
      name: "KilnProtobuf", dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["Protos"], swiftSettings: strict),
    .target(
      name: "KilnTraining",
      dependencies: ["KilnEngine", "KilnLayers", "KilnOptimizers", "KilnData", "KilnProtobuf"],
      swiftSettings: strict),
    .target(
      name: "KilnONNX", dependencies: ["KilnEngine", "KilnLayers", "KilnData", "KilnProtobuf"],
      swiftSettings: strict),
    .target(
      name: "KilnModels",
      dependencies: ["KilnEngine", "KilnLayers", "KilnOptimizers", "KilnData", "KilnTraining"],
      swiftSettings: strict),
    .target(
      name: "KilnDevices", dependencies: ["KilnEngine", "KilnCPU", "KilnOpenCL", "CKilnStart"], swiftSettings: strict),
    .target(
      name: "Kiln",
      dependencies: [
        "KilnEngine", "KilnDevices", "KilnLayers", "KilnOptimizers", "KilnData", "KilnTraining", "KilnModels",
        "KilnONNX",
      ],
      swiftSettings: strict),
    .target(name: "OpCases", dependencies: ["KilnEngine", "KilnDevices"], swiftSettings: strict),
    .target(
      name: "KilnConfiguration", dependencies: ["Kiln", .product(name: "Yams", package: "Yams")],
      swiftSettings: strict),
    .executableTarget(
      name: "KilnCLI",
      dependencies: [
        "Kiln", "KilnConfiguration", "OpCases",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "KilnBench",
      dependencies: [
        "Kiln", "KilnOpenCL", "OpCases", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks", exclude: ["README.md", "Peers"], swiftSettings: strict),

    .testTarget(name: "ArchitectureTests", swiftSettings: strict),
    .testTarget(name: "DocumentationTests", dependencies: ["Kiln"], swiftSettings: strict),
    .testTarget(
      name: "EnduranceTests", dependencies: ["Kiln", "KilnEngine", "KilnCPU", "OpCases"], swiftSettings: strict),
    .testTarget(name: "KilnCPUTests", dependencies: ["KilnEngine", "KilnCPU", "CVector"], swiftSettings: strict),
    .testTarget(name: "KilnEngineTests", dependencies: ["KilnEngine", "KilnDevices"], swiftSettings: strict),
    .testTarget(
      name: "OpCasesTests", dependencies: ["KilnDevices", "KilnOpenCL", "KilnData", "OpCases"], exclude: ["Golden"],
      swiftSettings: strict),
    .testTarget(
      name: "KilnOpenCLTests", dependencies: ["KilnEngine", "KilnOpenCL"], swiftSettings: strict),
    .testTarget(
      name: "KilnTrainingTests", dependencies: ["Kiln", "KilnProtobuf"], exclude: ["Golden"], swiftSettings: strict),
    .testTarget(name: "KilnONNXTests", dependencies: ["Kiln", "KilnProtobuf"], swiftSettings: strict),
    .testTarget(
      name: "KilnConfigurationTests", dependencies: ["Kiln", "KilnConfiguration"], swiftSettings: strict),
    .testTarget(
      name: "KilnLayersTests", dependencies: ["Kiln"], exclude: ["Golden"], swiftSettings: strict),
    .testTarget(
      name: "KilnModelsTests", dependencies: ["Kiln", "KilnOpenCL"], exclude: ["Golden"], swiftSettings: strict),
    .testTarget(
      name: "KilnOptimizersTests",
      dependencies: ["KilnEngine", "KilnLayers", "KilnOptimizers", "KilnDevices", "KilnData"], exclude: ["Golden"],
      swiftSettings: strict),
    .testTarget(
      name: "KilnDataTests", dependencies: ["KilnEngine", "KilnData", "KilnDevices"], exclude: ["Golden"],
      swiftSettings: strict),
    .testTarget(
      name: "KilnTests", dependencies: ["Kiln", "OpCases"], exclude: ["Golden"], swiftSettings: strict),
  ],
  cLanguageStandard: .c2x
)
