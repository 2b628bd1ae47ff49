import Autograd
import Collectives
import TensorCore

/// The gradients of one placement in buckets that are summed one after another over the ranks that hold these parameters.
///
/// Buckets are equal runs of the section from its end to its beginning: about the order in which backward finishes gradients,
/// since parameters are added in forward's. They are the same on all holders and go out in this order, each as soon as it is
/// final, on a communicator of their own.
final class GradientBuckets {
    private struct Bucket {
        let range: Range<Int>
        /// Parameters in it, and those whose gradients are not final yet.
        let parameters: Int
        var unfinished: Int
    }

    private let communicator: any Communicator
    private let gradients: UnsafeMutableBufferPointer<Float>
    private let shares: ParameterShares
    /// Whether a rank gets the sums of its share alone.
    private let isSharded: Bool
    private let elements: Int
    private var buckets: [Bucket] = []
    /// Buckets started; those before are on their way or summed.
    private var started = 0
    private var underWay: [any PendingCollective] = []

    /// Buckets on their way at a time: the ranks keep copies of their peers' gradients for these.
    private static let mostUnderWay = 8

    /// `elements` is the length of a bucket; the last may be shorter. Of an all-reduced bucket a rank adds up a part, but most
    /// that are reduce-scattered lie in one rank's share: they are shorter, so that it gets no more from its peers at a time.
    init(
        _ placement: ParameterPlacement, of store: ParameterStore, over communicator: any Communicator, shares: ParameterShares,
        isSharded: Bool, elements: Int
    ) {
        self.communicator = communicator
        self.shares = shares
        self.isSharded = isSharded
        let elements = isSharded ? max(16, elements / communicator.size / 16 * 16) : elements
        self.elements = elements
        gradients = store.section(placement).gradients.buffer
        let parameters = store.parameters.filter { $0.placement == placement }
        for end in stride(from: gradients.count, to: 0, by: -elements) {
            let range = max(0, end - elements)..<end
            let count = parameters.count { $0.elements.overlaps(range) }
            buckets.append(Bucket(range: range, parameters: count, unfinished: count))
        }
    }

    /// The parameter's gradient is final.
    func finish(_ parameter: Parameter) {
        let range = parameter.elements
        guard !range.isEmpty else { return }
        for index in index(of: range.upperBound - 1)...index(of: range.lowerBound) {
            precondition(buckets[index].unfinished > 0, "\(parameter.slices[0].name): a gradient is final once")
            buckets[index].unfinished -= 1
        }
    }

    private func index(of element: Int) -> Int { (gradients.count - 1 - element) / elements }

    /// Whether `advance` has something to do.
    var isBusy: Bool { !underWay.isEmpty || isNextFinal }

    private var isNextFinal: Bool { started < buckets.count && buckets[started].unfinished == 0 }

    /// Starts the buckets that are final, in order, and moves those that are on their way.
    func advance() throws {
        underWay = try underWay.filter { try !$0.poll() }
        while isNextFinal, underWay.count < Self.mostUnderWay { try start() }
    }

    /// Sums what is left, final or not, and returns when all is summed.
    func complete() throws {
        while started < buckets.count || !underWay.isEmpty {
            while started < buckets.count, underWay.count < Self.mostUnderWay { try start() }
            // In order: a peer may not have begun with the later ones.
            try underWay.removeFirst().wait()
        }
        started = 0
        for index in buckets.indices { buckets[index].unfinished = buckets[index].parameters }
    }

    private func start() throws {
        let range = buckets[started].range, bucket = UnsafeMutableBufferPointer(rebasing: gradients[range])
        underWay.append(
            isSharded
                ? try communicator.startReduceScatter(bucket, counts: shares.counts(within: range), .sum)
                : try communicator.startAllReduce(bucket, .sum))
        started += 1
    }
}
