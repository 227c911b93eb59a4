"""What a connection to Ray that failed tells the user to do."""

import pytest

from tuneworthy.measure.executors._cluster import address_of
from tuneworthy.measure.executors.ray import _connection_error


@pytest.mark.parametrize(
    ("address", "said", "advice"),
    [
        ("ray", "The current node timed out during startup.", "when this machine is less busy"),
        ("ray", "no space left", "look at Ray's logs"),
        ("auto", "no Ray here", "ray start --head"),
        ("10.0.0.1:6379", "not one of its nodes", "connect by ray://HOST:10001"),
        ("ray://10.0.0.1:10001", "Version mismatch: 2.59 and 2.60", "same versions of Python"),
    ],
)
def test_a_refused_connection_says_what_to_do(address, said, advice):
    error = _connection_error(address_of(address), ConnectionError(said))
    assert advice in error.fix
    assert said in str(error)
