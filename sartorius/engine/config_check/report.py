"""What the check of a config found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

OK, WARNING, ERROR = 'ok', 'warning', 'error'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ``ok``, ``warning`` (training can go on) or ``error`` (it would fail, or learn something else than the
            config says).
        topic: What was looked at: ``keys``, ``files``, ``anchors``, ``limits`` or ``memory``.
        message: What was found, with the key, the value and the fix.
    """

    level: str
    topic: str
    message: str


@dataclass
class Report:
    """Findings in the order in which they were made."""

    findings: list[Finding] = field(default_factory=list)

    def add(self, level: str, topic: str, message: str) -> None:
        """Appends a finding."""
        self.findings.append(Finding(level, topic, message))

    def count(self, level: str) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def has_errors(self, topic: str) -> bool:
        """Whether a topic has an error already."""
        return any(finding.level == ERROR and finding.topic == topic for finding in self.findings)

    def to_text(self, *levels: str) -> str:
        """One line a finding of these levels (of all, if none are given), levels and topics in columns."""
        chosen = [finding for finding in self.findings if not levels or finding.level in levels]
        return '\n'.join(f'{finding.level:<8} {finding.topic:<8} {finding.message}' for finding in chosen)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or nothing where none is near."""
    near = get_close_matches(word, sorted(set(known)), n=1)
    return f'; did you mean {near[0]!r}?' if near else ''
