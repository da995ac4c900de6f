import Foundation
import PackagePlugin

/// Writes `let recordedCommit = "…"` into the target that uses it: HEADWATER_COMMIT if it is set, what git says in a checkout,
/// with `-modified` appended if files differ from the commit, or `unknown`.
///
/// The command runs in every build, since it changes its own input, and writes only what is new. So a commit compiles again
/// what imports it and nothing else. Rejected were `Context.gitInformation` in Package.swift and a prebuild command: SwiftPM
/// keeps evaluated manifests and build plans, and either gives the commit of an earlier build.
@main
struct RecordCommit: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        // Git answers for a repository around an unpacked archive too, hence the look at .git.
        let script = """
            cd "$1" && echo $$ >"$2" || exit
            commit=$HEADWATER_COMMIT
            if [ -z "$commit" ] && [ -e .git ]; then
                commit=$(git describe --always --abbrev=40 --exclude='*' --dirty=-modified 2>/dev/null)
            fi
            case $commit in
                *[!0-9A-Za-z-]*) echo "HEADWATER_COMMIT is '$commit': give the hexadecimal digits of a commit" >&2; exit 1 ;;
            esac
            line="let recordedCommit = \\"${commit:-unknown}\\""
            [ "$(cat "$3" 2>/dev/null)" = "$line" ] || echo "$line" >"$3"
            """
        let stamp = context.pluginWorkDirectoryURL.appending(path: "stamp")
        let source = context.pluginWorkDirectoryURL.appending(path: "RecordedCommit.swift")
        try Data().write(to: stamp)
        return [
            .buildCommand(
                displayName: "Recording the commit", executable: URL(filePath: "/bin/sh"),
                arguments: ["-c", script, "sh", context.package.directoryURL.path, stamp.path, source.path],
                inputFiles: [stamp], outputFiles: [source])
        ]
    }
}
