import Autograd
import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Experts with a gated hidden layer ("GLU Variants Improve Transformer", arXiv 2002.05202), switched on by `gated_experts`.
struct GatedExperts: ExpertMethod {
    var isOn = false

    static var fields: [ConfigurationField<Self>] { [.init("gated_experts", \.isOn, .boolean)] }

    func addition(to configuration: MixtureConfiguration) -> String? { isOn ? "gated experts" : nil }

    func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? {
        isOn ? GatedExpert(name: name, dim: block.dim, ffnDim: block.ffnDim, store: store) : nil
    }
}

/// out (relu(gate x) · (value x)), without biases. Parameters `<name>.gate.weight` and `<name>.value.weight` [f, d], one parameter
/// of two slices, and `<name>.out.weight` [d, f].
struct GatedExpert: ExpertNetwork {
    /// gate and value, [2f, d].
    let inner: Parameter
    /// [d, f].
    let outer: Parameter

    init(name: String, dim: Int, ffnDim: Int, store: ParameterStore) {
        inner = store.add(
            Parameter(
                weights: ["\(name).gate.weight", "\(name).value.weight"], outputsEach: ffnDim, inputs: dim, placement: .expert,
                initializer: .xavier(inputs: dim, outputs: ffnDim)))
        outer = store.add(
            Parameter(
                weights: ["\(name).out.weight"], outputsEach: dim, inputs: ffnDim, placement: .expert,
                initializer: .xavier(inputs: ffnDim, outputs: dim)))
    }

    private var dim: Int { outer.rows }
    private var width: Int { outer.columns }
    /// A row of what forward leaves: gate x [f] before the rectifier, value x [f], and their product [f].
    var hiddenWidth: Int { 3 * width }
    var work: Int { 3 * dim * width }
    var outputParameters: [Parameter] { [outer] }

    func hidden(_ rows: UnsafePointer<Float>, count: Int, into hidden: UnsafeMutablePointer<Float>) {
        GEMM.multiply(
            m: count, n: 2 * width, k: dim, GEMM.Factor(rows, stride: dim),
            GEMM.Factor(inner.value.pointer, stride: dim, transposed: true), into: hidden, stride: hiddenWidth)
        for row in 0..<count {
            let gate = hidden + row * hiddenWidth, value = gate + width, product = value + width
            for unit in 0..<width { product[unit] = max(0, gate[unit]) * value[unit] }
        }
    }

    func outputs(_ hidden: UnsafePointer<Float>, count: Int, into outputs: UnsafeMutablePointer<Float>) {
        GEMM.multiply(
            m: count, n: dim, k: width, GEMM.Factor(hidden + 2 * width, stride: hiddenWidth),
            GEMM.Factor(outer.value.pointer, stride: width, transposed: true), into: outputs, stride: dim)
    }

    func backward(
        _ doutputs: UnsafePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
        intoHidden dhidden: UnsafeMutablePointer<Float>, intoRows drows: UnsafeMutablePointer<Float>
    ) {
        GEMM.multiply(
            m: count, n: width, k: dim, GEMM.Factor(doutputs, stride: dim), GEMM.Factor(outer.value.pointer, stride: width),
            into: dhidden + 2 * width, stride: hiddenWidth)
        for row in 0..<count {
            let gate = hidden + row * hiddenWidth, value = gate + width
            let dgate = dhidden + row * hiddenWidth, dvalue = dgate + width, dproduct = dvalue + width
            for unit in 0..<width {
                dgate[unit] = gate[unit] > 0 ? dproduct[unit] * value[unit] : 0
                dvalue[unit] = dproduct[unit] * max(0, gate[unit])
            }
        }
        GEMM.multiply(
            m: count, n: dim, k: 2 * width, GEMM.Factor(dhidden, stride: hiddenWidth),
            GEMM.Factor(inner.value.pointer, stride: dim), into: drows, stride: dim)
    }

    /// The rows of the parameters' gradients, which may be computed in bands, by different threads.
    var gradientRows: [Int] { [2 * width, dim] }

    func addGradient(_ index: Int, band: Range<Int>, _ pass: ExpertBackward) {
        let (dy, stride, x, xStride, weight) =
            index == 0
            ? (pass.dhidden, hiddenWidth, pass.rows, dim, inner)
            : (pass.doutputs, dim, pass.hidden + 2 * width, hiddenWidth, outer)
        GEMM.multiply(
            m: band.count, n: weight.columns, k: pass.count,
            GEMM.Factor(dy + band.lowerBound, stride: stride, transposed: true), GEMM.Factor(x, stride: xStride),
            accumulate: true, into: pass.gradient(of: weight).row(band.lowerBound), stride: weight.columns)
    }
}
