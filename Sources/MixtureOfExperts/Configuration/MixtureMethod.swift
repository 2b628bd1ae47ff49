import Autograd
import ConfigurationForms
import NeuralLayers
import TensorCore

/// A method: what one file of MixtureMethods adds to the frame. A value of it is its part of a configuration.
///
/// A method answers the questions whose protocols it conforms to: `RoutingRule`, `ScoringMethod`, `SelectionMethod`,
/// `RoutingLoss`, `OutputMasking`, `ExpertMethod`, `WrappingMethod`, `OrderingMethod`. The frame asks them all, in the order of the
/// configuration's list, and knows none by name.
public protocol MixtureMethod: Equatable, Sendable {
    /// What a configuration has that does not mention the method.
    init()
    /// The method's keys below `model.moe`.
    static var fields: [ConfigurationField<Self>] { get }
    /// Reports values that do not go together; `path` is that of the mixture's section.
    func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems)
    /// What reports add to a model's name, such as "EOM"; nil where the configuration makes no use of the method.
    func addition(to configuration: MixtureConfiguration) -> String?
    /// Names below a block that begin the method's parameters, where the configuration makes use of it and another method could
    /// have the same: only one of them may be in use.
    var blockNames: [String] { get }
    /// What metrics have of a gate's decision besides losses, always the same names: means over gates and blocks by their
    /// weights, or sums.
    func figures(_ decision: RoutingDecision) -> [BlockFigure]
}

extension MixtureMethod {
    public static var fields: [ConfigurationField<Self>] { [] }
    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {}
    public func addition(to configuration: MixtureConfiguration) -> String? { nil }
    public var blockNames: [String] { [] }
    public func figures(_ decision: RoutingDecision) -> [BlockFigure] { [] }
}

/// A gate of a block, as methods that add parameters to it see it.
public struct GateSite: Sendable {
    /// What the names of its parameters begin with: `<block>.gates.<stratum>`.
    public let name: String
    public let configuration: MixtureConfiguration
    public let stratum: Int
    /// Width of the rows that it scores.
    public let dim: Int

    public init(name: String, configuration: MixtureConfiguration, stratum: Int, dim: Int) {
        self.name = name
        self.configuration = configuration
        self.stratum = stratum
        self.dim = dim
    }

    /// The global ids of the experts that the gate sees.
    public var visible: Range<Int> { configuration.visibleExperts(atStratum: stratum) }
}

/// A block, as methods that put something around its experts see it.
public struct BlockSite: Sendable {
    /// What the names of its parameters begin with.
    public let name: String
    public let configuration: MixtureConfiguration
    /// Width of its rows, and of a feed-forward network's hidden layer.
    public let dim: Int
    public let ffnDim: Int
    /// The probability of dropout on what networks add to the rows.
    public let dropout: Float

    public init(name: String, configuration: MixtureConfiguration, dim: Int, ffnDim: Int, dropout: Float) {
        self.name = name
        self.configuration = configuration
        self.dim = dim
        self.ffnDim = ffnDim
        self.dropout = dropout
    }
}
