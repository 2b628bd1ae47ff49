@testable import DataPipeline

/// A prepared corpus that suites share: 400 training pairs eng-cat and 100 eng-isl, 20 numbers in valid, 30 in test.
///
/// Its folder is gone once it is open: mapped files outlive their names, and no test would remove it later.
enum PreparedNumerals {
    static let corpus: PreparedCorpus = {
        let folder = ScratchFolder()
        return withExtendedLifetime(folder) {
            let report = try! PreparedCorpus.prepare(configuration: folder.configuration(.numerals, vocabulary: 300))
            return try! PreparedCorpus(path: report.path)
        }
    }()
}
