import CMicroHTTPD
import Files
import Glibc

/// The file of a listening socket of this process.
struct UnixSocketFile: Sendable {
    let path: String
    private let device: dev_t
    private let inode: ino_t

    /// Listens at the path, absolute and of at most 107 bytes. A file that a killed process left behind is replaced; one on which
    /// a process listens isn't.
    static func listen(
        at path: String, permissions: UInt32, backlog: Int32
    ) throws(ServerError) -> (descriptor: Int32, file: UnixSocketFile) {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw .cannotListen("the socket \(path) is not named by an absolute path: give unix:/PATH")
        }
        guard path.utf8.count <= SocketAddress.longestPath else {
            throw .cannotListen(
                "the socket's path has \(path.utf8.count) bytes and the system allows \(SocketAddress.longestPath): "
                    + "choose a shorter one than \(path)")
        }
        do throws(SystemError) {
            let folder = try lockFolder(of: path)
            defer { close(folder) }
            try removeStale(path)
            return try open(path, permissions: permissions, backlog: backlog)
        } catch {
            throw .cannotListen(explain(error, path))
        }
    }

    /// Removes the file, unless it is another process's by now.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }

    /// Prevents other processes of this program from listening in the same folder meanwhile: one could begin to listen at the
    /// path between the check that no process listens there and listening.
    private static func lockFolder(of path: String) throws(SystemError) -> Int32 {
        let parent = path[..<path.lastIndex(of: "/")!]
        let folder = try SystemError.check(
            "open", Glibc.open(parent.isEmpty ? "/" : String(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        guard flock(folder, LOCK_EX) == 0 else {
            defer { close(folder) }
            throw SystemError(code: errno, call: "flock")
        }
        return folder
    }

    private static func removeStale(_ path: String) throws(SystemError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw SystemError(code: EEXIST, call: "bind") }
        let probe = try SocketAddress.newSocket(AF_UNIX)
        defer { close(probe) }
        if SocketAddress(path: path).withPointer({ connect(probe, $0, $1) }) == 0 || errno == EAGAIN {
            throw SystemError(code: EADDRINUSE, call: "bind")
        }
        guard errno == ECONNREFUSED else { throw SystemError(code: errno, call: "connect") }
        try SystemError.check("unlink", unlink(path))
    }

    private static func open(
        _ path: String, permissions: UInt32, backlog: Int32
    ) throws(SystemError) -> (descriptor: Int32, file: UnixSocketFile) {
        let descriptor = try SocketAddress.newSocket(AF_UNIX)
        do throws(SystemError) {
            // The umask removes permissions as the file is made, so that it is never open to more users than it should be.
            try SystemError.check("fchmod", fchmod(descriptor, permissions))
            let address = SocketAddress(path: path)
            try SystemError.check("bind", address.withPointer { bind(descriptor, $0, $1) })
            try SystemError.check("chmod", chmod(path, permissions))
            try SystemError.check("listen", Glibc.listen(descriptor, backlog))
            var status = stat()
            try SystemError.check("stat", lstat(path, &status))
            return (descriptor, UnixSocketFile(path: path, device: status.st_dev, inode: status.st_ino))
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func explain(_ failure: SystemError, _ path: String) -> String {
        switch failure.code {
        case EADDRINUSE:
            "the socket \(path) is in use by another process: stop it (`ss -lxp` names it) or choose another path"
        case EEXIST: "\(path) exists and is not a socket: remove it or choose another path"
        case ENOENT: "the folder of the socket \(path) does not exist: create it, or choose another path"
        case EACCES, EPERM, EROFS:
            "the socket \(path) can't be created or replaced (\(failure)): choose a folder that this user may write to"
        default: "can't listen on the socket \(path): \(failure)"
        }
    }
}
