"""Trigger a small night from Airflow's form in a real headless browser, and watch it go green.

    make up && make test-browser

It logs in, opens the form of `nightly_recommendations`, changes Params (a day earlier than the shipped run
date, so that the published night stays as it is; 50 users; 7 recommendations; a small token budget), triggers,
waits for the end, and checks that the night ran with what was typed. Screenshots: build/screenshots/.
Needs Chromium (or Chrome) on the PATH; several minutes on two cores.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HOME = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HOME), str(HOME / "infra" / "local")]

from environment import environment  # noqa: E402
from schemas.manifest import read_manifest  # noqa: E402
from schemas.night import load_config  # noqa: E402

DAG = "nightly_recommendations"
SHOTS = HOME / "build" / "screenshots"
AIRFLOW = f"http://127.0.0.1:{os.environ.get('AIRFLOW_PORT', '8080')}"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--no-first-run",
]


def main() -> None:
    """Run the check; an assertion that fails says what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-date", default="1998-04-22")
    parser.add_argument("--top-k", type=int, default=7)
    parser.add_argument("--max-users", type=int, default=50)
    parser.add_argument("--nightly-token-budget", type=int, default=2_000)
    parser.add_argument("--minutes", type=float, default=30, help="how long the night may take")
    arguments = parser.parse_args()
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browser_page() as page:
        log_in(page)
        run_id = trigger(page, arguments)
        print(f"Triggered {run_id}", flush=True)
        state = wait_for_end(page, run_id, arguments.minutes * 60)
        photograph_grid(page, run_id)
        assert state == "success", f"the night ended as {state}: {AIRFLOW}/dags/{DAG}/runs/{run_id}"
        check_what_ran(page, run_id, arguments)
    print(f"The night is green and ran with the Params that were typed. Screenshots: {SHOTS}")


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a browser that the system has."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        raise SystemExit(f"No browser found: install one of {', '.join(names)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 1600, "height": 1200})
        browser.close()


def log_in(page: Page) -> None:
    """Log in as `admin` with the password that `make up` made."""
    passwords = Path(environment(HOME)["AIRFLOW_HOME"]) / "passwords.json"
    if not passwords.is_file():
        raise SystemExit("Airflow has not been started here yet: `make up`")
    page.goto(f"{AIRFLOW}/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", json.loads(passwords.read_text())["admin"])
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)


def trigger(page: Page, arguments: argparse.Namespace) -> str:
    """Fill in the form and send it; returns the id of the run."""
    page.goto(f"{AIRFLOW}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    typed = {
        "Night": {"run_date": arguments.run_date, "max_users": arguments.max_users},
        "Recommendations": {"top_k": arguments.top_k},
        "Language model": {"nightly_token_budget": arguments.nightly_token_budget},
    }
    for section, values in typed.items():  # Opening one section closes the one before.
        dialog.get_by_role("button", name=section, exact=True).click()
        for name, value in values.items():
            dialog.locator(f"input[name=element_{name}]").fill(str(value))
            page.keyboard.press("Tab")
        page.wait_for_timeout(1_000)  # They open with an animation.
        dialog.screenshot(path=SHOTS / f"form-{section.lower().replace(' ', '-')}.png")
    with page.expect_response(lambda answer: answer.request.method == "POST" and "dagRuns" in answer.url) as sent:
        dialog.get_by_role("button", name="Trigger").click()
    assert sent.value.ok, sent.value.text()
    return str(sent.value.json()["dag_run_id"])


def wait_for_end(page: Page, run_id: str, seconds: float) -> str:
    """Poll the run until it has ended, telling which tasks have; returns its state."""
    end, told = time.monotonic() + seconds, set[str]()
    while time.monotonic() < end:
        for task in api(page, f"dagRuns/{run_id}/taskInstances")["task_instances"]:
            line = f"{task['task_id']} {task['state']}"
            if task["state"] in ("success", "failed", "up_for_retry", "upstream_failed") and line not in told:
                told.add(line)
                print(f"  {line} ({task['duration'] or 0:.0f} s)", flush=True)
        state = str(api(page, f"dagRuns/{run_id}")["state"])
        if state in ("success", "failed"):
            return state
        time.sleep(5)
    return f"unfinished after {seconds:.0f} s"


def photograph_grid(page: Page, run_id: str) -> None:
    """Take the pictures of the DAG's page with its grid, and of the run."""
    for name, address in (("grid", f"dags/{DAG}"), ("run", f"dags/{DAG}/runs/{run_id}")):
        page.goto(f"{AIRFLOW}/{address}")
        page.wait_for_timeout(5_000)  # The page polls for ever, so that there is no moment of network silence.
        page.screenshot(path=SHOTS / f"{name}.png")


def check_what_ran(page: Page, run_id: str, arguments: argparse.Namespace) -> None:
    """The frozen configuration and the published night are what was typed into the form."""
    entry = api(page, f"dagRuns/{run_id}/taskInstances/freeze_config/xcomEntries/return_value")
    config = load_config(entry["value"])
    assert config.night.isoformat() == arguments.run_date
    assert config.ranking.top_k == arguments.top_k
    assert config.features.max_users == arguments.max_users
    assert config.generator.nightly_token_budget == arguments.nightly_token_budget
    rows = read_manifest(config.lake, config.night).tables["recommendations"].rows
    assert 0 < rows <= arguments.top_k * arguments.max_users, f"{rows} recommendations"


def api(page: Page, path: str) -> dict:
    """An answer of Airflow's API, with the browser's own session."""
    answer = page.request.get(f"{AIRFLOW}/api/v2/dags/{DAG}/{path}")
    assert answer.ok, f"{answer.url}: {answer.status} {answer.text()}"
    return dict(answer.json())


if __name__ == "__main__":
    main()
