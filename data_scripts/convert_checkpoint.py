"""The same as ``mrirecon convert``."""

from mrirecon.commands.convert import main

if __name__ == "__main__":
    main()
