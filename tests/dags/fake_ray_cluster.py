"""A Ray cluster's job API as far as the operator uses it, in memory."""

from dataclasses import dataclass, field


@dataclass
class FakeJob:
    """A job: its status while it is followed, how it ends, and what it writes."""

    entrypoint: str
    status: str = "RUNNING"
    end: str = "SUCCEEDED"
    output: str = "one\ntwo\n"
    metadata: dict = field(default_factory=dict)


class FakeJobClient:
    """Answers like `JobSubmissionClient`: refuses an id twice, knows jobs until the cluster restarts."""

    def __init__(self, end: str = "SUCCEEDED", output: str = "one\ntwo\n") -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.end, self.output = end, output
        self.stopped: list[str] = []
        self.breaks_at: list[int] = []
        self.before_submit = lambda submission_id: None

    def submit_job(self, *, entrypoint, submission_id=None, runtime_env=None, metadata=None):
        self.before_submit(submission_id)
        if submission_id in self.jobs:
            raise RuntimeError(
                f"Request failed with status code 500: Job with submission_id {submission_id} already exists."
            )
        self.jobs[submission_id] = FakeJob(entrypoint, end=self.end, output=self.output, metadata=metadata or {})
        return submission_id

    def get_job_status(self, job_id):
        if job_id not in self.jobs:
            raise RuntimeError(f"Request failed with status code 404: Job {job_id} does not exist.")
        return self.jobs[job_id].status

    async def tail_job_logs(self, job_id):
        job = self.jobs[job_id]
        if self.breaks_at:
            yield job.output[: self.breaks_at.pop(0)]
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")
        for letter in job.output:
            yield letter
        job.status = job.end if job.status == "RUNNING" else job.status

    def stop_job(self, job_id):
        self.stopped.append(job_id)
        self.jobs[job_id].status = "STOPPED"
        return True
