"""The same as ``mrirecon split``."""

from mrirecon.commands.split import main

if __name__ == "__main__":
    main()
