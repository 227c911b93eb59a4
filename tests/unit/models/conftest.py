"""Fixtures: tiny engines of several families, and a server with scripted faults."""

import pytest
from models_kit import FAMILIES, Server, build


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tiny")
    return {family: build(family, root / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def engines(folders):
    from tuneworthy.models.hf import load

    return {name: load(path, f"hf:{name}", "float32") for name, path in folders.items()}


@pytest.fixture(params=FAMILIES)
def engine(request, engines):
    return engines[request.param]


@pytest.fixture
def serve():
    opened = []

    def start(*turns):
        opened.append(Server(turns))
        return opened[-1]

    yield start
    for server in opened:
        server.close()
