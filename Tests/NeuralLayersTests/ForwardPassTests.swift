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

    private struct First: Sendable, Equatable { let number: Int }
    private struct Second: Sendable {}

    @Test func reportsAreKeptInTheirOrder() {
        let reports = PassReports()
        let pass = ForwardPass(
            tape: Tape(ComputeContext(), recording: false), isTraining: true, key: RandomKey(seed: 1), reporting: reports)
        #expect(pass.isReporting)
        pass.report(First(number: 1))
        pass.within(3).report(Second())
        pass.within(4).within(2).report(First(number: 2))
        #expect(reports.all(of: First.self) == [First(number: 1), First(number: 2)])
        #expect(reports.all(of: Second.self).count == 1 && reports.all(of: Int.self).isEmpty)
    }

    @Test func whatNobodyReadsIsNotMade() {
        var made = 0
        func report() -> First {
            made += 1
            return First(number: made)
        }
        let silent = pass(training: true)
        #expect(!silent.isReporting)
        silent.report(report())
        #expect(made == 0)
    }

    @Test func partsCarryWhatThePassSays() {
        var whole = pass(training: true)
        (whole.auxiliaryScale, whole.keepsDecisions) = (0.5, true)
        let part = whole.within(7)
        #expect(part.auxiliaryScale == 0.5 && part.keepsDecisions && part.isTraining)
    }
}
