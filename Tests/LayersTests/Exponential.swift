#if canImport(Glibc)
    import Glibc
#endif

/// e^x in double.
func exponential(_ x: Double) -> Double { exp(x) }
