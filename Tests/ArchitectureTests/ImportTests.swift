import Testing

/// Who may import whom: the table of Docs/Architecture.md, which this test holds the code to.
@Suite struct ImportTests {
    /// The targets in order: each may import those before it, unless `forbidden` says otherwise.
    static let order = [
        "COpenBLAS", "COpenMPI", "CXXHash", "CZlib", "CZstd", "CMPI", "CKernels", "CSentencePiece", "Files", "TensorCore",
        "Autograd", "NeuralLayers", "Collectives", "MPICollectives", "ConfigurationForms", "MixtureOfExperts", "MixtureMethods",
        "TransformerModel", "DataPipeline", "Training", "Checkpoints", "Runs", "ModelSurgery", "Evaluation", "Reporting",
        "Planning", "Benchmarks",
        "Sweeps", "strata",
    ]

    /// Modules that only these targets may import.
    static let restricted: [String: Set<String>] = [
        "COpenBLAS": ["TensorCore"],
        "CXXHash": ["Files"],
        "CKernels": ["TensorCore"],
        "COpenMPI": ["CMPI"],
        "CMPI": ["MPICollectives"],
        "CSentencePiece": ["DataPipeline"],
        "CZlib": ["DataPipeline"],
        "CZstd": ["DataPipeline"],
        "MPICollectives": ["strata"],
        "Yams": ["Runs"],
        "ArgumentParser": ["strata"],
    ]

    /// Pairs that the order alone would allow.
    static let forbidden: [String: Set<String>] = [
        // The differentiable all-to-all lives in MixtureOfExperts; a library of layers knows no ranks.
        "Autograd": ["Collectives"],
        "NeuralLayers": ["Collectives"],
        // A model knows no files, and data no model: the command brings them together.
        "DataPipeline": ["TransformerModel"],
        // The command passes validation into training as a closure.
        "Evaluation": ["Training", "Checkpoints", "Runs", "ModelSurgery"],
    ]

    /// What comes with the toolchain.
    static let system: Set<String> = [
        "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Darwin", "Musl", "Synchronization", "Builtin", "Swift",
    ]
    static let packages: Set<String> = ["Yams", "ArgumentParser", "Logging", "Collections", "Numerics", "RealModule"]

    static func isAllowed(_ module: String, in target: String) -> Bool {
        if let importers = restricted[module] { return importers.contains(target) }
        if system.contains(module) || packages.contains(module) { return true }
        guard let position = order.firstIndex(of: target), let imported = order.firstIndex(of: module) else { return false }
        return imported < position && forbidden[target]?.contains(module) != true
    }

    @Test func everyImportIsAllowed() throws {
        let files = try SourceTree.swiftFiles(in: "Sources")
        #expect(files.count > 10)
        for file in files {
            for module in SourceTree.imports(of: file.text) where module != file.target {
                #expect(
                    Self.isAllowed(module, in: file.target),
                    "\(file.path): \(file.target) must not import \(module); move the code, or pass in what it needs")
            }
        }
    }

    @Test func everySourceFolderIsInTheTable() throws {
        let folders = Set(
            try SourceTree.files(in: "Sources", extensions: ["swift", "c", "cpp", "h", "modulemap"]).map(\.target))
        #expect(folders.subtracting(Self.order) == [])
    }

    /// The rows of the table whose first column is `target`, in order; a row may name several.
    @Test func theDocumentListsTheTargetsInOrder() throws {
        let text = try SourceTree.files(in: "Docs", extensions: ["md"]).first { $0.path == "Docs/Architecture.md" }?.text
        let lines = try #require(text).split(separator: "\n", omittingEmptySubsequences: false)
        let table = lines.drop { !$0.hasPrefix("| target |") }.dropFirst(2).prefix { $0.hasPrefix("|") }
        let targets = table.flatMap { row in
            row.split(separator: "|")[0].split(separator: ",").map { $0.filter { $0.isLetter } }
        }
        #expect(targets == Self.order, "the first column of the table and the order of this test must be the same")
    }

    /// What Package.swift lets a target import is what its files import, no more.
    @Test func targetsDeclareWhatTheyImport() throws {
        let declared = try Dictionary(grouping: ImportGraph.edges(), by: \.importer).mapValues { Set($0.map(\.imported)) }
        let files = try Dictionary(grouping: SourceTree.swiftFiles(in: "Sources"), by: \.target)
        #expect(Set(files.keys).isSubset(of: Set(declared.keys).union(["Collectives"])))
        for (target, files) in files {
            let imported = Set(files.flatMap { SourceTree.imports(of: $0.text) }).intersection(Self.order).subtracting([target])
            #expect(declared[target] ?? [] == imported, "\(target): Package.swift must list what its files import")
        }
    }

    @Test func theDrawingIsThatOfThePackage() throws {
        let text = try SourceTree.files(in: "Docs", extensions: ["md"]).first { $0.path == "Docs/Architecture.md" }?.text
        let drawn = try #require(text?.split(separator: "<!-- import-graph -->\n").last)
        #expect(
            drawn.hasPrefix(try ImportGraph.drawing()),
            "Docs/Architecture.md must show the imports as they are: run Docs/import-graph.sh --write")
    }

    @Test func theTableSaysWhatItIsMeantTo() {
        for (module, target) in [
            ("Training", "Evaluation"), ("Evaluation", "Training"), ("DataPipeline", "TransformerModel"),
            ("TransformerModel", "DataPipeline"),
            ("Collectives", "Autograd"), ("Collectives", "NeuralLayers"), ("CMPI", "strata"), ("MPICollectives", "Training"),
            ("CSentencePiece", "Evaluation"), ("strata", "Evaluation"), ("COpenBLAS", "strata"),
            ("CKernels", "MixtureOfExperts"), ("SomethingElse", "strata"), ("MixtureMethods", "MixtureOfExperts"),
            ("MixtureMethods", "NeuralLayers"),
        ] {
            #expect(!Self.isAllowed(module, in: target), "\(target) → \(module)")
        }
        for (module, target) in [
            ("TensorCore", "DataPipeline"), ("CXXHash", "Files"), ("Collectives", "MixtureOfExperts"),
            ("ConfigurationForms", "MixtureOfExperts"), ("MixtureOfExperts", "MixtureMethods"), ("MixtureMethods", "Runs"),
            ("MPICollectives", "strata"),
            ("Foundation", "TensorCore"), ("DataPipeline", "Training"), ("DataPipeline", "Evaluation"),
            ("Evaluation", "strata"),
        ] {
            #expect(Self.isAllowed(module, in: target), "\(target) → \(module)")
        }
    }

    @Test func onlyMPITestsImportMPI() throws {
        for file in try SourceTree.swiftFiles(in: "Tests") where !file.path.hasPrefix("Tests/mpi-conformance/") {
            let imports = SourceTree.imports(of: file.text)
            #expect(!imports.contains("CMPI"), "\(file.path)")
            #expect(!imports.contains("MPICollectives") || file.target == "MPICollectivesTests", "\(file.path)")
        }
    }

    /// MPI's macros do not import into Swift, and its header must not reach those who import the shim.
    @Test func theShimHidesMPI() throws {
        for file in try SourceTree.files(in: "Sources", extensions: ["h"]) where file.target != "COpenMPI" {
            let lines = file.text.split(whereSeparator: \.isNewline).map { $0.filter { !$0.isWhitespace } }
            #expect(!lines.contains { $0.hasPrefix("#include<mpi.h>") }, "\(file.path) must not include <mpi.h>")
        }
    }

    @Test func importsAreRead() {
        let text = """
            import Foundation
            @testable import strata
              public import struct Collections.Deque; @preconcurrency import Glibc
            // import Comment
            let important = 1
            #if canImport(Darwin)
            @_implementationOnly import Base.Part
            """
        #expect(SourceTree.imports(of: text) == ["Foundation", "strata", "Collections", "Glibc", "Base"])
    }
}
