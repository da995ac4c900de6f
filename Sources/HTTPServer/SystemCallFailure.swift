import Glibc

/// A system call that failed, and how.
struct SystemCallFailure: Error, CustomStringConvertible {
    var call: String
    var number: Int32

    var description: String {
        let reason = "\(call): \(String(cString: strerror(number)))"
        guard call == "pthread_create" else { return reason }
        return
            "the system refuses a thread (\(reason)): raise the limit of the address space (ulimit -v), of the user's "
            + "processes (ulimit -u) or of the cgroup's (pids.max)"
    }

    @discardableResult
    static func check(_ call: String, _ result: Int32) throws(SystemCallFailure) -> Int32 {
        guard result >= 0 else { throw SystemCallFailure(call: call, number: errno) }
        return result
    }
}
