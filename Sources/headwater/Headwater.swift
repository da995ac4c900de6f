import BuildCommit
import CommandLineInterface

@main
struct Headwater {
    static func main() { HeadwaterProgram.main(commit: buildCommit) }
}
