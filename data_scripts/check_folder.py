"""The same as ``mrirecon check``."""

from mrirecon.commands.check import main

if __name__ == "__main__":
    main()
