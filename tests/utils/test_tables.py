"""Markdown tables."""

from sartorius.utils.tables import markdown_table


def test_columns_are_padded_and_aligned() -> None:
    assert markdown_table(['class', 'n'], [['cort', 5], ['a', 1000]]).splitlines() == [
        '| class |    n |',
        '| :---- | ---: |',
        '| cort  |    5 |',
        '| a     | 1000 |',
    ]


def test_other_columns_than_the_first_may_hold_text() -> None:
    assert markdown_table(['n', 'what'], [[12, 'a'], [3, 'bc']], text_columns=[1]).splitlines() == [
        '|  n | what |',
        '| -: | :--- |',
        '| 12 | a    |',
        '|  3 | bc   |',
    ]
