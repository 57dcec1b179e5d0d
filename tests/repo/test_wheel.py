"""The wheel: works outside the checkout, with presets and themes inside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*argv: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.slow
def test_a_wheel_runs_outside_the_checkout_with_presets_and_themes_inside(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("seatrial-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "seatrial/_data/config.toml" in names
    assert {name for name in names if name.startswith("seatrial/_data/themes/")} >= {
        f"seatrial/_data/themes/{theme.name}" for theme in (ROOT / "themes").glob("*.toml")
    }
    site = tmp_path / "site"
    call(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # -P keeps the working directory off the path; the editable install of the checkout comes after PYTHONPATH.
    home = call(sys.executable, "-P", "-c", "import seatrial; print(seatrial.__file__)", cwd=elsewhere, PYTHONPATH=str(site))
    assert home.startswith(str(site)), "otherwise the checkout is tested, not the wheel"
    seatrial = (sys.executable, "-P", "-m", "seatrial.cli.main")
    assert "smoke" in call(*seatrial, "presets", cwd=elsewhere, PYTHONPATH=str(site))
    origin = call(*seatrial, "config", "show", cwd=elsewhere, PYTHONPATH=str(site))
    assert "built in" in origin
    out = call(*seatrial, "run", "smoke", "--clients", "2", "--duration", "2s", "--runs-dir", "runs", cwd=elsewhere, PYTHONPATH=str(site))
    assert "PASS" in out
