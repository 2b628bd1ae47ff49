/// A matrix that is computed of parameters, some of which it may have in common with others: it is neither trained nor saved itself.
/// It is computed once when parameters have changed; its gradient, summed as those of parameters are, is handed on to them once an
/// update. Called on any thread, those of different matrices several at a time.
public protocol DerivedWeight: AnyObject {
    /// The matrix.
    var matrix: Parameter { get }
    /// What it is computed of, which it has for itself.
    var own: [Parameter] { get }
    /// What it is computed of in common with others; its gradient is theirs together.
    var shared: Parameter { get }
    /// The global id of the expert whose matrix it is: contributions to the shared parameter's gradient are added up in this order.
    var expert: Int { get }
    /// The probability that an update leaves the shared parameter as it is.
    var mask: Float { get }
    /// Computes the matrix.
    func compute()
    /// Adds to the gradients of the parameters that are its own, from that of the matrix, and returns its contribution to that of the
    /// shared one.
    func handOn() -> [Float]
}
