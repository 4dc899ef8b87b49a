"""The end of the interpreter: never a hang, never a crash, whatever is under way."""

from __future__ import annotations

import pytest

from .ending import DAEMON, assert_it_ends

PROLOGUE = (
    DAEMON
    + """
import asyncio, atexit, os, threading, time
early = []
atexit.register(lambda: [work() for work in early])  # runs after everything that was registered later
from secrets_service import *
from secrets_service._native import DevVault
dev = DevVault()
dev.put("secret/a", {"x": "1"})
config = VaultConfig(addr=dev.addr, auth_method="token", token="root", read_deadline_seconds=60)
client = ResilientVaultClient(config)
"""
)

ENDINGS = {
    "with_a_client_open": "client.get_secret('secret/a')",
    "without_having_used_it": "",
    "while_threads_read_from_the_cache": """
client.get_secret('secret/a')
for _ in range(4): daemon(lambda: client.get_secret('secret/a'))
time.sleep(0.2)
""",
    "while_threads_ask_vault": """
for _ in range(4): daemon(lambda: client.get_secret('secret/a', bypass_cache=True))
time.sleep(0.2)
""",
    "while_threads_wait_for_a_frozen_vault": """
dev.freeze()
for _ in range(4): daemon(lambda: client.get_secret('secret/a'))
time.sleep(0.2)
""",
    "while_threads_retry": """
def fail(): raise OSError
for _ in range(4): daemon(lambda: retry_with_backoff(fail, 9, 0.01))
time.sleep(0.2)
""",
    "while_a_loop_in_a_thread_awaits": """
dev.slow(0.05)
loop_client = AsyncResilientVaultClient(config)
async def forever():
    while True: await loop_client.get_secret('secret/a', bypass_cache=True)
daemon(lambda: asyncio.run(forever()))
time.sleep(0.3)
""",
    "with_logs_on_their_way": """
import logging
logging.basicConfig(level=logging.DEBUG, stream=open(os.devnull, "w"))
for _ in range(4): daemon(lambda: client.get_secret('secret/a', bypass_cache=True))
time.sleep(0.2)
""",
    "with_a_handler_that_still_reads": """
def read():
    try:
        client.get_secret('secret/a')
    except Exception as error:  # the server of this process has ended by now
        assert type(error).__name__ == 'VaultConnectionError', error
early.append(read)
""",
    "with_a_handler_that_closes": """
client.get_secret('secret/a')
early.append(lambda: client.close())
""",
    "by_system_exit": """
client.get_secret('secret/a')
raise SystemExit(0)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_row30_the_interpreter_ends(ending: str) -> None:
    for _ in range(3):
        assert_it_ends(PROLOGUE + ENDINGS[ending])
