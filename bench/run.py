"""Runs all benchmarks, one after the other, and prints their figures as one table: `make bench`."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

from harness import JSON_PREFIX, parser

BENCHES = ("get_system", "reset", "tasks", "writing", "scale", "real_machine", "events", "media")
LONGEST_SECONDS = 300


def run(name: str, *, tiny: bool) -> dict[str, object] | None:
    """One benchmark's figures; None if it failed, which it has said."""
    command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *(["--tiny"] if tiny else [])]
    print(f"--- {name}", flush=True)
    # In a session of its own, so that the services which a benchmark started can be ended with it.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        print(f"it took more than {LONGEST_SECONDS} s", flush=True)
        return None
    lines = output.splitlines()
    print("\n".join(line for line in lines if not line.startswith(JSON_PREFIX)), flush=True)
    if process.returncode or not lines or not lines[-1].startswith(JSON_PREFIX):
        return None
    found: dict[str, object] = json.loads(lines[-1].removeprefix(JSON_PREFIX))
    return found


def main() -> int:
    """Prints a table as docs/performance.md has it."""
    options = parser(__doc__)
    options.add_argument("--json", type=Path, help="also write all figures there")
    given = options.parse_args()
    results = {name: run(name, tiny=given.tiny) for name in BENCHES}
    print(f"\n{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"KVM: {'yes' if Path('/dev/kvm').exists() else 'no'}, load {os.getloadavg()[0]:.1f}\n")
    print("| What | Measured | Against | Ratio | Budget | |\n| --- | --- | --- | --- | --- | --- |")
    for result in results.values():
        for figure in [] if result is None else result["figures"]:  # type: ignore[attr-defined]  # a list, as Report writes it
            verdict = "holds" if figure["holds"] else "**missed**"
            print(
                f"| {figure['what']} | {figure['measured']:.4g} {figure['unit']} | {figure['reference']:.4g} {figure['unit']} "
                f"| {figure['ratio']:.2f} | {figure['budget']} | {verdict} |"
            )
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1))
    failed = [name for name, result in results.items() if result is None]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
