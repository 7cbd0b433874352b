"""Which checkpoints a run made, told from what is recorded of it."""

from langgraph_wfstore.diff.traces import RunPath


def path(*reached: str, start: str | None, last: str | None) -> RunPath:
    return RunPath(start=start, last=last, reached=dict.fromkeys(reached))


def test_a_run_made_what_it_went_on_from_and_what_it_ended_with():
    assert list(path("c1", "c2", start="c0", last="c3").made()) == ["c1", "c2", "c3"]
    assert list(path(start=None, last="c1").made()) == ["c1"]


def test_a_run_that_resumes_a_checkpoint_did_not_make_it():
    assert list(path("c0", "c1", start="c0", last="c2").made()) == ["c1", "c2"]
    assert list(path("c0", start="c0", last="c0").made()) == []


def test_a_superstep_that_led_nowhere_is_the_last_that_was_reached():
    assert path("c0", start="c0", last="c0").ended_at("c0")
    assert path("c0", "c1", start="c0", last=None).ended_at("c1")
    assert not path("c0", "c1", start="c0", last=None).ended_at("c0")
    assert not path("c0", start="c0", last="c1").ended_at("c0")
