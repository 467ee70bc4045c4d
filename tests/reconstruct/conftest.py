import pytest
import shapes_to_learn
import torch


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """Four boxes and four balls to learn from, and two of each to validate on; nobody writes into it."""
    return shapes_to_learn.write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
