"""The frame of all HTML pages of the project: one file without external resources.

Names of images, classes and files are escaped wherever they are written. Should one be forgotten, the page's policy
still lets a browser run no other script than the page's own, and load nothing but the pictures beside it.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from textwrap import indent

from sartorius.utils.clock import date_of_files
from sartorius.utils.version import describe_version
from sartorius.visualization.gallery import color_rules


def render_page(title: str, lead: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """A whole page.

    Args:
        title: Heading, plain text.
        lead: The sentence below it, plain text.
        sections: Id, heading (plain text) and content (HTML) of each section; the first one needs no heading.
    """
    templates = resources.files(__package__) / 'templates'
    script = f'\n{templates.joinpath("page.js").read_text(encoding="utf-8")}\n'
    main = '\n'.join(
        f'<section id="{name}" aria-label="{escape(heading)}"><h2>{escape(heading)}</h2>\n{content}\n</section>'
        for name, heading, content in sections
    )
    links = ''.join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in sections)
    return Template(templates.joinpath('page.html').read_text(encoding='utf-8')).substitute(
        title=escape(title),
        lead=escape(lead),
        links=links,
        main=main,
        style=templates.joinpath('page.css').read_text(encoding='utf-8') + color_rules(),
        script=script,
        policy=_policy(script),
        footer=f'Made by sartorius-cells {describe_version()} on {date_of_files():%Y-%m-%d %H:%M} UTC.',
    )


def _policy(script: str) -> str:
    """Content security policy of a page with one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: file: 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def figures(entries: Sequence[tuple[str, str, str]]) -> str:
    """Key figures in a row: name, value and remark of each, plain text."""
    items = ''.join(
        f'<div class="figure"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>'
        for name, value, remark in entries
    )
    return f'<dl class="figures sheet">{items}</dl>'


def chart(title: str, remark: str, svg: str) -> str:
    """A chart under its title."""
    return f'<div class="chart sheet"><h3>{escape(title)}</h3><p>{escape(remark)}</p>{svg}</div>'


def source_list(source: Mapping[str, object]) -> str:
    """Names and values (JSON types) of the sources of a page; nested ones are indented."""
    if not source:
        return '<p class="sheet">The predictions file names no source.</p>'
    items = ''.join(f'<dt>{escape(str(key))}</dt><dd>{escape(_text(value))}</dd>' for key, value in source.items())
    return f'<dl class="source sheet">{items}</dl>'


def _text(value: object) -> str:
    """JSON value as indented lines."""
    if isinstance(value, Mapping):
        return '\n'.join(f'{key}: {_below(_text(part))}' for key, part in value.items())
    if isinstance(value, (list, tuple)):
        parts = [_text(part) for part in value]
        if any('\n' in part for part in parts):
            return '\n'.join(f'-{_below(part)}' for part in parts)
        return ', '.join(parts)
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:g}'
    return '-' if value is None else str(value)


def _below(text: str) -> str:
    """Text of several lines, on its own lines and indented; other text as it is."""
    return indent(f'\n{text}', '  ') if '\n' in text else text
