/// Which of the token groups that take turns on a rank is at work: each adds to gradients of its own. A store and its parameters share
/// one.
final class GradientLanes {
    let count: Int
    var current = 0 {
        didSet { precondition((0..<count).contains(current), "a store has gradients of \(count) lanes") }
    }

    init(_ count: Int) {
        precondition(count >= 1, "a token group has gradients")
        self.count = count
    }
}
