"""The same as ``mrirecon split``."""

from mrirecon.commands.split import main
from mrirecon.interruption import run

if __name__ == "__main__":
    run("mrirecon split", main)
