"""The tests of jobs run on several combinations of provider profiles, the same for the same seed."""

from tests.support.provider_profiles import FOR_ANY_JOB, drawn_for

TESTS = [f"tests/jobs/test_one.py::test_{place}" for place in range(100)]


def test_tests_of_jobs_draw_at_least_three_combinations_and_each_profile_at_least_once() -> None:
    drawn = {drawn_for(test, None, forced=None).names for test in TESTS}
    assert len(drawn) >= 3
    assert {name for names in drawn for name in names} == set(FOR_ANY_JOB)
    assert [drawn_for(test, None, forced=None) for test in TESTS] == [drawn_for(test, None, forced=None) for test in TESTS]


def test_other_tests_run_on_none_and_a_mark_says_which() -> None:
    assert drawn_for("tests/integration/test_one.py::test_it", None, forced=None).names == ()
    assert drawn_for(TESTS[0], ()).names == ()
    assert drawn_for(TESTS[0], ("city-route",)).names == ("city-route",)
