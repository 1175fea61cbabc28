from mvideo_core.base.term_search import TermFinder


def test_whole_words_plurals_case_and_joined_phrases():
    finder = TermFinder(["tiger", "sea turtle", "deer", "turtle"])
    assert finder.find("Two TIGERS and a sea-turtle.") == ["sea turtle", "tiger"]
    assert finder.find("A turtle in the sea, turtle_2") == ["turtle"]
    assert finder.find("tigerish reindeer") == []
    assert finder.any_in("nothing", "a deer")


def test_no_terms_find_nothing():
    assert TermFinder([]).find("tiger") == []
    assert not TermFinder(["  "]).any_in("tiger")
