"""Types into an interactive shell on a terminal of its own, as a person does: SETUP, and then KEYS, until WANTED is on
the screen. python type_tab.py SETUP KEYS WANTED SHELL [ARG...]"""

import os
import pty
import select
import sys
import time

setup, keys, wanted, *shell = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(shell[0], shell)


def wait_for(text):
    seen, end = "", time.monotonic() + 60
    while text not in seen:
        left = end - time.monotonic()
        if left < 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{text!r} does not come: {seen!r}")
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            sys.exit(f"the shell ends: {seen!r}")


# What is typed is shown as well: the word that comes from the shell is not typed as such.
os.write(terminal, f"{setup}\necho rea''dy\n".encode())
wait_for("ready")
os.write(terminal, keys.encode().decode("unicode_escape").encode())
wait_for(wanted)
