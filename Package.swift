// swift-tools-version: 6.2
import Foundation
import PackageDescription

// One build-wide switch for the instruction set: it reaches C and, through the Clang importer, Swift's own code.
// x86-64-v3 is AVX2 + FMA (any server of the last decade); STRATA_MARCH=native or x86-64-v4 uses what is newer.
let architecture = ProcessInfo.processInfo.environment["STRATA_MARCH"] ?? "x86-64-v3"

#if arch(x86_64)
let architectureFlags = ["-Xcc", "-march=\(architecture)"]
let architectureCFlags = ["-march=\(architecture)"]
#else
let architectureFlags: [String] = []
let architectureCFlags: [String] = []
#endif

// Debug builds optimise too, whole modules at a time: the tests train real models, and unoptimised numeric Swift is a
// hundred times slower. (Without batch mode, which whole-module optimisation would warn about.)
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .unsafeFlags(architectureFlags),
    .unsafeFlags(["-O", "-disable-batch-mode", "-wmo", "-num-threads", "2"], .when(configuration: .debug)),
]
let cSettings: [CSetting] = [
    .unsafeFlags(architectureCFlags), .unsafeFlags(["-O2"], .when(configuration: .debug)),
]
let cxxSettings: [CXXSetting] = [
    .unsafeFlags(architectureCFlags), .unsafeFlags(["-O2"], .when(configuration: .debug)),
]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ target: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: "\(target)Tests", dependencies: ["_TestSupport"] + dependencies, swiftSettings: swiftSettings)
}

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

/// The library, from the bottom up; each is a product, for other packages to import.
let libraries = [
    library("Files", ["CXXHash"]),
    library("TensorCore", ["COpenBLAS", "CKernels"]),
    library("Autograd", ["TensorCore"]),
    library("NeuralLayers", ["TensorCore", "Autograd"]),
    library("Collectives"),
    library("MPICollectives", ["CMPI", "Collectives"]),
    library("ConfigurationForms", ["Files"]),
    library("MixtureOfExperts", ["TensorCore", "Autograd", "NeuralLayers", "Collectives", "ConfigurationForms"]),
    library("MixtureMethods", ["TensorCore", "Autograd", "NeuralLayers", "ConfigurationForms", "MixtureOfExperts"]),
    library(
        "TransformerModel",
        ["TensorCore", "Autograd", "NeuralLayers", "Collectives", "ConfigurationForms", "MixtureOfExperts"]),
    library("DataPipeline", ["Files", "TensorCore", "ConfigurationForms", "CSentencePiece", "CZlib", "CZstd"]),
    library(
        "Training",
        [
            "Files", "TensorCore", "Autograd", "NeuralLayers", "Collectives", "ConfigurationForms", "MixtureOfExperts",
            "TransformerModel", "DataPipeline",
        ]),
    library(
        "Checkpoints",
        ["Files", "TensorCore", "Autograd", "Collectives", "ConfigurationForms", "MixtureOfExperts", "Training"]),
    library(
        "Runs",
        [
            "Files", "TensorCore", "Collectives", "ConfigurationForms", "MixtureOfExperts", "MixtureMethods",
            "TransformerModel",
            "DataPipeline", "Training", "Checkpoints", yams,
        ]),
    library(
        "ModelSurgery",
        [
            "Files", "TensorCore", "Autograd", "Collectives", "ConfigurationForms", "MixtureOfExperts", "MixtureMethods",
            "TransformerModel", "DataPipeline", "Checkpoints", "Runs",
        ]),
    library(
        "Evaluation",
        [
            "TensorCore", "Collectives", "MixtureOfExperts", "TransformerModel", "DataPipeline",
        ]),
    library("Reporting", ["TensorCore", "Training", "Evaluation"]),
    library(
        "Planning",
        [
            "Files", "TensorCore", "Autograd", "Collectives", "ConfigurationForms", "MixtureOfExperts", "MixtureMethods",
            "TransformerModel", "Training", "Runs", "Evaluation", "Reporting",
        ]),
    library(
        "Benchmarks",
        [
            "Files", "TensorCore", "Autograd", "Collectives", "MixtureOfExperts", "MixtureMethods", "TransformerModel",
            "DataPipeline", "Checkpoints", "Runs", "Evaluation", "Reporting", "Planning",
        ]),
    library(
        "Sweeps",
        [
            "Files", "ConfigurationForms", "DataPipeline", "Training", "Checkpoints", "Runs", "Evaluation", "Reporting",
            "Planning",
        ]),
]

let package = Package(
    name: "Strata",
    products: libraries.map { .library(name: $0.name, targets: [$0.name]) } + [
        .executable(name: "strata", targets: ["strata"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CMPI", dependencies: ["COpenMPI"], cSettings: cSettings),
        .target(name: "CKernels", cSettings: cSettings),
        .target(
            name: "CSentencePiece", cxxSettings: cxxSettings,
            linkerSettings: [.linkedLibrary("sentencepiece"), .linkedLibrary("sentencepiece_train")]),

    ] + libraries + [
        .executableTarget(
            name: "strata",
            dependencies: [
                "Files", "TensorCore", "Collectives", "MPICollectives", "ConfigurationForms", "MixtureOfExperts",
                "TransformerModel", "DataPipeline", "Training", "Checkpoints", "Runs", "ModelSurgery",
                "Evaluation", "Reporting", "Planning", "Benchmarks", "Sweeps", argumentParser,
            ], swiftSettings: swiftSettings),

        .target(
            name: "_TestSupport",
            dependencies: [
                "Files", "TensorCore", "Autograd", "NeuralLayers", "Collectives", "ConfigurationForms", "MixtureOfExperts",
            ],
            path: "Tests/_TestSupport", swiftSettings: swiftSettings),
        .target(
            name: "_TinyRuns",
            dependencies: [
                "_TestSupport", "TensorCore", "Autograd", "Collectives", "MixtureOfExperts", "MixtureMethods",
                "TransformerModel",
                "DataPipeline", "Training", "Checkpoints", "Runs",
            ], path: "Tests/_TinyRuns", swiftSettings: swiftSettings),
        .executableTarget(
            name: "mpi-conformance", dependencies: ["_TestSupport", "Collectives", "MPICollectives"],
            path: "Tests/mpi-conformance", swiftSettings: swiftSettings),
        .executableTarget(
            name: "fuzz-readers",
            dependencies: [
                "Files", "TensorCore", "Collectives", "ConfigurationForms", "MixtureOfExperts", "TransformerModel",
                "DataPipeline",
                "Training", "Checkpoints", "Runs", "Evaluation", "Reporting", "Planning",
            ], path: "Tests/fuzz-readers", swiftSettings: swiftSettings),
        tests("Files", ["Files"]),
        tests("TensorCore", ["TensorCore"]),
        tests("Autograd", ["Autograd"]),
        tests("NeuralLayers", ["NeuralLayers"]),
        tests("Collectives", ["Collectives", "mpi-conformance"]),
        tests(
            "MixtureOfExperts",
            [
                "MixtureOfExperts", "NeuralLayers", "Autograd", "TensorCore", "Collectives",
                "mpi-conformance",
            ]),
        tests(
            "MixtureMethods",
            [
                "MixtureMethods", "MixtureOfExperts", "ConfigurationForms", "NeuralLayers", "Autograd", "TensorCore",
                "Collectives", "Files",
            ]),
        tests(
            "TransformerModel",
            ["TransformerModel", "MixtureMethods", "MixtureOfExperts", "NeuralLayers", "Autograd", "TensorCore", "Collectives"]),
        tests("ConfigurationForms", ["ConfigurationForms"]),
        tests("DataPipeline", ["DataPipeline", "CZlib", "CZstd"]),
        tests("Training", ["Training", "MixtureMethods", "Checkpoints", "_TinyRuns"]),
        tests("Checkpoints", ["Checkpoints", "Training", "_TinyRuns"]),
        tests("Runs", ["Runs", "Checkpoints", "Training", "_TinyRuns"]),
        tests("ModelSurgery", ["ModelSurgery", "MixtureMethods", "MixtureOfExperts", "Checkpoints", "Runs", "_TinyRuns"]),
        tests("Evaluation", ["Evaluation", "MixtureMethods"]),
        tests("Reporting", ["Reporting", "Evaluation", "Training"]),
        tests("Planning", ["Planning", "Benchmarks", "Runs", "Training"]),
        tests("Benchmarks", ["Benchmarks", "Collectives"]),
        tests("Sweeps", ["Sweeps", "Runs"]),
        tests("strata", ["strata", "fuzz-readers"]),
        tests("Architecture", []),
    ],
    cxxLanguageStandard: .cxx17
)
