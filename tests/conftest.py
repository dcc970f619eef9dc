"""What all tests share: nothing of the machine's own settings reaches them."""

from __future__ import annotations

import os

import pytest

_OURS = ("ARTIFACT_SYNC_", "SOURCECRAFT_", "CREDENTIALS_DIRECTORY")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
