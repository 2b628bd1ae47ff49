import Foundation
import Testing
import _TestSupport

/// The scripts in `launch/`: what they refuse, how they start ranks, how they pass a stop on.
@Suite struct LaunchScriptTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("launch/run.sh").path

    private static func run(_ arguments: [String], timeout: Double = 60) throws -> Subprocess.Outcome {
        let outcome = try Subprocess.run(
            script, arguments, environment: ["STRATA": try BuiltProducts.path("strata"), "OMPI_MCA_mpi_yield_when_idle": "1"],
            timeout: timeout)
        #expect(!outcome.timedOut, "\(arguments): \(outcome)")
        return outcome
    }

    @Test(arguments: [
        [], ["-n"], ["-n", "two", "--", "doctor"], ["-n", "2"], ["-n", "2", "--treads", "1", "--", "doctor"],
        ["-n", "2", "--threads", "0", "--", "doctor"], ["-n", "2", "--hostfile", "/nowhere", "--", "doctor"],
        ["-n", "2", "--max-restarts", "-1", "--", "doctor"], ["-n", "2", "--backoff", "soon", "--", "doctor"],
        ["-n", "2", "--min-ranks", "1", "--", "doctor"],
        ["-n", "2", "--min-ranks", "3", "--hostfile", "/dev/null", "--", "doctor"],
        ["--check"], ["--check", "--hostfile", "/dev/null", "--", "train", "c.yaml", "--out"],
    ])
    func wrongUsageEndsWith64(arguments: [String]) throws {
        let outcome = try Self.run(arguments)
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.stderr.hasPrefix("run.sh: "))
    }

    @Test func theRanksAreThoseAskedFor() throws {
        let folder = CommandLineFolder()
        let outcome = try Self.run(["-n", "3", "--", "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("; 3 rank(s) = 1 expert-parallel × 3 replica(s)"))
    }

    /// Runs a piece of shell in the repository, with some programs in the place of what PATH finds.
    private static func shell(
        _ script: String, programs: [String: String] = [:], in folder: CommandLineFolder, environment: [String: String] = [:]
    ) throws -> Subprocess.Outcome {
        for (name, text) in programs {
            try folder.write(name, Data("#!/bin/bash\n\(text)\n".utf8))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/\(name)")
        }
        let scripts = URL(fileURLWithPath: Self.script).deletingLastPathComponent()
        let variables = [
            "PATH": "\(folder.path):\(ProcessInfo.processInfo.environment["PATH"] ?? "")", "FOLDER": folder.path,
            "SCRIPTS": scripts.path,
        ]
        let outcome = try Subprocess.run(
            "bash", ["-c", "cd '\(scripts.deletingLastPathComponent().path)'; \(script)"],
            environment: variables.merging(environment) { $1 }, timeout: 60)
        #expect(!outcome.timedOut, "\(outcome)")
        return outcome
    }

    /// Open MPI counts cores, and so must who tells it how many a rank gets. Here 0 and 8 are one, 1 and 9, 2, 3, and 12, of
    /// which nothing is known.
    @Test func hardwareThreadsOfOneCoreCountOnce() throws {
        let folder = CommandLineFolder()
        try folder.write("status", Data("Name:\tx\nCpus_allowed_list:\t0-3,8-9,12\n".utf8))
        for processor in 0..<12 {
            let topology = "cpu\(processor)/topology"
            try FileManager.default.createDirectory(atPath: "\(folder.path)/\(topology)", withIntermediateDirectories: true)
            try folder.write("\(topology)/thread_siblings_list", Data("\(processor % 8),\(processor % 8 + 8)\n".utf8))
        }
        let outcome = try Self.shell(
            """
            set -euo pipefail
            eval "$(sed -n '/^allowed_cores()/,/^}/p' launch/hosts.sh |
              sed "s:/proc/self/status:$FOLDER/status:; s:/sys/devices/system/cpu:$FOLDER:")"
            allowed_cores
            """, in: folder)
        #expect(outcome.status == 0 && outcome.stdout == "5\n", "\(outcome)")
    }

    @Test func theCoresAreNotWhatTheEnvironmentSays() throws {
        let outcome = try Self.shell(
            "launch/run.sh -n 2 -- doctor", programs: ["mpirun": "printf '%s ' \"$@\""], in: CommandLineFolder(),
            environment: ["OMP_NUM_THREADS": "64", "STRATA": "/bin/true"])
        #expect(outcome.status == 0 && outcome.stdout.hasSuffix("/bin/true doctor "), "\(outcome)")
        #expect(!outcome.stdout.contains("PE=32"), "\(outcome)")
    }

    /// A look at the hosts takes from the command what they must have alike, and starts nothing.
    @Test func aLookTakesTheCommandsFiles() throws {
        let folder = CommandLineFolder()
        let outcome = try Self.shell(
            "launch/run.sh --check -n 2 --hostfile /dev/null -- train --set a=1 c.yaml --resume --out runs/x --set=b=2",
            programs: ["strata": "printf '%s ' \"$@\"", "mpirun": "exit 99"], in: folder,
            environment: ["STRATA": "\(folder.path)/strata"])
        #expect(
            outcome.stdout == "doctor --hostfile /dev/null --out runs/x --config c.yaml --set a=1 --set=b=2 ", "\(outcome)")
    }

    /// A stop that comes when the job has just ended is no failure of the script.
    @Test(arguments: [
        "end_session() { :; }; stops=0; eval \"$(sed -n '/^stop()/,/^}/p' launch/run.sh)\"; trap stop USR1 TERM",
        "eval \"$(grep ^trap launch/slurm.sbatch)\"",
    ])
    func aStopThatComesTooLate(traps: String) throws {
        for signal in ["USR1", "TERM"] {
            let outcome = try Self.shell(
                """
                set -euo pipefail
                sleep 0 & running=$!
                wait $running
                \(traps)
                kill -\(signal) $$
                echo goes on
                """, in: CommandLineFolder())
            #expect(outcome.status == 0 && outcome.stdout == "goes on\n", "\(outcome)")
        }
    }

    /// A training that was stopped has left a checkpoint, but is not done.
    @Test func quickstartGoesOnWithATrainingThatWasStopped() throws {
        let folder = CommandLineFolder()
        let outcome = try Self.shell(
            """
            cd "$FOLDER"
            mkdir -p repository/launch
            cp "$SCRIPTS/quickstart.sh" run.sh install-deps.sh repository/launch
            for start in 1 2 3; do
              status=0
              repository/launch/quickstart.sh >output-$start || status=$?
              echo "start $start: $status, $(wc -l <trained) trainings, $(grep -c 'already trained' output-$start) passed over"
            done
            """,
            programs: [
                "install-deps.sh": "", "swift": "echo \"$FOLDER\"", "strata": "[ \"$1\" != translate ] || cat",
                // The first training is stopped.
                "run.sh": """
                [ "$4" = train ] || exit 0
                mkdir -p runs/quickstart/checkpoints; touch runs/quickstart/checkpoints/latest
                echo "${*:4}" >>"$FOLDER/trained"
                [ "$(wc -l <"$FOLDER/trained")" -gt 1 ] || exit 75
                """,
            ], in: folder)
        #expect(
            outcome.stdout == """
                start 1: 75, 1 trainings, 0 passed over
                start 2: 0, 2 trainings, 0 passed over
                start 3: 0, 2 trainings, 1 passed over

                """, "\(outcome)")
        #expect(String(decoding: try folder.data("trained"), as: UTF8.self).components(separatedBy: " --resume\n").count == 3)
    }

    /// A failure that will come again is not tried again.
    @Test func aWrongConfigurationIsNotRestarted() throws {
        let outcome = try Self.run(
            ["-n", "2", "--max-restarts", "3", "--", "train", "/nowhere.yaml", "--out", "/nowhere"])
        #expect(outcome.status == 64, "\(outcome)")
        #expect(!outcome.stderr.contains("restart"))
    }

    @Test(arguments: ["TERM", "USR1", "INT"])
    func aStopReachesTheRanks(signal: String) throws {
        let folder = CommandLineFolder()
        let waitAndStop = """
            # What a shell starts beside itself ignores SIGINT.
            env --default-signal=INT "$@" & pid=$!
            while kill -0 $pid && [ "$(cat "$LOG" 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
            kill -$SIGNAL $pid
            wait $pid; exit $?
            """
        let outcome = try Subprocess.run(
            "bash",
            [
                "-c", waitAndStop, "bash", Self.script, "-n", "2", "--max-restarts", "2", "--", "train",
                TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "training.updates=100000",
            ],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "LOG": "\(folder.path)/run/metrics.jsonl", "SIGNAL": signal,
                "OMPI_MCA_mpi_yield_when_idle": "1",
            ], timeout: 60)
        #expect(!outcome.timedOut)
        #expect(outcome.status == 75, "\(outcome)")
        let done = try folder.losses("run").count
        #expect(try folder.names("run/checkpoints").last == "step-\(String(repeating: "0", count: 8 - "\(done)".count))\(done)")
        #expect(!outcome.stderr.contains("resuming,"))
    }

    /// Slurm signals the shell of the batch script alone.
    @Test func slurmsSignalStopsAndRequeues() throws {
        let folder = CommandLineFolder()
        try folder.write("scontrol", Data("#!/bin/sh\necho \"$@\" >>'\(folder.path)/requeued'\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/scontrol")
        let script = """
            bash launch/slurm.sbatch "$CONFIG" "$OUT" --set training.updates=100000 & pid=$!
            while kill -0 $pid && [ "$(cat "$OUT/metrics.jsonl" 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
            kill -USR1 $pid
            wait $pid; exit $?
            """
        let root = URL(fileURLWithPath: Self.script).deletingLastPathComponent().deletingLastPathComponent().path
        let outcome = try Subprocess.run(
            "bash", ["-c", "cd '\(root)'; \(script)"],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "CONFIG": TinyCommandLine.configuration,
                "OUT": "\(folder.path)/run",
                "SLURM_JOB_ID": "17", "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "1", "SLURM_SUBMIT_DIR": root,
                "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
                "PATH": "\(folder.path):\(ProcessInfo.processInfo.environment["PATH"] ?? "")",
            ], timeout: 60)
        #expect(!outcome.timedOut && outcome.status == 75, "\(outcome)")
        #expect(String(decoding: try folder.data("requeued"), as: UTF8.self) == "requeue 17\n")
        #expect(folder.exists("run/checkpoints/latest"))
    }

    /// mpirun itself is killed: the ranks that it leaves are ended before others write the run, which then goes on to its end.
    @Test func aKilledMpirunIsRestarted() throws {
        let folder = CommandLineFolder()
        let script = """
            "$@" & pid=$!
            until [ -e "$OUT/checkpoints/latest" ]; do sleep 0.02; kill -0 $pid || exit 98; done
            rank=$(sed 's/.*"process":\\([0-9]*\\).*/\\1/' "$OUT/ranks/00001.json")
            kill -KILL $(sed -n 's/^PPid:[[:space:]]*//p' /proc/$rank/status)
            # A rank that hangs does not see that its mpirun is gone.
            kill -STOP $rank 2>/dev/null
            wait $pid; status=$?
            kill -0 $rank 2>/dev/null && grep -q State:.T /proc/$rank/status && exit 99
            exit $status
            """
        let outcome = try Subprocess.run(
            "bash",
            [
                "-c", script, "bash", Self.script, "-n", "2", "--max-restarts", "1", "--", "train",
                TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "training.updates=300",
            ],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "OUT": "\(folder.path)/run", "OMPI_MCA_mpi_yield_when_idle": "1",
            ], timeout: 60)
        #expect(!outcome.timedOut && outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("run.sh: ended with status 137; resuming in 1 s, 0 restart(s) left"), "\(outcome)")
        #expect(outcome.stderr.contains("resuming from "))
        #expect(try folder.losses("run").count == 300)
    }

    @Test func failuresWithoutProgressAreSaid() throws {
        let folder = CommandLineFolder()
        try folder.write("strata", Data("#!/bin/sh\necho \"$@\" >>'\(folder.path)/starts'\nexit 70\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/strata")
        let outcome = try Subprocess.run(
            Self.script,
            [
                "-n", "1", "--max-restarts", "3", "--backoff", "0", "--", "train", "a.yaml", "--out",
                "\(folder.path)/run",
            ],
            environment: ["STRATA": "\(folder.path)/strata"], timeout: 60)
        #expect(outcome.status == 70, "\(outcome)")
        let first = "train a.yaml --out \(folder.path)/run\n"
        let later = "train a.yaml --out \(folder.path)/run --resume\n"
        #expect(String(decoding: try folder.data("starts"), as: UTF8.self) == first + later + later + later)
        #expect(!outcome.stderr.contains("the last 1 starts"))
        #expect(outcome.stderr.contains("run.sh: no progress: the last 2 starts failed before a new checkpoint (newest: none)"))
    }

    /// Only a training has something to go on from.
    @Test func otherCommandsAreNotRestarted() throws {
        let outcome = try Subprocess.run(
            Self.script, ["-n", "1", "--max-restarts", "3", "--backoff", "0", "--", "-c", "echo ran >&2; exit 70"],
            environment: ["STRATA": "/bin/sh"], timeout: 60)
        #expect(outcome.status == 70 && outcome.stderr.components(separatedBy: "ran\n").count == 2, "\(outcome)")
    }
}
