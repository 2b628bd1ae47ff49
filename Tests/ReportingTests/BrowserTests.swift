import Foundation
import Testing
import _TestSupport

@testable import Reporting

/// The page in a real browser, where there is one.
@Suite(.hangLimit) struct BrowserTests {
    static let chromium = ["chromium", "chromium-browser", "google-chrome"].first { name in
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
        }
    }

    @Test(.enabled(if: chromium != nil, "needs Chromium")) func itShowsThePageWithoutAWordOfComplaint() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("strata-browser-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let report = try ReportedRuns.report(
            ReportedRuns.dense(),
            ReportedRuns.mixture(name: "<script>document.title = 'taken over'; console.log('ran')</script>"))
        let file = folder.appendingPathComponent("report.html")
        try Data(report.html.utf8).write(to: file)
        let outcome = try Subprocess.run(
            try #require(Self.chromium),
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
                "--user-data-dir=\(folder.path)/profile", "--dump-dom", "file://\(file.path)",
            ], timeout: 60)
        #expect(outcome.status == 0 && !outcome.timedOut, "\(outcome)")
        #expect(!outcome.stderr.contains("CONSOLE"), "\(outcome.stderr)")
        let found = outcome.stdout
        #expect(found.components(separatedBy: "<figure").count - 1 == (try PageNode(report.html)).all("figure").count)
        #expect(found.components(separatedBy: "<script").count == 2, "the page's own script is the only one")
        #expect(!found.contains("<title>taken over"))
    }
}
