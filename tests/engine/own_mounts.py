"""Run a command where a folder is another one than on the rest of the machine: `own_mounts.py FOLDER COMMAND …`.

So is a node that has not mounted the shared file system. Needs root.
"""

import ctypes
import os
import subprocess
import sys

CLONE_NEWNS = 0x20000

if __name__ == "__main__":
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        sys.exit(os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tune_cl-tests", sys.argv[1]], check=True)
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
