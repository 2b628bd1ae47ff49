import ConfigurationForms
import Foundation
import Testing
import _TestSupport

@testable import Runs

@Suite struct ConfigurationFileTests {
    @Test func mapsMergeOverWhatIsInherited() throws {
        let folder = TemporaryFolder()
        try folder.write("base.yaml", "model: {moe: {strata: [4, 4], top_k: 1}, dim: 64, heads: 4}\n" + minimalData)
        try folder.write("m4/middle.yaml", "inherit: ../base.yaml\nmodel: {moe: {strata: [2, 2]}}\n")
        try folder.write("m4/last.yaml", "inherit: middle.yaml\nmodel: {dim: 32}\n")
        let configuration = try folder.load("m4/last.yaml", overrides: ["model.heads=2", "model.heads=8"])
        #expect(configuration.model.mixture?.strata == [2, 2] && configuration.model.mixture?.topK == 1)
        #expect(configuration.model.dim == 32 && configuration.model.heads == 8)
        #expect(configuration.data.prepared == "data/numerals")
    }

    @Test func problemsNameTheFileThatTheyComeFrom() throws {
        let folder = TemporaryFolder()
        try folder.write("base.yaml", "model:\n  dimm: 64\n" + minimalData)
        try folder.write("a.yaml", "inherit: base.yaml\n\ntraining:\n  updates: x\n")
        let found = try folder.problems("a.yaml")
        #expect(found.count == 2)
        #expect(
            found.first?.hasPrefix("base.yaml:2: model.dimm ") == true
                && found.last?.hasPrefix("a.yaml:4: training.updates ") == true)
    }

    @Test func cyclesOfInheritanceAreRefused() throws {
        let folder = TemporaryFolder()
        try folder.write("a.yaml", "inherit: sub/../b.yaml\n")
        try folder.write("sub/c.yaml", "")
        try folder.write("b.yaml", "inherit: a.yaml\n")
        try folder.write("self.yaml", "inherit: ./self.yaml\n")
        #expect(try folder.problems("a.yaml").first?.contains("a cycle of 2 files") == true)
        #expect(
            try folder.problems("self.yaml").first?.hasPrefix(
                "self.yaml:1: inherit must name a file that does not inherit this one") == true)
    }

    @Test func whatIsInheritedMustBeAFile() throws {
        let folder = TemporaryFolder()
        try folder.write("a.yaml", "data: 1\ninherit: gone.yaml\n")
        try folder.write("b.yaml", "inherit: [a.yaml]\n")
        try folder.write("c.yaml", "inherit: .\n")
        try folder.write("d.yaml", "inherit:\n")
        #expect(try folder.problems("a.yaml").first?.hasPrefix("a.yaml:2: inherit: gone.yaml must be a readable file") == true)
        #expect(
            try folder.problems("b.yaml").first?.contains(
                "inherit must be the path of a file, relative to this one, but is a list of 1") == true)
        #expect(try folder.problems("c.yaml").first?.contains("but is a folder") == true)
        #expect(try folder.problems("d.yaml").first?.contains("but is empty") == true)
    }

    @Test func filesThatAreNoConfigurationAreRefused() throws {
        let folder = TemporaryFolder()
        #expect(
            try folder.problems("gone.yaml").first?.contains(
                "gone.yaml: must be a readable file, but cannot be opened: No such file") == true)
        #expect(try folder.problems("").first?.contains("must be a file, but is a folder") == true)
        #expect(throws: ConfigurationError.self) { try RunConfiguration.load(file: "") }
        #expect(throws: ConfigurationError.self) { try RunConfiguration.load(file: "/dev/zero") }
        for empty in ["", "\n\n", "# a comment\n", "---\n", "~", "\u{FEFF}"] {
            try folder.write("empty.yaml", empty)
            #expect(
                try folder.problems("empty.yaml") == [
                    "empty.yaml: must hold a configuration, but is empty; at least data is required"
                ])
        }
        for scalar in ["text", "- 1\n- 2\n", "3"] {
            try folder.write("scalar.yaml", scalar)
            #expect(try folder.problems("scalar.yaml").first?.contains("scalar.yaml:1: must be a map of keys") == true)
        }
        try folder.write("latin.yaml", Data("data:\n  path: caf".utf8) + [0xE9, 0x0A])
        #expect(try folder.problems("latin.yaml").first?.contains("latin.yaml:2: must be UTF-8 text") == true)
        try folder.write("large.yaml", Data(repeating: UInt8(ascii: "#"), count: ConfigurationFile.mostBytes + 1))
        #expect(try folder.problems("large.yaml").first?.contains("must be at most 1048576 bytes") == true)
        try folder.write("control.yaml", "data: {}\nmodel: \u{1}\n")
        #expect(
            try folder.problems("control.yaml").first?.contains(
                "control.yaml:2: must be YAML, but holds a character it forbids") == true)
    }

    @Test(arguments: [
        ("model: {dim: 4\n" + minimalData, 2), ("model:\n\tdim: 4\n", 2), ("model:\n  dim: 4\n heads: 2\n", 3),
        ("a: b: c\n", 1),
        ("model: \"open\n", 2), ("model: *none\n", 1), ("data: {}\n---\ndata: {}\n", 2), ("model: !!int 5\n", 1),
        ("? [a, b]\n: 1\n", 1),
        ("a: &x [1]\n*x : 2\n", 2), ("a: &x 1\nb: {<<: *x}\n", 2), ("a: {b: \"\\ud800\"}\n", 1), ("%BAD\n", 1),
    ])
    func errorsOfSyntaxHaveTheirLine(_ text: String, _ line: Int) throws {
        let found = try problems(text)
        #expect(found.count == 1 && found.first?.hasPrefix("a.yaml:\(line): ") == true, "\(found)")
    }

    /// What people write in place of YAML is said in our words, where it stands.
    @Test(arguments: [
        ("model:\n  dim:32\n", 2, "must have a space after the colon, but is dim:32; write dim: 32"),
        ("model:\n  dim:32\n  heads: 2\n", 2, "must have a space after the colon, but is dim:32; write dim: 32"),
        ("model:\n  heads: 2\n  dim:32\n", 3, "must have a space after the colon, but is dim:32; write dim: 32"),
        ("model: {heads: 2, dim:32}\n", 1, "must have a space after the colon, but is dim:32; write dim: 32"),
        ("model:\n  heads: 2\n\tdim: 32\n", 3, "must be indented with spaces, but this line begins with a tab"),
        ("model:\n  heads: 2\n  \tdim: 32\n", 3, "must be indented with spaces, but this line begins with a tab"),
        ("model:\n  heads: 2\n\u{A0} dim: 32\n", 3, "must have plain spaces, but holds a no-break space (U+00A0)"),
        ("model:\n  dim:\u{A0}32\n", 2, "must have plain spaces, but holds a no-break space (U+00A0)"),
        ("model:\n  heads: 2\n  dim: \u{3000}32\n", 3, "must have plain spaces, but holds another blank (U+3000)"),
    ])
    func whatLooksLikeYAML(_ text: String, _ line: Int, _ message: String) throws {
        let found = try problems(text + minimalData)
        #expect(found.count == 1 && found.first?.hasPrefix("a.yaml:\(line): \(message)") == true, "\(found)")
    }

    @Test func whatOnlyLooksWrongLoads() throws {
        let text = "# a\u{A0}comment\n  # another\ndata: {format: moses, path: \"x:y\u{A0}z\", prepared: 'a:b'}\n"
        #expect(try problems(text) == [])
        #expect(try problems("data: {format: moses, path: x:y, prepared: s3://z}\n") == [])
    }

    @Test func aKeyGivenTwiceIsRefused() throws {
        let found = try problems(minimalData + "training:\n  updates: 3\n  warmup: 2\n  updates: 4\n")
        #expect(found.count == 1 && found.first?.hasPrefix("a.yaml:3: updates must be given once") == true, "\(found)")
        #expect(try problems(minimalData + "model: {dim: 8, 'dim': 8}\n").first?.contains("dim must be given once") == true)
    }

    @Test func aliasesStandForTheirValue() throws {
        let configuration = try RunConfiguration.parse(
            "model: {moe: {strata: &sizes [4, 4], capacity_factor: &two 2, evaluation_capacity_factor: *two}}\n" + minimalData,
            source: "a")
        #expect(configuration.model.mixture?.evaluationCapacityFactor == 2)
    }

    /// Nested aliases that stand for 10⁹ values, as values and as keys.
    @Test func aliasesCannotGrowWithoutBound() throws {
        var text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            text += "l\(level): &l\(level) [" + Array(repeating: "*l\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(try problems(text).first?.contains("must hold at most 20000 values") == true)
        #expect(try problems(text + "? *l8\n: 1\n").first?.contains("a key must be a name") == true)
        #expect(try problems(text + "*l8 : 1\n").first?.contains("a key must be a name") == true)
        #expect(try problems(text + "last: {*l8 : 1, *l7 : 2}\n").first?.contains("a key must be a name") == true)
    }

    @Test func deepNestingIsRefused() throws {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
            for depth in [100, 900, 50_000] {
                let text = "model:\n  " + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
                #expect(try problems(text).count == 1)
            }
        }
    }

    @Test func overridesAreAsStrictAsFiles() throws {
        let cases = [
            ("model.dimm=4", "--set model.dimm=4: model.dimm is not a key; did you mean model.dim?"),
            ("model.dim", "--set model.dim: must be path.to.key=value, but has no =;"),
            ("=4", "--set =4: must be path.to.key=value, but a key of the path is empty"),
            ("model..dim=4", "--set model..dim=4: must be path.to.key=value, but a key of the path is empty"),
            ("model.dim=", "--set model.dim=: model.dim must be an integer from 1 to 65536, but is empty"),
            ("model.dim=[4", "--set model.dim=[4: must be YAML, but at column"),
            ("model.dim.x=4", "--set model.dim.x=4: model.dim must be an integer from 1 to 65536, but is a map of 1 key"),
            ("inherit=b.yaml", "--set inherit=b.yaml: inherit is not a key"),
            ("training.updates=4=5", "--set training.updates=4=5: training.updates must be an integer"),
        ]
        for (override, expected) in cases {
            let found = try problems(minimalData, overrides: [override])
            #expect(found.count == 1 && found.first?.hasPrefix(expected) == true, "\(found)")
        }
        #expect(try problems(minimalData, overrides: ["nothing", "model.x"]).count == 2)
    }

    @Test func overridesTakeListsAndMaps() throws {
        let folder = TemporaryFolder()
        try folder.write("a.yaml", minimalData)
        let overrides = [
            "model.moe={strata: [2, 2], top_k: 1}", "model.moe.strata=[3, 3]", "data.directions=[eng-cat]", "data.prepared=a=b",
        ]
        let configuration = try folder.load("a.yaml", overrides: overrides)
        #expect(configuration.model.mixture?.strata == [3, 3] && configuration.model.mixture?.topK == 1)
        #expect(configuration.data.directions.map(\.description) == ["eng-cat"] && configuration.data.prepared == "a=b")
    }

    /// Damaged files must be errors, never crashes: a whole configuration cut anywhere, and with any byte changed.
    @Test func damagedTextNeverCrashes() throws {
        let bytes = Array(ConfigurationTests.everyKey.utf8)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var damaged = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            for _ in 0..<Int.random(in: 1...3, using: &random) where !damaged.isEmpty {
                damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0..<0x80, using: &random)
            }
            let text = String(decoding: damaged, as: UTF8.self)
            do { _ = try RunConfiguration.parse(text, source: "a.yaml") } catch let error as ConfigurationError {
                #expect(!error.description.isEmpty)
            }
        }
    }
}
