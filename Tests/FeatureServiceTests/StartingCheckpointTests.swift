import Testing

@testable import FeatureService

@Suite("What a service starts with")
struct StartingCheckpointTests {
    struct Case: Sendable {
        var isActivated = true
        var over: String? = "a"
        var configured: String? = "a"
        var isExplicit = true
        var preference = StartingCheckpoint.Preference.latest
        let resumes: Bool
        let reason: StartingCheckpoint.Reason
    }

    @Test(
        "The later decision counts, unless the operator says which",
        arguments: [
            Case(resumes: true, reason: .unchanged),
            // Another file was configured, or the same one was replaced.
            Case(configured: "b", resumes: false, reason: .reconfigured),
            // Nothing was configured when it was activated but what the program brings along.
            Case(over: "bundled", configured: "a", resumes: false, reason: .reconfigured),
            // A new program brings another model along, which isn't the operator's decision.
            Case(over: "bundled", configured: "newer", isExplicit: false, resumes: true, reason: .nothingConfigured),
            Case(configured: nil, resumes: true, reason: .unreadable),
            // Recorded by a program that didn't note it.
            Case(over: nil, resumes: true, reason: .unchanged),
            Case(isActivated: false, over: nil, resumes: false, reason: .nothingActivated),
            Case(isActivated: false, over: nil, preference: .resume, resumes: false, reason: .nothingActivated),
            Case(configured: "b", preference: .resume, resumes: true, reason: .asked),
            Case(preference: .configured, resumes: false, reason: .asked),
            Case(isExplicit: false, preference: .configured, resumes: false, reason: .asked),
        ])
    func choice(example: Case) {
        let choice = StartingCheckpoint(
            isActivated: example.isActivated, activatedOver: example.over, configured: example.configured,
            isExplicit: example.isExplicit, preference: example.preference)
        #expect(choice.resumes == example.resumes && choice.reason == example.reason)
    }
}
