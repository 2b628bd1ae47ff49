/// The source of training's token groups: a function of (update, index) alone.
public protocol TokenGroupSource {
    /// Token groups of an update.
    var groups: Int { get }
    func group(update: Int, index: Int) -> TokenGroup
    /// The target tokens of each of an update's groups, without building them.
    func targetTokens(update: Int) -> [Int]
}

extension TokenGroupSampler: TokenGroupSource {}
