/// An event as TensorBoard reads it: the message `tensorboard.Event` of its event.proto and summary.proto, as far as it is used
/// here, in the encoding of protocol buffers.
struct TensorBoardEvent: Equatable {
    /// Amounts by whole number: one bucket of width 1 around each.
    struct Histogram: Equatable {
        let first: Int
        let amounts: [Double]
    }

    enum Value: Equatable {
        case scalar(Float)
        case histogram(Histogram)
    }

    enum Content: Equatable {
        /// The first of a file: `brain.Event:2`.
        case fileVersion
        /// Training begins, or goes on, with the event's step: what a reader has of this step and later ones is void.
        case sessionStart
        case summary([Figure])
    }

    struct Figure: Equatable {
        let tag: String
        let value: Value

        init(_ tag: String, _ scalar: Double) { (self.tag, value) = (tag, .scalar(Float(scalar))) }
        init(_ tag: String, _ histogram: Histogram) { (self.tag, value) = (tag, .histogram(histogram)) }
    }

    /// Seconds since 1970.
    let wallTime: Double
    let step: Int
    let content: Content

    var encoded: [UInt8] {
        var message = ProtocolBuffer()
        message.double(1, wallTime)
        message.integer(2, step)
        switch content {
        case .fileVersion: message.text(3, "brain.Event:2")
        case let .summary(values):
            message.message(5) { summary in
                for figure in values { summary.message(1) { Self.encode(figure, into: &$0) } }
            }
        case .sessionStart: message.message(7) { $0.integer(1, 1) }
        }
        return message.bytes
    }

    private static func encode(_ figure: Figure, into message: inout ProtocolBuffer) {
        message.text(1, figure.tag)
        switch figure.value {
        case let .scalar(number): message.float(2, number)
        case let .histogram(histogram):
            let numbers = histogram.amounts.indices.map { Double(histogram.first + $0) }
            let weighted = zip(numbers, histogram.amounts)
            message.message(5) {
                $0.double(1, numbers.first ?? 0)
                $0.double(2, numbers.last ?? 0)
                $0.double(3, histogram.amounts.reduce(0, +))
                $0.double(4, weighted.reduce(0) { $0 + $1.0 * $1.1 })
                $0.double(5, weighted.reduce(0) { $0 + $1.0 * $1.0 * $1.1 })
                $0.doubles(6, numbers.map { $0 + 0.5 })
                $0.doubles(7, histogram.amounts)
            }
        }
    }
}
