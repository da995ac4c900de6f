"""The disk fills up while a checkpoint is uploaded, or while it is recorded: the upload is refused with 507 and the reason,
nothing of it is left, the model before serves on, requests notice nothing, and once there is room the same upload works. A
log on the full disk loses lines, not requests."""

from harness import Load, Model, check, fill, version_of

SHORT = True
SECONDS = 600


def run(bench):
    disk = bench.small_disk(24)
    upload = Model.variant("uploaded", 3).encoded()
    with bench.service("--model-directory", disk, log=disk / "log") as service:
        truth = {version_of(service.embed()): service.features()}

        def refused(what):
            answer = service.upload(upload)
            check(answer.status == 507 and answer.code == "insufficient_storage", f"{what}: {answer}")
            check("No space left on device" in answer.json["detail"], f"{what}: {answer}")
            check(service.active() == "headwater-cifar10", f"{what}: another model serves")
            left = sorted(path.name for path in (disk / ".headwater").iterdir())
            check(not left, f"{what}: {left} was left")

        with Load(service.port, expected=truth) as load:
            ballast = fill(disk, leaving=len(upload) // 2)
            refused("no room for the body")
            ballast.unlink()
            # Room for the body to its last page, none for the record of it; the log takes what remains of a page.
            ballast = fill(disk, leaving=(len(upload) + 4095) // 4096 * 4096)
            refused("no room for the record")
        load.require_no_faults()
        bench.note(f"two uploads refused; {load.answers} requests meanwhile, all answered, the log's disk being full")
        ballast.unlink()
        answer = service.upload(upload)
        check(answer.status == 200 and service.active() == "uploaded", f"with room again: {answer}")
        truth = service.features()
    # What was recorded is what the next start serves.
    with bench.service("--model-directory", disk) as service:
        check(service.active() == "uploaded" and service.features() == truth, "the upload isn't served after a restart")
        bench.note("with room again the upload serves, after a restart too")
