import ModelSurgery
import Reporting

/// A conversion's sentence: what was written, and where; `remark` says what more there is to the model.
func writtenText(_ model: StoredModel, _ remark: String? = nil, bytes: Int, _ out: String) -> String {
    let strata = model.configuration.model.mixture?.strataText ?? ""
    return "strata \(strata) of update \(model.step)" + (remark.map { ", \($0)" } ?? "")
        + (model.moments.map { ", with moments of \($0.coverage(of: model.parameters))" } ?? "")
        + ", \(NumberText.mebibytes(bytes)) MiB, in \(out)"
}
