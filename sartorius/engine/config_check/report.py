"""Messages of the check of a config."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sartorius.utils.errors import closest

OK, WARNING, ERROR = 'ok', 'warning', 'error'


@dataclass(frozen=True)
class Message:
    """One line of the report.

    Attributes:
        level: ``ok``, ``warning`` (training can go on) or ``error`` (it would fail, or learn something else than the
            config says).
        topic: What was checked: ``keys``, ``files``, ``anchors`` or ``limits``.
        text: What was found, with the key, the value and the fix.
    """

    level: str
    topic: str
    text: str


@dataclass
class Report:
    """Messages in the order of the checks."""

    messages: list[Message] = field(default_factory=list)

    def add(self, level: str, topic: str, text: str) -> None:
        """Appends a message."""
        self.messages.append(Message(level, topic, text))

    def count(self, level: str) -> int:
        """Number of messages of a level."""
        return sum(message.level == level for message in self.messages)

    def has_errors(self, topic: str) -> bool:
        """Whether a topic has an error."""
        return any(message.level == ERROR and message.topic == topic for message in self.messages)

    def to_text(self, *levels: str) -> str:
        """One line per message of these levels (of all if none are given), levels and topics in columns."""
        chosen = [message for message in self.messages if not levels or message.level in levels]
        return '\n'.join(f'{message.level:<8} {message.topic:<8} {message.text}' for message in chosen)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or nothing where none is near."""
    near = closest(word, known)
    return f'; did you mean {near!r}?' if near else ''
