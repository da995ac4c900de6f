import UntrustedText

/// Finds what the environment sets for a command. An empty variable counts as unset, as compose files write them.
///
/// The commands of a program share an environment: in a service's container others run as well. So a variable of
/// another command is passed over in silence.
struct EnvironmentScanner {
    /// Per option name, what its variable holds.
    private(set) var options: [String: Occurrence] = [:]
    /// Variables under the prefix that mean nothing here, in order of their names.
    private(set) var warnings: [String] = []

    /// - Parameter commands: all commands of the program, `command` among them.
    init(_ environment: [String: String], prefix: String, of command: Command, among commands: [Command]) {
        let byVariable = Dictionary(
            command.options.map { ($0.variable(prefix: prefix), $0) }, uniquingKeysWith: { first, _ in first })
        let known = Set(commands.flatMap { $0.options.map { $0.variable(prefix: prefix) } + $0.variables.map(\.key) })
        let serviceLinks = Self.serviceLinks(in: environment, prefix: prefix)
        for (variable, value) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix(prefix) {
            if serviceLinks.contains(variable) { continue }
            if let option = byVariable[variable] {
                options[option.name] = value.isEmpty ? nil : Occurrence(text: value, source: .variable(variable))
            } else if !known.contains(variable) {
                // The prefix, which all have, isn't compared: with it any short name would be near any other. What this
                // command reads was more likely meant than what only others do.
                let name = String(variable.dropFirst(prefix.count))
                let own = (byVariable.keys + command.variables.map(\.key)).sorted()
                let nearest = [own, known.sorted()].lazy
                    .compactMap { Suggestion.nearest(to: name, among: $0.map { String($0.dropFirst(prefix.count)) }) }
                    .first.map { prefix + $0 }
                warnings.append(
                    "unknown variable \(UsageError.quoted(variable)) is ignored\(Suggestion.clause(nearest))")
            }
        }
        if !serviceLinks.isDisjoint(with: byVariable.keys) {
            warnings.append(
                "variables that Kubernetes sets for a Service of this name are ignored: "
                    + serviceLinks.sorted().joined(separator: ", ")
                    + "; set enableServiceLinks: false in the pod to avoid them")
        }
    }

    /// Kubernetes describes every Service of a namespace to its pods by variables named after it. For a Service that
    /// is called as this program they come under our own prefix, and `…_PORT=tcp://10.0.0.1:80` would be taken for the
    /// port to listen on. They are known by `…_SERVICE_HOST`, which always comes with them.
    private static func serviceLinks(in environment: [String: String], prefix: String) -> Set<String> {
        guard environment[prefix + "SERVICE_HOST"] != nil else { return [] }
        let port = prefix + "PORT"
        let names = environment.keys.filter { name in
            name == prefix + "SERVICE_HOST" || name.hasPrefix(prefix + "SERVICE_PORT")
                || (name.hasPrefix(port + "_") && name.dropFirst(port.count + 1).first?.isNumber == true)
        }
        let isLink = environment[port]?.contains("://") ?? false
        return Set(names + (isLink ? [port] : []))
    }
}
