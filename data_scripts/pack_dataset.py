"""The same as ``mrirecon pack``."""

from mrirecon.commands.pack import main

if __name__ == "__main__":
    main()
