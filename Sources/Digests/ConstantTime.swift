import CNettle

/// Whether two secrets are equal, in a time that depends on their lengths only, so that an attacker who measures it can't
/// guess one byte after another. That the lengths differ is not hidden.
public func constantTimeEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && constant_time_equal(a, b, a.count)
}
