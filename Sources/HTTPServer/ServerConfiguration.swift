/// Where a server listens and what it grants its clients.
package struct ServerConfiguration: Sendable {
    /// A certificate chain and its private key.
    package struct TLSIdentity: Sendable, Equatable {
        /// The PEM certificate, its intermediates after it.
        package var certificatePEM: String
        /// The PEM private key, unencrypted.
        package var privateKeyPEM: String

        package init(certificatePEM: String, privateKeyPEM: String) {
            self.certificatePEM = certificatePEM
            self.privateKeyPEM = privateKeyPEM
        }
    }

    /// How to treat a client that has closed its sending side while its request is being processed.
    ///
    /// A FIN looks the same from a client that only half-closed (`nc -N`) and from one whose process has ended.
    package enum HalfClosePolicy: Sendable {
        /// Send an interim `100 Continue`, which every HTTP/1.1 client ignores (RFC 9110, 15.2). A closed socket answers it
        /// with RST, and its client counts as gone. A half-closed one doesn't, and its client gets the response. Clients
        /// that can't be asked (TLS, HTTP/1.0) count as gone.
        case answer
        /// A FIN counts as gone.
        case cancel
    }

    /// `all` is IPv6 and IPv4 on one socket.
    package var address = ListenAddress.host("127.0.0.1")
    /// The TCP port; 0 takes any free one, which ``Server/port`` then has.
    package var port: UInt16 = 0
    /// The permissions of a socket in the file system. Users who may write to its file may connect.
    package var socketPermissions: UInt32 = 0o660
    /// The descriptor of a stream socket that already listens, used instead of opening one. The server owns it from its start
    /// on. Another process, such as systemd, may hold the same socket: connections that arrive after this server has
    /// stopped listening wait for the next server.
    package var inheritedSocket: Int32?
    /// Several processes may listen on the same port, the kernel sharing connections among them (SO_REUSEPORT).
    package var reusePort = false
    /// The length of the kernel's queue of connections not yet accepted.
    package var backlog: Int32 = 1024
    /// libmicrohttpd's event threads, which only move bytes.
    package var threads = 2
    /// Connections served at a time. A connection above this number gets 503 and is closed. If the number is exceeded by more
    /// than a quarter (and at least 64), connections are closed at once. As many sockets may stay open for a while after
    /// their connection, so that an early answer can be read.
    package var maximumConnections = 1024
    /// The largest request head: request line and headers. Larger ones are answered 431 (or, if the head doesn't fit
    /// libmicrohttpd's buffer of four times this size, by the library's own 431 or 414).
    package var maximumHeaderBytes = 16 << 10
    /// The memory of bodies, and of answers that take memory (``Request/takeMemory``), all requests together; a request that would
    /// exceed it is answered 503.
    package var maximumHeldBodyBytes = 1 << 30
    /// The time a client has for its request line, from connecting, and again for the rest of its request. A client
    /// that takes longer is closed without an answer: libmicrohttpd cannot answer a request that is not complete.
    package var requestTimeout: Duration = .seconds(30)
    /// The time a connection may wait for its next request's line.
    package var idleTimeout: Duration = .seconds(75)
    /// The time a client has to read its response.
    package var responseTimeout: Duration = .seconds(60)
    /// Whether clients that have closed their sending side still get their answer.
    package var halfClosedClients = HalfClosePolicy.answer
    /// The certificate and key for HTTPS; nil for plain HTTP.
    package var tls: TLSIdentity?

    package init() {}

    func validate() throws(ServerError) {
        func require(_ condition: Bool, _ message: String) throws(ServerError) {
            guard condition else { throw .invalidConfiguration(message) }
        }
        try require((1...256).contains(threads), "threads is \(threads), not 1 to 256")
        try require((1...1_000_000).contains(maximumConnections), "maximumConnections is not 1 to 1000000")
        try require((1024...(1 << 20)).contains(maximumHeaderBytes), "maximumHeaderBytes is not 1 KiB to 1 MiB")
        try require(maximumHeldBodyBytes >= 0, "maximumHeldBodyBytes is negative")
        try require(backlog > 0, "backlog is not positive")
        for (name, timeout) in [
            ("requestTimeout", requestTimeout), ("idleTimeout", idleTimeout), ("responseTimeout", responseTimeout),
        ] {
            try require(timeout > .zero && timeout <= .seconds(1 << 30), "\(name) is not positive")
        }
    }
}

/// A server that could not start.
package enum ServerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A value of the configuration makes no sense.
    case invalidConfiguration(String)
    /// The address is taken or not ours; the text says which, why, and what to do.
    case cannotListen(String)
    /// The certificate or the key is unusable, or libmicrohttpd was built without TLS.
    case tls(String)
    /// The system refuses threads, memory or descriptors.
    case system(String)

    package var description: String {
        switch self {
        case .invalidConfiguration(let text): "invalid server configuration: \(text)"
        case .cannotListen(let text): text
        case .tls(let text): "TLS cannot be used: \(text)"
        case .system(let text): text
        }
    }
}
