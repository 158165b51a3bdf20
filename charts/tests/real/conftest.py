"""One release for the tests of a module: installing takes a while, and node ports serve one release at a time."""

from collections.abc import Iterator

import pytest

from real.release import Release, installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need a cluster, and change it."""
    for item in items:
        if "/real/" in str(item.path):
            item.add_marker(pytest.mark.kubernetes)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with installed("outcry-test") as running:
        yield running
