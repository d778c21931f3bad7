"""The same as ``mrirecon check``."""

from mrirecon.commands.check import main
from mrirecon.interruption import run

if __name__ == "__main__":
    run("mrirecon check", main)
