"""A virtual environment outside the repository, with the packages that a check needs."""

import subprocess
import venv


def has(environment, packages):
    """Whether the environment exists and has these packages."""
    mark = environment / "complete"
    return mark.exists() and set(packages) <= set(mark.read_text().split())


def install(environment, packages, without_dependencies=()):
    """Creates the environment unless it has exactly these packages. Those in `without_dependencies` are installed without
    their dependencies."""
    mark = environment / "complete"
    everything = list(packages) + list(without_dependencies)
    if mark.exists() and mark.read_text().split() == everything:
        return
    venv.create(environment, with_pip=True, clear=True)
    pip = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(pip + list(packages), check=True)
    if without_dependencies:
        subprocess.run(pip + ["--no-deps"] + list(without_dependencies), check=True)
    mark.write_text("\n".join(everything))
