import Files
import Foundation
import Testing
import _TestSupport

/// What `strata convert` makes, trained on, and read by others.
@Suite(.serialized, .hangLimit) struct ConvertedModelTests {
    private let folder = CommandLineFolder()

    private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

    private func strata(_ arguments: [String], _ launch: Launch = .alone) throws -> Subprocess.Outcome {
        let outcome = try launch.strata(arguments)
        try #require(outcome.status == 0, "\(arguments): \(outcome)")
        return outcome
    }

    private func trainDense() throws {
        _ = try strata(
            [
                "train", TinyCommandLine.configuration, "--out", path("dense"), "--set", "model.moe=none", "--set",
                "training.updates=4",
            ])
    }

    /// How a model is made of the dense one, how it is trained, and a parameter that it has.
    struct Made: Sendable, CustomTestStringConvertible {
        let conversion: [String]
        var training: [String] = []
        let parameter: String
        var testDescription: String { conversion.joined(separator: " ") }
    }

    static let made = [
        Made(
            conversion: ["upcycle", "--strata", "4,4", "--moments"], training: ["--moments"],
            parameter: "encoder.layers.1.moe.scales.1"),
        Made(
            conversion: ["upcycle", "--strata", "4,4", "--adapters", "4"], training: ["--set", "training.train=adapters"],
            parameter: "encoder.layers.1.moe.experts.7.adapter.up.weight"),
        Made(
            conversion: ["mpoe", "--strata", "4,4"], training: ["--set", "parallel.shard_optimizer=true"],
            parameter: "encoder.layers.1.moe.central.fc1"),
        Made(
            conversion: ["moefy", "--strata", "4,4", "--top-k", "3", "--calibration-tokens", "200"],
            parameter: "decoder.layers.0.moe.output_bias"),
    ]

    /// Simulated ranks and those of an mpirun give the bits of one rank: every loss, and every parameter at the end.
    @Test(arguments: made) func itIsTrainedAlikeOnAnyRanks(made: Made) throws {
        try trainDense()
        _ = try strata(
            ["convert", made.conversion[0], path("dense"), "--out", path("made")] + Array(made.conversion.dropFirst()))
        func train(_ launch: Launch, _ name: String) throws -> (losses: [Double], model: Data) {
            let settings = ["training.updates=4", "training.warmup=0"].flatMap { ["--set", $0] }
            let outcome = try strata(
                ["train", path("made/config.yaml"), "--from", path("made"), "--out", path(name)] + settings + made.training,
                launch)
            #expect(outcome.stderr.contains("moved by 4 updates, are its") == made.training.contains("--moments"), "\(outcome)")
            _ = try strata(["export", path(name), "--out", path("\(name)-export")])
            return (try folder.losses(name), try folder.data("\(name)-export/model.safetensors"))
        }
        let alone = try train(.alone, "alone")
        #expect(alone.losses.count == 4 && String(decoding: alone.model.prefix(50_000), as: UTF8.self).contains(made.parameter))
        for (number, launch) in [Launch.simulated(3), .mpirun(2), .mpirun(4)].enumerated() {
            let several = try train(launch, "run-\(number)")
            #expect(several.losses == alone.losses && several.model == alone.model, "\(launch)")
        }
    }

    /// Moments go from a checkpoint to an export, from there to another, and nowhere else.
    @Test func momentsAreCarriedOver() throws {
        try trainDense()
        let upcycled = try strata(
            ["convert", "upcycle", path("dense"), "--strata", "2,2", "--moments", "--out", path("upcycled")])
        #expect(
            upcycled.stdout.contains(", with moments of ") && folder.exists("upcycled/optimizer.safetensors"), "\(upcycled)")
        let shard = try SafeTensorsFile(path: path("dense/checkpoints/step-00000004/shard-00000.safetensors"))
        func moments(_ export: String) throws -> SafeTensorsFile {
            try SafeTensorsFile(path: path("\(export)/optimizer.safetensors"))
        }
        for moment in ["adam.m", "adam.v"] {
            let expected = shard.floats("\(moment).decoder.layers.1.ffn.fc2.weight")
            #expect(
                try expected != nil
                    && moments("upcycled").floats("\(moment).decoder.layers.1.moe.experts.3.fc2.weight") == expected)
        }
        // Another expert of each stratum in either block.
        try folder.write("list.json", Data(#"{"encoder.layers.1.moe": [1, 2], "decoder.layers.1.moe": [0, 3]}"#.utf8))
        let pruned = try strata(
            ["convert", "prune", path("upcycled"), "--list", path("list.json"), "--moments", "--out", path("half")])
        #expect(pruned.stdout.contains("strata 1-1 of update 4, with moments of "), "\(pruned)")
        let (before, after) = try (moments("upcycled"), moments("half"))
        #expect(
            after.floats("adam.v.encoder.layers.1.moe.experts.0.fc1.bias")
                == before.floats("adam.v.encoder.layers.1.moe.experts.1.fc1.bias"))
        let run = [
            "train", path("half/config.yaml"), "--from", path("half"), "--out", path("run"), "--set", "training.updates=2",
        ]
        #expect(try strata(run + ["--moments"]).stderr.contains("moved by 4 updates, are its"))
        // A run knows that it began with them.
        try FileManager.default.removeItem(atPath: path("run/checkpoints"))
        #expect(
            try strata(["train", path("run/config.yaml"), "--out", path("run"), "--resume"]).stderr.contains(
                "moved by 4 updates"))
        try FileManager.default.removeItem(atPath: path("run/checkpoints"))
        expectError(
            try Launch.alone.strata(run + ["--resume"]), 64, "from.json: the run began with update 4 of ",
            "and its moments, but --from")
        // No moments.
        _ = try strata(["convert", "upcycle", path("dense"), "--strata", "2,2", "--out", path("without")])
        #expect(!folder.exists("without/optimizer.safetensors"))
        for arguments in [
            ["convert", "prune", path("without"), "--list", path("list.json"), "--moments", "--out", path("no")],
            ["train", path("without/config.yaml"), "--from", path("without"), "--moments", "--out", path("no")],
        ] {
            expectError(
                try Launch.alone.strata(arguments), 64,
                "--moments needs the optimizer's moments, which \(path("without")) has not")
        }
        expectError(
            try Launch.alone.strata(["train", TinyCommandLine.configuration, "--moments", "--out", path("no")]), 64,
            "--moments needs --from, which names the model whose moments they are")
        try folder.damage("half/optimizer.safetensors")
        expectError(
            try Launch.alone.strata(
                ["train", path("half/config.yaml"), "--from", path("half"), "--moments", "--out", path("damaged")]), 65,
            "half/optimizer.safetensors: its checksum must be ")
    }

    /// The command of a Python that has the safetensors library: STRATA_TEST_PYTHON, or python3; nil where it has not.
    private static let python: String? = {
        let command = ProcessInfo.processInfo.environment["STRATA_TEST_PYTHON"] ?? "python3"
        let found = try? Subprocess.run(command, ["-c", "import numpy, safetensors"], timeout: 60)
        return found?.status == 0 ? command : nil
    }()

    /// Prints of each tensor of the files its name, its shape, and the sum of its bits.
    private static let reader = """
        import json, sys
        from safetensors import safe_open
        found = {}
        for path in sys.argv[1:]:
            with safe_open(path, framework="np") as file:
                found[path] = {name: [list(a.shape), int(a.view("<u4").astype("u8").sum()), str(a.dtype)]
                               for name in file.keys() for a in [file.get_tensor(name)]}
        print(json.dumps(found))
        """

    /// Dense, upcycled, trained on two ranks, pruned, evaluated: the library that the format is of reads every file on the way as
    /// it was written.
    @Test(.enabled(if: python != nil, "needs a Python with the safetensors library: python3, or what STRATA_TEST_PYTHON names"))
    func anotherReaderOpensEachFileOfTheChain() throws {
        try trainDense()
        _ = try strata(["convert", "upcycle", path("dense"), "--strata", "4,4", "--moments", "--out", path("upcycled")])
        _ = try strata(
            [
                "train", path("upcycled/config.yaml"), "--from", path("upcycled"), "--moments", "--out", path("run"), "--set",
                "training.updates=4",
            ],
            .mpirun(2))
        _ = try strata(["analyze", path("run"), "--split", "valid"])
        let pruned = try strata(["convert", "prune", path("run"), "--keep", "0.5", "--moments", "--out", path("half")])
        #expect(pruned.stdout.contains("strata 2-2 of update 4, with moments of "), "\(pruned)")
        _ = try strata(["evaluate", path("half"), "--limit", "2", "--beam", "1"])
        let files = [
            "dense/checkpoints/step-00000004/shard-00000", "upcycled/model", "upcycled/optimizer",
            "run/checkpoints/step-00000004/shard-00000", "run/checkpoints/step-00000004/shard-00001", "half/model",
            "half/optimizer",
        ].map { path("\($0).safetensors") }
        let outcome = try Subprocess.run(Self.python!, ["-c", Self.reader] + files, timeout: 60)
        try #require(outcome.status == 0, "\(outcome)")
        let found = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: [String: [Any]]])
        for path in files {
            let file = try SafeTensorsFile(path: path), tensors = try #require(found[path])
            #expect(Set(tensors.keys) == Set(file.entries.keys) && !tensors.isEmpty, "\(path)")
            for (name, read) in tensors {
                let sum = (file.floats(name) ?? []).reduce(0) { $0 + Int($1.bitPattern) }
                #expect(
                    read[0] as? [Int] == file.entries[name]?.shape && read[1] as? Int == sum && read[2] as? String == "float32",
                    "\(path): \(name)")
            }
        }
    }
}
