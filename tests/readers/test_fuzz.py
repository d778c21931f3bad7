from tests.readers.fuzz import run


def test_damaged_files_are_read_or_refused(tmp_path):
    tally = run(tmp_path, 150, seed=1)
    ways = {way for way, _ in tally}
    assert ways == {"truncate", "flip", "lie", "corrupt_heads", "restructure"}
    results = [result for _, result in tally.elements()]
    assert 30 < results.count("refused") < 130
