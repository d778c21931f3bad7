"""The same as ``mrirecon compare``."""

from mrirecon.commands.compare import main
from mrirecon.interruption import run

if __name__ == "__main__":
    run("mrirecon compare", main)
