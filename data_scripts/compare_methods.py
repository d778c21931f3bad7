"""The same as ``mrirecon compare``."""

from mrirecon.commands.compare import main

if __name__ == "__main__":
    main()
