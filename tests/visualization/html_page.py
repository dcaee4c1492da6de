"""A reader of HTML pages, and what holds for every page."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

VOID = {'meta', 'link', 'input', 'img'}
HOSTILE = '</script><img src=x onerror=alert(1)>"\' onload="alert(2)'
"""A name that ends whatever it stands in, if it is not escaped there."""


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
        beside = reference.startswith('index_files/') and (path.parent / unquote(reference)).is_file()
        assert reference.startswith('data:') or reference[1:] in ids or beside, reference[:60]
    assert re.findall(r'url\((?!#)|@import|fetch\(|XMLHttpRequest', text) == []
    # Scripts are the page's one alone, and the policy says so.
    assert [name for _, attributes in page.elements for name in attributes if name.startswith('on')] == []
    (script,) = re.findall('<script>(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'; " in page.values('content')[0]
    # Every element that the script asks for by its id is there.
    optional = {'table-search', 'table-count', 'outlines-switch'}
    assert set(re.findall(r"querySelector\('#([\w-]+)'\)", text)) <= {*ids, *optional}
    return page
