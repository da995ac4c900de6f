import BuildCommit
import CommandLineInterface

#if canImport(Glibc)
    import Glibc
#endif

@main
struct Headwater {
    static func main() async { exit(await HeadwaterProgram.main(commit: buildCommit)) }
}
