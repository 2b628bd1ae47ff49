import ModelSurgery
import Reporting

/// The end of a conversion's sentence: what was written, and where.
func writtenText(_ model: StoredModel, bytes: Int, _ out: String) -> String {
    let moments = model.moments.map { ", with moments of \($0.coverage(of: model.parameters))" } ?? ""
    return "\(moments), \(NumberText.mebibytes(bytes)) MiB, in \(out)"
}
