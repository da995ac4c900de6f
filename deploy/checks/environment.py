"""A virtual environment outside the repository, with the packages that a check needs."""

import subprocess
import venv


def has(environment, packages):
    """Whether it is there with these packages."""
    mark = environment / "complete"
    return mark.exists() and set(packages) <= set(mark.read_text().split())


def install(environment, packages):
    """Makes it, if it isn't there with just these packages."""
    mark = environment / "complete"
    if mark.exists() and mark.read_text().split() == list(packages):
        return
    venv.create(environment, with_pip=True, clear=True)
    pip = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(pip + list(packages), check=True)
    mark.write_text("\n".join(packages))
