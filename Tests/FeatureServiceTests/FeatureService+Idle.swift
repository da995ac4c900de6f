import FeatureService

extension FeatureService {
    /// Returns when there is nothing to do.
    func waitUntilIdle() async {
        while !isIdle { await Task.yield() }
    }
}
