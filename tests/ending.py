"""Interpreters that end while something is under way."""

from __future__ import annotations

import os
import subprocess
import sys

# For programs: something done without end in a thread that nobody waits for.
DAEMON = """
import threading

def daemon(work):
    def forever():
        while True:
            try:
                work()
            except Exception:
                pass
    threading.Thread(target=forever, daemon=True).start()
"""


def assert_it_ends(program: str, **environment: str) -> None:
    """Runs a program: never a hang, never a crash, nothing to complain of."""
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "panicked" not in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
