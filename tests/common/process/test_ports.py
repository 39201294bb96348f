from common.process.ports import free_port


def test_no_port_is_given_twice() -> None:
    given = [free_port() for _ in range(500)]  # the system would repeat some eighteen of so many

    assert len(given) == len(set(given))
