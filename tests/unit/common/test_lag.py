"""What is left of a lag that nobody can look at."""

from __future__ import annotations

from hedgerow.common.lag import Held, Lag, worst


def test_it_grows_from_when_it_was_last_known() -> None:
    held = Held()
    assert held.at(50.0) is None
    held.take(Lag(10.0, is_known=False), 60.0)
    assert held.at(70.0) == Lag(20.0, is_known=False)
    held.take(Lag(0.0), 100.0)
    held.take(Lag(10.2, is_known=False), 110.0)  # says no more than what is held
    held.take(None, 120.0)
    assert held.at(130.0) == Lag(30.0, is_known=False)
    held.take(Lag(35.0, is_known=False), 130.0)
    assert held.at(130.0) == Lag(35.0, is_known=False), "it was noticed late"
    held.take(Lag(60.0), 140.0)
    assert held.current_as_of == 80.0, "what is known counts, also where it is worse"


def test_the_worst_of_several() -> None:
    assert worst([]) is None
    assert worst([Lag(1.0, bytes=5), Lag(3.0, is_known=False, bytes=2)]) == Lag(3.0, is_known=False, bytes=5)
    assert worst([Lag(1.0, bytes=5), Lag(0.0)]) == Lag(1.0)


def test_it_travels() -> None:
    for lag in (Lag(1.5, bytes=0), Lag(2.0, is_known=False)):
        assert Lag.read(lag.write()) == lag
