from .scores.protocol import Protocol as Protocol, Score as Score
