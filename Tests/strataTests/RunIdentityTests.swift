import Runs
import Testing

@testable import strata

@Suite struct RunIdentityTests {
    private static func identity(_ options: String) throws -> [String: String] {
        try RunConfiguration.parse(
            "{model: {dropout: 0.4, moe: {strata: [4, 4]\(options)}}, data: {format: numerals, prepared: p}}", source: "text"
        ).identity(vocabulary: 7, dataFingerprint: "abc")
    }

    /// To the letter what checkpoints hold that were made before methods had files of their own.
    @Test func isThatOfEarlierCheckpoints() throws {
        var expected = [
            "vocabulary": "7", "data": "abc", "model.dim": "512", "model.ffn_dim": "2048", "model.heads": "8",
            "model.encoder_layers": "6", "model.decoder_layers": "6", "model.moe.every": "2", "model.moe.strata": "[4, 4]",
            "model.moe.top_k": "2", "model.moe.capacity_factor": "2.0", "model.moe.evaluation_capacity_factor": "none",
            "model.moe.second_expert": "sampling", "model.moe.gate_normalization": "after_drop",
            "model.moe.aux_loss_weight": "0.01", "model.moe.expert_output_masking": "0.0",
        ]
        #expect(try Self.identity("") == expected)
        expected["model.moe.batch_prioritized"] = "true"
        for options in ["batch_prioritized: true", "capacity_priority: first_choice_probability"] {
            #expect(try Self.identity(", \(options)") == expected, "\(options)")
        }
        expected["model.moe.batch_prioritized"] = nil
        expected["model.moe.capacity_priority"] = "own_probability"
        #expect(try Self.identity(", capacity_priority: own_probability") == expected)
    }
}
