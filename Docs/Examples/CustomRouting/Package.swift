// swift-tools-version: 6.2
import PackageDescription

// Code that computes in inner loops is compiled for the processors that the library is compiled for.
let settings: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-O", "-Xcc", "-march=x86-64-v3"])]

let package = Package(
    name: "CustomRouting",
    dependencies: [.package(name: "Strata", path: "../../..")],
    targets: [
        .executableTarget(
            name: "CustomRouting",
            dependencies: [
                "TensorCore", "Autograd", "Collectives", "ConfigurationForms", "MixtureOfExperts", "MixtureMethods",
                "DataPipeline", "Training", "Runs",
            ].map { .product(name: $0, package: "Strata") },
            swiftSettings: settings)
    ]
)
