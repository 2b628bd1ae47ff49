/// What all ranks of a group must agree on when they meet in an operation.
struct OperationSignature: Equatable {
    let name: String
    var reduction: ReductionOperation?
    var element: ElementType?
    /// Elements of a rank's buffer, or of a row.
    var count: Int?
    /// Elements of each rank, where every rank knows them all.
    var counts: [Int] = []
    var root: Int?
    /// The order of a reduction that has one of its own.
    var order: ReductionOrder?
}

extension OperationSignature: CustomStringConvertible {
    var description: String {
        var terms: [String] = []
        if let reduction { terms.append("\(reduction)") }
        if let element, let count { terms.append("\(count) × \(element)") }
        if let element, count == nil { terms.append("\(counts) × \(element)") }
        if let root { terms.append("root \(root)") }
        if let order, order.counts.contains(where: { $0 != 1 }) { terms.append("\(order.counts) buffers") }
        return "\(name)(\(terms.joined(separator: ", ")))"
    }
}
