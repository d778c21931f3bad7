"""The same as ``mrirecon convert``."""

from mrirecon.commands.convert import main
from mrirecon.interruption import run

if __name__ == "__main__":
    run("mrirecon convert", main)
