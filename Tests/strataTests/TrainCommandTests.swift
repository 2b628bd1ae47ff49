import Foundation
import TensorCore
import Testing
import _TestSupport

/// `strata train` alone, on simulated ranks and under mpirun.
@Suite(.serialized, .hangLimit) struct TrainCommandTests {
    private static func train(_ folder: CommandLineFolder, _ launch: Launch, _ options: String...) throws -> Subprocess.Outcome
    {
        try train(folder, launch, options)
    }

    private static func train(
        _ folder: CommandLineFolder, _ launch: Launch, _ options: [String]
    ) throws -> Subprocess.Outcome {
        try launch.strata(["train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"] + options)
    }

    @Test func leavesARunFolder() throws {
        let outcome = TinyCommandLine.outcomes.train, runs = TinyCommandLine.runs
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.isEmpty)
        #expect(outcome.stderr.contains("update 12: validation loss") && outcome.stderr.contains("finished: update 12"))
        for name in ["config.yaml", "metrics.jsonl", "tokenizer.model"] { #expect(runs.exists("run/\(name)")) }
        #expect(try runs.names("run/checkpoints") == ["latest", "step-00000005", "step-00000010", "step-00000012"])
        let metrics = try runs.metrics("run"), updates = metrics.filter { $0["loss"] != nil }
        #expect(updates.compactMap { $0["update"] as? Int } == Array(1...12))
        for line in updates {
            #expect(
                Set(line.keys) == [
                    "update", "loss", "nll", "aux", "learning_rate", "gradient_norm", "target_tokens", "tokens_per_second",
                    "rounds_mean", "dropped_fraction", "load", "load_violation", "flops_utilization", "seconds_left", "skipped",
                ])
            let utilization = line["flops_utilization"] as? Double ?? .nan, left = line["seconds_left"] as? Double ?? .nan
            // Of processors that others used while they were measured more than all may be used.
            #expect(utilization > 0 && left >= 0 && (left == 0) == (line["update"] as? Int == 12))
        }
        let validations = metrics.filter { $0["valid_loss"] != nil }
        #expect(validations.compactMap { $0["update"] as? Int } == [5, 10, 12])
        for line in validations {
            #expect(
                Set(line.keys) == [
                    "update", "valid_loss", "valid_nll", "valid_perplexity", "valid_tokens", "valid_rounds_mean",
                ])
        }
    }

    /// The same BLEU whether ranks share the experts or not.
    @Test func validationTranslates() throws {
        let scores = try [Launch.alone, .simulated(2), .mpirun(2), .mpirun(4)].map { launch in
            let folder = CommandLineFolder()
            let outcome = try Self.train(
                folder, launch, "--set", "training.validate_bleu=3", "--set", "training.patience_metric=bleu")
            #expect(outcome.status == 0 && outcome.stderr.contains(", BLEU "), "\(outcome)")
            return try folder.metrics("run").compactMap { $0["valid_bleu"] as? Double }
        }
        #expect(scores[0].count == 3 && scores.allSatisfy { $0 == scores[0] }, "\(scores)")
        let refused = try Self.train(CommandLineFolder(), .alone, "--set", "training.patience_metric=bleu")
        expectError(
            refused, 64,
            "--set training.patience_metric=bleu: training.patience_metric must be loss where training.validate_bleu is 0, for nothing "
                + "is translated, but is bleu")
    }

    /// Invariant 1, with MPI.
    @Test(arguments: [Launch.simulated(2), .simulated(4), .mpirun(2), .mpirun(4)])
    func lossesAreThoseOfOneRank(launch: Launch) throws {
        let folder = CommandLineFolder()
        let outcome = try Self.train(folder, launch)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.components(separatedBy: "finished: update 12").count == 2, "said by one rank")
        let alone = try TinyCommandLine.runs.losses("run"), losses = try folder.losses("run")
        #expect(losses.count == 12)
        for (update, (a, b)) in zip(alone, losses).enumerated() {
            #expect(abs(a - b) <= (update == 0 ? 1e-6 : 1e-4) * a, "update \(update + 1): \(a), \(b)")
        }
    }

    /// Sums are in rank order everywhere: MPI's ranks and simulated ones, sharded or not, with a thread that moves messages or
    /// without, do the same to the bit.
    @Test(arguments: [(2, "off"), (4, "off"), (2, "on"), (4, "on")])
    func mpirunSharedOutIsSimulatedWhole(ranks: Int, thread: String) throws {
        let whole = CommandLineFolder(), sharded = CommandLineFolder()
        // With the thread two groups of a rank run in turns; the last of its three alone.
        let groups = ["--set", "training.token_groups=\(3 * ranks)", "--set", "training.updates=6"]
        #expect(try Self.train(whole, .simulated(ranks), groups + ["--set", "parallel.interleave=off"]).status == 0)
        let outcome = try Self.train(
            sharded, .mpirun(ranks),
            groups + ["--set", "parallel.shard_optimizer=true", "--set", "parallel.communication_thread=\(thread)"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try sharded.losses("run") == whole.losses("run"))
    }

    /// More ranks in a group than the first stratum has experts: each half has a copy of these.
    @Test func copiesOfSmallStrataUnderMPI() throws {
        let strata = ["--set", "model.moe.strata=[2, 4]", "--set", "training.updates=6"]
        let alone = CommandLineFolder(), spread = CommandLineFolder()
        #expect(try Self.train(alone, .alone, strata).status == 0)
        let outcome = try Self.train(
            spread, .mpirun(4),
            strata + ["--set", "parallel.expert_parallel=4", "--set", "parallel.shard_optimizer=true"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("small strata in 2 copies a group"))
        #expect(try spread.losses("run") == alone.losses("run"))
    }

    /// At a checkpoint training goes on with copies of what was chosen most, without a changed bit; a resumed run has them from its
    /// first update on, and one without replicas reads the same checkpoints.
    @Test(arguments: [Launch.simulated(2), .mpirun(2), .mpirun(4)]) func hotExpertsComeToEveryRank(launch: Launch) throws {
        let strata = [
            "--set", "model.moe.strata=[4, 4]", "--set", "model.moe.aux_loss_weight=0", "--set", "checkpoint.every=4",
            "--set", "training.tokens_per_group=300",
        ]
        let alone = CommandLineFolder(), spread = CommandLineFolder()
        #expect(try Self.train(alone, .alone, strata).status == 0)
        let outcome = try Self.train(spread, launch, strata + ["--set", "parallel.replicas=auto"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("resuming from \(spread.path)/run/checkpoints/step-00000004\n"), "\(outcome)")
        #expect(outcome.stderr.contains("\nexperts that every rank has: "), "\(outcome)")
        #expect(outcome.stderr.components(separatedBy: "finished: update 12").count == 2)
        #expect(try spread.losses("run") == alone.losses("run"))
        for (replicas, updates) in [("auto", 14), ("off", 16)] {
            let on = try Self.train(
                spread, launch,
                strata + ["--resume", "--set", "parallel.replicas=\(replicas)", "--set", "training.updates=\(updates)"])
            #expect(on.status == 0, "\(on)")
            #expect(on.stderr.contains("experts that every rank has") == (replicas == "auto"), "\(on)")
        }
        #expect(try Self.train(alone, .alone, strata + ["--resume", "--set", "training.updates=16"]).status == 0)
        #expect(try spread.losses("run") == alone.losses("run"))
    }

    @Test func groupsInTurnsNeedTheThread() throws {
        let outcome = try Self.train(
            CommandLineFolder(), .mpirun(2),
            [
                "--set", "training.token_groups=4", "--set", "parallel.interleave=on", "--set",
                "parallel.communication_thread=off",
            ])
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.stderr.contains("parallel.interleave must be auto or off"))
        #expect(outcome.stderr.contains("set parallel.communication_thread to on"))
    }

    /// Invariant 2.
    @Test func theSameRunTwiceHasTheSameShards() throws {
        let folder = CommandLineFolder()
        #expect(try Self.train(folder, .alone).status == 0)
        let shard = "checkpoints/step-00000012/shard-00000.safetensors"
        #expect(try folder.data("run/\(shard)") == TinyCommandLine.runs.data("run/\(shard)"))
    }

    /// Starts a run that would not end, sends a signal once it has done five updates, and waits for its end.
    private static func interrupt(
        _ signal: String, _ folder: CommandLineFolder, _ launch: Launch, _ options: [String] = []
    ) throws -> Subprocess.Outcome {
        let strata = try BuiltProducts.path("strata")
        var command = [strata, "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"]
        command += ["--set", "training.updates=1000000"] + options
        switch launch {
        case .alone: break
        case let .simulated(ranks): command += ["--simulate-ranks", "\(ranks)"]
        case let .mpirun(ranks): command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)"] + command
        }
        let script = """
            log=$1 signal=$2; shift 2
            "$@" & pid=$!
            while kill -0 $pid && [ "$(cat "$log" 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
            kill -$signal $pid
            wait $pid; status=$?
            # A signal that interrupts the waiting of a shell does not end the process that it waits for.
            while kill -0 $pid 2>/dev/null; do wait $pid; status=$?; done
            exit $status
            """
        return try Subprocess.run(
            "sh", ["-c", script, "sh", "\(folder.path)/run/metrics.jsonl", signal] + command,
            environment: [
                "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
            ], timeout: 60)
    }

    /// Invariant 3. mpirun passes SIGUSR1 on; after SIGTERM its status is its own.
    @Test(arguments: [
        (Launch.alone, "TERM", "off"), (.alone, "INT", "off"), (.simulated(2), "TERM", "off"), (.mpirun(2), "USR1", "off"),
        (.mpirun(4), "USR1", "off"), (.mpirun(2), "USR1", "on"),
    ])
    func asAskedItStopsAndIsResumedAsIfItHadNot(launch: Launch, signal: String, thread: String) throws {
        let whole = CommandLineFolder(), stopped = CommandLineFolder()
        let outcome = try Self.interrupt(
            signal, stopped, launch, ["--set", "parallel.communication_thread=\(thread)"])
        #expect(outcome.status == 75, "\(outcome)")
        #expect(outcome.stderr.contains("stopped as asked; add --resume to go on"))
        let done = try stopped.losses("run").count
        #expect(done >= 5)
        #expect(
            try stopped.names("run/checkpoints").last == "step-\(String(repeating: "0", count: 8 - "\(done)".count))\(done)")

        let updates = done + 20
        let again = try Self.train(stopped, launch, "--resume", "--set", "training.updates=\(updates)")
        #expect(again.status == 0, "\(again)")
        #expect(again.stderr.contains("resuming from "))
        #expect(try Self.train(whole, launch, "--set", "training.updates=\(updates)").status == 0)
        #expect(try stopped.losses("run") == whole.losses("run"))
        let last = "run/checkpoints/\(try #require(try whole.names("run/checkpoints").last))"
        for name in try whole.names(last) {
            #expect(try stopped.data("\(last)/\(name)") == whole.data("\(last)/\(name)"), "\(name)")
        }
    }

    @Test func aKilledRunIsResumedFromItsLastCheckpoint() throws {
        let whole = CommandLineFolder(), killed = CommandLineFolder()
        let outcome = try Self.interrupt("KILL", killed, .simulated(2), ["--set", "checkpoint.every=4"])
        #expect(outcome.status == 128 + 9, "\(outcome)")
        let updates = try killed.losses("run").count + 20
        for folder in [killed, whole] {
            let outcome = try Self.train(folder, .simulated(2), "--resume", "--set", "training.updates=\(updates)")
            #expect(outcome.status == 0, "\(outcome)")
        }
        #expect(try killed.losses("run") == whole.losses("run"))
    }

    /// The first update makes the parameters infinite; those after it are skipped, and counted.
    @Test(arguments: Launch.onOneAndTwo) func skippedUpdatesAreCounted(launch: Launch) throws {
        let folder = CommandLineFolder()
        let outcome = try Self.train(
            folder, launch, "--set", "training.learning_rate=1e30", "--set", "training.warmup=0", "--set", "training.updates=8")
        #expect(outcome.status == 0, "\(outcome)")
        let skipped = try folder.metrics("run").compactMap { $0["skipped"] as? Bool }
        #expect(skipped == [false] + Array(repeating: true, count: 7))
        #expect(outcome.stderr.contains("update 2 was skipped: its loss is "))
        #expect(outcome.stderr.contains("\n7 update(s) skipped: their loss or gradient norm was not finite\n"))
        let sound = TinyCommandLine.outcomes.train.stderr
        #expect(!sound.contains("skipped"))
    }

    /// Invariant 4, with MPI, with moments whole and in shares by turns.
    @Test func aRunGoesOnOnAnotherNumberOfRanks() throws {
        let folder = CommandLineFolder(), launches = [Launch.mpirun(2), .alone, .mpirun(4), .simulated(3), .mpirun(2)]
        for (updates, launch) in zip([3, 5, 8, 10, 12], launches) {
            let outcome = try Self.train(
                folder, launch, "--resume", "--set", "training.updates=\(updates)",
                "--set", "parallel.shard_optimizer=\(launch != .mpirun(2) || updates == 12)")
            #expect(outcome.status == 0, "\(outcome)")
        }
        let losses = try folder.losses("run")
        #expect(losses.count == 12)
        #expect(losses == (try TinyCommandLine.runs.losses("run")))
    }

    /// However short the run is; what was there before training is only checked.
    @Test(arguments: [Launch.alone, .mpirun(2)]) func aProfileHasEveryRank(launch: Launch) throws {
        let folder = CommandLineFolder()
        try folder.write("trace.json", Data("old".utf8))
        let outcome = try Self.train(folder, launch, "--set", "training.updates=2", "--profile", "\(folder.path)/trace.json")
        #expect(outcome.status == 0, "\(outcome)")
        let trace = try JSONSerialization.jsonObject(with: folder.data("trace.json")) as? [String: Any]
        let events = try #require(trace?["traceEvents"] as? [[String: Any]])
        #expect(Set(events.compactMap { $0["tid"] as? Int }) == (launch == .alone ? [0] : [0, 1]))
    }

    /// A run that begins removes the analysis of an earlier one, and here the profile's folder with it.
    @Test(arguments: [Launch.alone, .mpirun(2)]) func aProfileThatIsLostIsNoFailure(launch: Launch) throws {
        let folder = CommandLineFolder()
        try FileManager.default.createDirectory(atPath: "\(folder.path)/run/analysis", withIntermediateDirectories: true)
        let outcome = try Self.train(folder, launch, "--profile", "\(folder.path)/run/analysis/trace.json")
        #expect(outcome.status == 0, "\(outcome)")
        let warning = "warning: \(folder.path)/run/analysis/trace.json: creating failed: No such file or directory"
        #expect(outcome.stderr.components(separatedBy: warning).count == 2, "\(outcome)")
        #expect(try folder.names("run/checkpoints").contains("step-00000012"))
    }

    @Test func aRunThatBeginsHasNoFindingsOfAnEarlierOne() throws {
        let folder = CommandLineFolder()
        try FileManager.default.createDirectory(atPath: "\(folder.path)/run/analysis", withIntermediateDirectories: true)
        let findings = ["analysis/analysis.json", "evaluation-test.json", "evaluation-valid.json"]
        func write() throws { for name in findings { try folder.write("run/\(name)", Data("{}".utf8)) } }
        try write()
        try folder.write("run/sweep.json", Data("{}".utf8))
        #expect(try Self.train(folder, .alone, "--resume", "--set", "training.updates=1").status == 0)
        for name in findings + ["analysis"] { #expect(!folder.exists("run/\(name)"), "\(name)") }
        #expect(folder.exists("run/sweep.json"))
        // Those of a run that goes on are of one of its updates, and stay.
        try FileManager.default.createDirectory(atPath: "\(folder.path)/run/analysis", withIntermediateDirectories: true)
        try write()
        #expect(try Self.train(folder, .alone, "--resume", "--set", "training.updates=2").status == 0)
        for name in findings { #expect(folder.exists("run/\(name)"), "\(name)") }
    }

    /// In bfloat16 the kernels that stand for the processor's instructions give the instructions' bits; OpenBLAS has none.
    @Test func bfloat16IsTheSameWithAnyKernelsThatHaveIt() throws {
        func train(_ kernels: String) throws -> (Subprocess.Outcome, CommandLineFolder) {
            let folder = CommandLineFolder()
            let outcome = try Subprocess.run(
                try BuiltProducts.path("strata"),
                [
                    "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "model.compute=bfloat16",
                    "--set", "training.updates=4",
                ], environment: ["STRATA_KERNELS": kernels], timeout: 60)
            return (outcome, folder)
        }
        let (refused, _) = try train("openblas")
        expectError(refused, 64, "model.compute is bfloat16, but OpenBLAS's kernels for")
        guard GEMM.Kernels.supported.contains(.avx2) else { return }
        let (checked, checkedFolder) = try train("avx2")
        #expect(checked.status == 0, "\(checked)")
        let losses = try checkedFolder.losses("run"), single = try TinyCommandLine.runs.losses("run").prefix(4)
        // Close to what 32 bits give, but another number.
        #expect(zip(losses, single).allSatisfy { $0 != $1 && abs($0 - $1) < 0.02 * $1 }, "\(losses) \(single)")
        guard GEMM.kernels == .avx512, (try? GEMM.checkTraining(in: .bfloat16)) != nil else { return }
        let (fast, fastFolder) = try train("avx512")
        #expect(try fast.status == 0 && fastFolder.losses("run") == losses, "\(fast)")
    }

    @Test func theTimeLimitEndsWith0() throws {
        let folder = CommandLineFolder()
        let outcome = try Self.train(folder, .simulated(2), "--set", "training.max_minutes=1e-12")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("training.max_minutes reached: update 1,"))
        #expect(try folder.names("run/checkpoints") == ["latest", "step-00000001"])
    }
}
