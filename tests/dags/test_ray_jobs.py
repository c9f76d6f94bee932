"""Jobs of a Ray cluster are submitted once, found again, and followed to their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dags import ray_jobs
from dags.ray_jobs import JobFailed, LineStream, follow, job_status, submission_id, submit_or_attach
from fake_ray_cluster import FakeJob, FakeJobClient

RUN = ("nightly_recommendations", "scheduled__2026-11-22T02:00:00+00:00", "ranking", -1, "a" * 64)


def submit(client, base="job"):
    return submit_or_attach(client, base, "python -m x", {}, {})


def collect(client, name):
    lines = []
    follow(client, name, lines.append, poll=0)
    return lines


def test_an_id_says_which_task_it_is_and_is_the_same_for_everybody():
    assert submission_id(*RUN) == submission_id(*RUN)
    assert submission_id(*RUN).startswith("nightrec-ranking-scheduled-2026-11-22T02-00-00-00-00-")


@given(st.tuples(st.text(), st.text(), st.text(), st.integers(), st.text()), st.integers(0, 4))
def test_ids_differ_when_anything_differs_and_are_safe_in_urls(parts, place):
    other = [*parts]
    other[place] = f"{parts[place]}x" if isinstance(parts[place], str) else parts[place] + 1
    assert submission_id(*parts) != submission_id(*other)
    assert set(submission_id(*parts)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def test_a_running_job_of_the_task_is_found_instead_of_submitted_again():
    client = FakeJobClient()
    assert submit(client) == submit(client) == "job-1"
    assert len(client.jobs) == 1


@pytest.mark.parametrize("ended", ["FAILED", "STOPPED", "SUCCEEDED"])
def test_a_job_that_has_ended_does_not_block_the_next(ended):
    client = FakeJobClient()
    client.jobs["job-1"] = FakeJob("python -m x", status=ended)
    assert submit(client) == "job-2"


def test_a_job_that_another_worker_submits_at_the_same_moment_is_followed():
    client = FakeJobClient()
    client.before_submit = lambda name: client.jobs.setdefault(name, FakeJob("the other worker's"))
    assert submit(client) == "job-1"
    assert client.jobs["job-1"].entrypoint == "the other worker's"


def test_a_refusal_for_another_reason_is_raised():
    client = FakeJobClient()

    def refuse(name):
        raise RuntimeError("Request failed with status code 500: no space left on device")

    client.before_submit = refuse
    with pytest.raises(RuntimeError, match="no space left"):
        submit(client)


def test_an_error_of_the_server_is_not_taken_for_an_unknown_job():
    client = FakeJobClient()

    def fail(name):
        raise RuntimeError("Request failed with status code 503: busy")

    client.get_job_status = fail
    with pytest.raises(RuntimeError, match="busy"):
        job_status(client, "job-1")


def test_lines_are_streamed_whole():
    client = FakeJobClient(output="first\nsecond\nno end of line")
    assert collect(client, submit(client)) == ["first", "second", "no end of line"]


def test_the_log_of_a_job_that_ended_meanwhile_is_still_shown():
    client = FakeJobClient()
    name = submit(client)
    client.jobs[name].status = "SUCCEEDED"
    assert collect(client, name) == ["one", "two"]


@pytest.mark.parametrize("end", ["FAILED", "STOPPED"])
def test_a_job_that_did_not_succeed_fails_with_its_last_lines(end):
    client = FakeJobClient(end=end, output="reason\n")
    with pytest.raises(JobFailed, match=rf"ended as {end}.*\nreason"):
        collect(client, submit(client))


def test_a_job_that_the_cluster_forgot_fails():
    with pytest.raises(JobFailed, match="may have been restarted"):
        collect(FakeJobClient(), "job-1")


def test_a_broken_log_connection_neither_ends_the_job_nor_repeats_lines():
    client = FakeJobClient(output="one\ntwo\nthree\n")
    client.breaks_at = [5, 9]
    assert collect(client, submit(client)) == ["one", "two", "three"]


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.integers(0, 40), max_size=4), st.integers(1, 7))
def test_whatever_breaks_each_line_is_told_once(output, breaks, size):
    lines = []
    stream = LineStream(lines.append)
    for end in [*breaks, len(output)]:
        stream.rewind()
        for start in range(0, len(output[:end]), size):
            stream.add(output[:end][start : start + size])
    stream.close()
    assert "\n".join(lines) == (output.removesuffix("\n"))


def test_the_fake_is_what_the_operator_needs():
    needed = {name for name in vars(ray_jobs.JobClient) if not name.startswith("_")}
    from ray.job_submission import JobSubmissionClient

    assert needed <= set(dir(FakeJobClient))
    assert needed <= set(dir(JobSubmissionClient))
