"""The virtual environment with the packages that define the published networks.

It is outside the repository, in $HEADWATER_FAMILIES or ~/.cache/headwater-families.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy/checks"))
import environment  # noqa: E402

ENVIRONMENT = Path(os.environ.get("HEADWATER_FAMILIES", Path.home() / ".cache" / "headwater-families"))
PACKAGES = ["torch==2.15.0", "numpy==2.4.6", "safetensors==0.8.0", "diffusers==0.42.1"]
# Only their networks and samplers are used, which need nothing that these packages would install.
WITHOUT_DEPENDENCIES = ["torchcfm==1.0.7", "guided-diffusion-sdk==1.0.0", "rectified-flow==1.0.1"]
UNAVAILABLE = 69


def run(script, *arguments):
    """Installs the packages, runs a script of deploy/families with them, and gives its exit status.

    Exits with 69 if the packages can't be installed.
    """
    try:
        environment.install(ENVIRONMENT, PACKAGES, WITHOUT_DEPENDENCIES)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"the packages can't be installed into {ENVIRONMENT}: {error}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    python = [ENVIRONMENT / "bin/python", "-W", "ignore"]
    return subprocess.run([*python, ROOT / "deploy/families" / script, *arguments]).returncode
