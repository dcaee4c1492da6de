"""Markdown tables, and words that stay words in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartorius.utils.files import write_text
from sartorius.utils.tables import inert_markdown, markdown_table

HOSTILE = (
    '<img src=x onerror=alert(1)>', '</script><script>alert(1)</script>', '<!-- x', '<?php', '<a@b.org>', '`<b>`',
    '``` <b>', '![x](http://evil.org/x.png)', '[x](javascript:alert(1))', '[x](https&colon;//evil.org)',
    '[x](//evil.org/x)', '[x][y]', '\n[y]: http://evil.org\n', '\n[y\\]]: /x\n', '[x](<http://evil.org>)',
    '![x]\\(http://evil.org)', '![x](a.png "http:")',
)  # fmt: skip


def tokens(text: str) -> Iterator[Any]:
    """What a reader of Markdown with tables and raw HTML makes of a text."""
    parser = pytest.importorskip('markdown_it').MarkdownIt('commonmark').enable('table')
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


def check_inert(text: str) -> None:
    for token in tokens(text):
        assert token.type not in ('html_block', 'html_inline'), text
        target = str(token.attrs.get('href') or token.attrs.get('src') or '')
        assert ':' not in target and '//' not in target, text


@pytest.mark.parametrize('word', HOSTILE)
def test_words_from_elsewhere_are_no_html_and_no_links(word: str, tmp_path: Path) -> None:
    table = markdown_table(['class', 'n'], [[word, f'`{word}`']])
    write_text(tmp_path / 'page.md', f'# {word}\n\n- {word}: `{word}`\n\n{table}\n\n```\n{word}\n```\n{word}\n')
    check_inert((tmp_path / 'page.md').read_text())


@given(st.text('<>[]()!&:;/\\`a.\n |-#"x') | st.lists(st.sampled_from(HOSTILE)).map(''.join))
def test_no_text_becomes_html_or_a_link(text: str) -> None:
    check_inert(inert_markdown(text))


def test_what_a_page_says_itself_stays() -> None:
    text = '![Differences](results.png), [other](docs/more_results.md), `a <- b`, 3 < 4, a <= b\n'
    assert inert_markdown(text) == text


@pytest.mark.parametrize('name', ['a|b', 'a\\|b', 'a\\\\|b', '|', 'a\nb', 'a\r\n| c |'])
def test_a_cell_is_one_cell(name: str) -> None:
    cells = [token.content for token in tokens(markdown_table(['class', 'n'], [[name, 1]])) if token.type == 'inline']
    assert len(cells) == 4 and cells[3] == '1'
    assert cells[2].count('|') == name.count('|')


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
