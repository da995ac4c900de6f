"""The model directory vanishes: the model serves on, loads and uploads are refused with the reason, the list of models has the
one that serves. When the directory is back, empty or filled, uploads and loads work without a restart. A restart without
it is refused with the reason."""

import shutil

from harness import Load, Model, ask, check, version_of

SHORT = True
SECONDS = 600


def run(bench):
    folder = bench.models("a", "b")
    configured = bench.folder / "configured.safetensors"
    Model.variant("configured", 4).write(configured)
    upload = Model.variant("uploaded", 3).encoded()
    arguments = ["--model-directory", folder, "--model", configured]
    with bench.service(*arguments) as service:
        check(service.load("a.safetensors").status == 200, "a load")
        truth = {version_of(service.embed()): service.features()}
        with Load(service.port, expected=truth) as load:
            shutil.rmtree(folder)
            refused = {"load": service.load("b.safetensors"), "upload": service.upload(upload),
                       "rollback": service.rollback()}
            check(refused["load"].status == 404, f"a load: {refused['load']}")
            for what in ("upload", "rollback"):
                check(refused[what].status == 507 and "No such file or directory" in refused[what].json["detail"],
                      f"{what}: {refused[what]}")
            index = ask(service.admin, "POST", "/v2/repository/index")
            check([entry["name"] for entry in index.json] == ["a"], f"the index: {index}")
            check(service.active() == "a", "another model serves")
        load.require_no_faults()
        restarted = bench.command("serve", "--port", 0, "--admin-port", 0, *arguments)
        check(restarted.returncode == 65 and "model directory" in restarted.stderr, f"a restart: {restarted}")
        bench.note(f"{load.answers} requests meanwhile, all answered; " + restarted.stderr.strip().splitlines()[-1].replace(
            str(bench.folder), "…"))
        folder.mkdir()
        answer = service.upload(upload)
        check(answer.status == 200 and service.active() == "uploaded", f"an upload to the new directory: {answer}")
        Model.variant("b", 1).write(folder / "b.safetensors")
        answer = service.load("b.safetensors")
        check(answer.status == 200, f"a load from the new directory: {answer}")
        shutil.rmtree(folder)
        folder.mkdir()
        check(service.rollback().status == 200 and service.active() == "uploaded", "a rollback")
    bench.note("with the directory back, an upload, a load and a rollback work")
