"""The command ``foveate``, in this process."""

import signal
import sys

from ._foveate import command


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    # The command line listens to signals itself; Python's handler would raise after its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(command(["foveate", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
