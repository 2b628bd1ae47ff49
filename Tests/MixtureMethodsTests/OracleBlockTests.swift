import Testing
import _TestSupport

/// Blocks against reference results, on one rank and on several.
@Suite(.hangLimit) struct OracleBlockTests {
    @Test func thereAreFiles() { #expect(!OracleFiles.names("block_").isEmpty && !Self.methodFiles.isEmpty) }

    /// The paper's block.
    @Test(arguments: OracleFiles.names("block_"), [1, 2, 3, 4]) func block(name: String, ranks: Int) throws {
        let block = try OracleBlock(name)
        for distribution in OracleBlock.Distribution.allCases { try block.check(ranks: ranks, distribution) }
    }

    /// The metadata `method` of blocks that the library has.
    private static let methods: Set = ["topk", "xmoe", "hmoe", "mhmoe", "dynmoe", "upcycle", "pesc", "moefy_block", "mpoe"]

    static let methodFiles = OracleFiles.names("method_").filter { name in
        (try? OracleFiles.open(name).metadata["method"]).flatMap { $0 }.map(methods.contains) ?? false
    }

    @Test(arguments: methodFiles, [1, 2, 3]) func methodBlock(name: String, ranks: Int) throws {
        let block = try OracleBlock(name)
        for distribution in OracleBlock.Distribution.allCases { try block.check(ranks: ranks, distribution) }
    }
}
