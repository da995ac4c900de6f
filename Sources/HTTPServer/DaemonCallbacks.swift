import CMicroHTTPD

// Top-level functions: a closure literal may be isolated to an actor, and would trap on libmicrohttpd's threads.

extension ServerCore {
    /// Starts libmicrohttpd's daemon, whose callbacks call this core. They hold no reference to it; the monitor does until the
    /// daemon has stopped.
    ///
    /// - Parameter identity: what to speak TLS with, owned by the daemon from then on; nil for plain HTTP.
    /// - Returns: nil if the library refuses; it has then logged why.
    func startDaemon(identity: OpaquePointer?) -> OpaquePointer? {
        var options = CMHDOptions()
        options.threads = UInt32(configuration.threads)
        options.connection_memory = max(64 << 10, 4 * configuration.maximumHeaderBytes)
        var callbacks = CMHDCallbacks()
        callbacks.context = Unmanaged.passUnretained(self).toOpaque()
        callbacks.connected = connectionOpened
        callbacks.disconnected = connectionClosed
        callbacks.request_line = requestLineReceived
        callbacks.access = requestProceeds
        callbacks.completed = requestEnded
        callbacks.log = messageLogged
        options.identity = identity
        return CMHDStart(&options, &callbacks)
    }
}

private func core(_ context: UnsafeMutableRawPointer?) -> ServerCore {
    Unmanaged<ServerCore>.fromOpaque(context!).takeUnretainedValue()
}

private func connectionOpened(_ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?)
    -> UnsafeMutableRawPointer?
{
    guard let connection else { return nil }
    return Unmanaged.passRetained(core(context).connected(connection)).toOpaque()
}

private func connectionClosed(_ context: UnsafeMutableRawPointer?, _ client: UnsafeMutableRawPointer?) {
    guard let client else { return }
    core(context).disconnected(Unmanaged<ClientConnection>.fromOpaque(client).takeRetainedValue())
}

private func requestLineReceived(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ target: UnsafePointer<CChar>?
) -> UnsafeMutableRawPointer? {
    guard let connection, let target, let client = CMHDConnectionContext(connection) else { return nil }
    let exchange = core(context).requestLine(
        String(validatingCString: target), on: connection,
        connection: Unmanaged<ClientConnection>.fromOpaque(client).takeUnretainedValue())
    return Unmanaged.passRetained(exchange).toOpaque()
}

private func requestProceeds(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ request: UnsafeMutableRawPointer?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?,
    _ uploadSize: UnsafeMutablePointer<Int>?
) -> Int32 {
    guard let request, let method, let version, let uploadSize else { return 0 }
    let exchange = Unmanaged<Exchange>.fromOpaque(request).takeUnretainedValue()
    let piece = UnsafeRawBufferPointer(start: upload, count: uploadSize.pointee)
    uploadSize.pointee = 0
    let goesOn = exchange.proceed(method: String(cString: method), version: String(cString: version), piece: piece)
    return goesOn ? 1 : 0
}

private func requestEnded(
    _ context: UnsafeMutableRawPointer?, _ request: UnsafeMutableRawPointer?, _ termination: CMHDTermination,
    _ status: UInt32
) {
    guard let request else { return }
    let exchange = Unmanaged<Exchange>.fromOpaque(request).takeRetainedValue()
    core(context).ended(exchange, termination: termination, status: Int(status))
}

private func messageLogged(_ context: UnsafeMutableRawPointer?, _ message: UnsafePointer<CChar>?) {
    guard let message else { return }
    core(context).log(ServerMessage(String(cString: message)))
}
