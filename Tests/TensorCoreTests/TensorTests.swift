import TensorCore
import Testing

@Suite struct TensorTests {
    @Test func viewsShareTheStorage() {
        let context = ComputeContext()
        let tensor = context.tensor([1, 2, 3, 4, 5, 6], rows: 3, columns: 2)
        #expect(tensor[2, 1] == 6 && tensor.row(1)[0] == 3)
        let view = tensor.rows(1..<3)
        #expect(view.elements == [3, 4, 5, 6] && view.rows == 2)
        view[0, 0] = 30
        #expect(tensor.elements == [1, 2, 30, 4, 5, 6])
        #expect(tensor.rows(1..<1).elements.isEmpty)
    }

    @Test func copiesDoNot() {
        let context = ComputeContext(), tensor = context.tensor([1, 2], rows: 1, columns: 2), copy = context.copy(tensor)
        tensor.fill(9)
        #expect(copy.elements == [1, 2])
        copy.copy(from: tensor)
        #expect(copy.elements == [9, 9])
    }

    @Test func segments() {
        let segments = Segments(lengths: [3, 0, 2])
        #expect(segments == Segments(offsets: [0, 3, 3, 5]))
        #expect(segments.count == 3 && segments.rows == 5 && segments.longest == 3)
        #expect(segments.range(1).isEmpty && segments.range(2) == 3..<5 && segments.length(0) == 3)
        #expect(Segments.none.count == 0 && Segments.none.rows == 0 && Segments.none.longest == 0)
        #expect(Segments(lengths: []) == .none)
    }
}
