import CMicroHTTPD

extension ServerConfiguration.TLSIdentity {
    /// Reads both texts and checks that they belong together.
    ///
    /// - Returns: when the certificate expires, or one of its chain if that is earlier, in seconds since 1970.
    /// - Throws: `ServerError.tls` naming which of the two is wrong, and how.
    package func expiry() throws(ServerError) -> Int64 {
        let identity = try read()
        defer { CTLSIdentityDestroy(identity) }
        return CTLSIdentityExpiry(identity)
    }

    /// The identity for libmicrohttpd, the caller's to hand over or destroy.
    func read() throws(ServerError) -> OpaquePointer {
        var fault = CTLSSound
        var reason: UnsafePointer<CChar>?
        let identity = CTLSIdentityCreate(
            certificatePEM, certificatePEM.utf8.count, privateKeyPEM, privateKeyPEM.utf8.count, &fault, &reason)
        if let identity { return identity }
        throw .tls(Self.explain(fault, reason.map { String(cString: $0) } ?? "unknown reason"))
    }

    private static func explain(_ fault: CTLSFault, _ reason: String) -> String {
        switch fault {
        case CTLSCertificateUnreadable:
            "the certificate can't be read: \(reason) Give a PEM file that begins with the certificate and has its "
                + "intermediates after it"
        case CTLSKeyEncrypted:
            "the private key is encrypted: give it without a passphrase, as `openssl pkey -in KEY -out PLAIN` writes it"
        case CTLSKeyOfAnother: "the private key does not belong to the certificate: give the key that it was issued for"
        default: "the private key can't be read: \(reason) Give a PEM file of an unencrypted key"
        }
    }
}
