"""What the tests of the restic target share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.restic import Bench, open_stage


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    stage = open_stage(tmp_path_factory.mktemp("restic") / "stage")
    try:
        yield Bench(stage)
    finally:
        stage.close()
