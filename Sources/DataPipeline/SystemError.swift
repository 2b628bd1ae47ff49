import Foundation

/// The text of the C library's last error. To be read at once: any later call may change it.
func lastSystemError() -> String { String(cString: strerror(errno)) }
