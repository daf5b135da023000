"""Eight processes on one compile cache, three killed at random, round after round."""

from support.cache_processes import KILLED, storm


def test_killed_processes_leave_no_wrong_entry(tmp_path, rounds):
    told = storm(tmp_path / "cache", rounds(200))
    assert told["killed"] == KILLED * rounds(200)
    assert told["found"] > 0
    assert told["damaged"] > 0
