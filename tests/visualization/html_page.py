"""A reader of HTML pages, and what holds for every page."""

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {'meta', 'link', 'input'}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {'style', 'script'} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.words).split())

    def values(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [attributes[name] for _, attributes in self.elements if attributes.get(name) is not None]

    def with_class(self, name: str) -> list[tuple[str, dict[str, str | None]]]:
        return [element for element in self.elements if name in (element[1].get('class') or '').split()]


def check(path: Path) -> Page:
    """The page, after the checks that every page must pass."""
    text = path.read_text(encoding='utf-8')
    page = Page(text)
    ids = page.values('id')
    assert len(ids) == len(set(ids))
    for reference in page.values('href') + page.values('src') + page.values('data-card') + page.values('data-image'):
        assert reference.startswith('data:') or reference[1:] in ids, reference[:60]
    assert re.findall(r'url\((?!#)|@import|fetch\(|XMLHttpRequest', text) == []
    # Every element that the script asks for by its id is there.
    assert set(re.findall(r"querySelector\('#([\w-]+)'\)", text)) <= {*ids, 'table-search', 'table-count'}
    return page
