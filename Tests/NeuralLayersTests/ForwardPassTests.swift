import Autograd
import NeuralLayers
import TensorCore
import Testing

@Suite struct ForwardPassTests {
    private func pass(training: Bool) -> ForwardPass {
        ForwardPass(tape: Tape(ComputeContext(), recording: training), isTraining: training, key: RandomKey(seed: 1))
    }

    private func drops(_ mask: DropoutMask) -> [Bool] { (0..<256).map { mask.factor(row: 0, column: $0, columns: 256) == 0 } }

    @Test func dropoutIsForTrainingOnly() {
        #expect(pass(training: false).dropout(0.5, purpose: .residual).dropsNothing)
        #expect(pass(training: true).dropout(0, purpose: .residual).dropsNothing)
        #expect(!pass(training: true).dropout(0.5, purpose: .residual).dropsNothing)
    }

    @Test func partsAndPurposesDrawForThemselves() {
        let whole = pass(training: true)
        let masks = [
            whole.dropout(0.5, purpose: .residual), whole.dropout(0.5, purpose: .attention),
            whole.within(1).dropout(0.5, purpose: .residual), whole.within(2).dropout(0.5, purpose: .residual),
            whole.within(1).within(1).dropout(0.5, purpose: .residual),
        ].map(drops)
        #expect(Set(masks).count == masks.count)
        #expect(drops(pass(training: true).within(2).dropout(0.5, purpose: .residual)) == masks[3])
    }
}
