import Foundation

/// Says on standard error what is not as it might be, where the command goes on nevertheless.
func warn(_ text: String) { FileHandle.standardError.write(Data("strata: warning: \(text)\n".utf8)) }
