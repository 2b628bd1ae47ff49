/// How a run is told from others, the same in every chart: one of eight colours; beyond eight runs they come again, lines then
/// dashed and areas hatched by a lighter fill.
struct RunMark: Equatable {
    static let colours = 8

    /// The run's place among those reported.
    let index: Int

    /// Classes of what is drawn in its colour.
    var colour: String { "c\(index % Self.colours)" + (index >= Self.colours ? " again" : "") }

    /// Classes of its marks in charts: the colour, and what the page's switch of runs hides.
    var classes: String { "run-\(index) \(colour)" }
}
