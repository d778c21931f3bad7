"""The same as ``mrirecon pack``."""

from mrirecon.commands.pack import main
from mrirecon.interruption import run

if __name__ == "__main__":
    run("mrirecon pack", main)
