"""Ways to spoil JSON, CSV and YAML: parts of what they say, and how it is written."""

import csv
import io
import json
from typing import Any

from fuzz_mutations import NUMBERS, TEXTS, Mutation, Random, flip_bits, pick

# JSON


def any_value(rng: Random) -> Any:
    """Something that seldom belongs where it is put."""
    kind = int(rng.integers(10))
    if kind < 4:
        return pick(rng, NUMBERS)
    if kind < 7:
        return pick(rng, TEXTS)
    return pick(
        rng,
        [None, True, False, [], {}, [[]], [None], {'': 0}, [1, 'a'], [[1, 2], [3]], list(range(50)), {'size': [1, 1]}],
    )


def spoil_tree(rng: Random, tree: Any) -> Any:
    """Plain data with one part changed: another value or type, a key or an item gone, twice, or swapped."""
    places = list(_places(tree))
    if not places:
        return any_value(rng)
    holder, key = pick(rng, places)
    action = int(rng.integers(9))
    value = holder[key]
    if action == 0:
        del holder[key]
    elif action == 1:
        holder[key] = _of_other_type(rng, value)
    elif action == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = pick(rng, [-value, value + 1, value * 1000, f'{value}', pick(rng, NUMBERS)])
    elif action == 3 and isinstance(holder, list):
        holder.insert(int(rng.integers(len(holder) + 1)), json.loads(json.dumps(value)))
    elif action == 3:
        holder[str(pick(rng, TEXTS))] = holder.pop(key)
    elif action == 4:
        other, other_key = pick(rng, places)
        # A copy, since a part put within itself has no end.
        holder[key] = json.loads(json.dumps(other[other_key]))
    elif action == 5 and isinstance(value, str):
        holder[key] = pick(
            rng,
            [
                value.upper(),
                f' {value}',
                value[:-1],
                f'../{value}',
                f'/{value}',
                value.replace('/', '\\'),
                value + '\x00',
            ],
        )
    elif action == 6 and isinstance(value, list):
        holder[key] = pick(rng, [value[::-1], value[:-1], value * 2, [value], dict(enumerate(map(str, value)))])
    else:
        holder[key] = any_value(rng)
    return tree


def spoil_json(rng: Random, data: bytes) -> bytes:
    """The same JSON with one to three parts changed."""
    try:
        tree = json.loads(data)
    except ValueError:
        return flip_bits(rng, data)
    for _ in range(rng.integers(1, 4)):
        tree = spoil_tree(rng, tree)
    try:
        return json.dumps(tree, ensure_ascii=bool(rng.random() < 0.7)).encode('utf-8', 'surrogatepass')
    except ValueError:
        # Integers of more than 4,300 digits.
        return b'[' + b'9' * 5000 + b']'


def odd_json(rng: Random, data: bytes) -> bytes:
    """What parsers stumble over: great depth, long numbers, repeated keys, other encodings."""
    text = data.decode('utf-8', 'replace')
    start = text.find(':') + 1
    deep = pick(rng, ['[' * 100_000, '{"a":' * 100_000, '[' * 900 + ']' * 900])
    made = [
        deep,
        text[:start] + deep + text[start:],
        text[:start] + '9' * 5000 + ',' + text[start:],
        text[:start] + '1e99999' + text[start + 1 :],
        text[:-1] + ',' + text.lstrip()[1:],
        text + text,
        text.replace('"', "'"),
        text.replace('[', '(', 1),
        text.rstrip().rstrip(']}') + ',]}',
        f'\ufeff{text}',
        'null',
        'true',
        '0',
        '""',
        '[]',
        '{}',
        'NaN',
        '[NaN]',
        '"\\ud800"',
        '1' * 5000,
        '-',
        '\x00',
        ' ',
        '[' * 3 + ']' * 3,
        text.replace('0', '٠', 1),
    ]
    if rng.random() < 0.15:
        return pick(
            rng,
            [
                text.encode('utf-16'),
                text.encode('utf-32'),
                text.encode('latin-1', 'replace') + b'\xff\xfe',
                b'\xff\xfe',
            ],
        )
    return pick(rng, made).encode('utf-8', 'surrogatepass')


def same_json(rng: Random, data: bytes) -> bytes:
    """The same JSON, spaced or escaped in another way."""
    return json.dumps(json.loads(data), indent=int(rng.integers(0, 4)), ensure_ascii=bool(rng.random() < 0.5)).encode()


def _places(tree: Any) -> Any:
    """Every container and key within plain data."""
    if isinstance(tree, dict):
        for key in tree:
            yield tree, key
            yield from _places(tree[key])
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield tree, index
            yield from _places(value)


def _of_other_type(rng: Random, value: Any) -> Any:
    options = [[value], {'value': value}, None, str(value), True]
    if isinstance(value, str):
        options += [len(value), float(len(value)), list(value[:20])]
    if isinstance(value, int | float):
        options += [0.25 if abs(value) > 1e300 else value + 0.25, f' {value} ']
    return pick(rng, options)


# CSV


def spoil_csv(rng: Random, data: bytes) -> bytes:
    """One to three changes of cells, rows or columns."""
    rows = _rows(data)
    for _ in range(rng.integers(1, 4)):
        if not rows:
            break
        _spoil_rows(rng, rows)
    return _to_csv(rng, rows, quoting=int(pick(rng, [csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))


def odd_csv(rng: Random, data: bytes) -> bytes:
    """Other line ends, marks, encodings and separators, open quotes and NULs."""
    text = data.decode('utf-8', 'replace')
    place = int(rng.integers(len(text) + 1))
    made = [
        text.replace('\n', '\r'),
        text.replace(',', ';'),
        text.replace(',', '\t'),
        text[:place] + '"' + text[place:],
        text[:place] + '\x00' + text[place:],
        text[:place] + '\r' + text[place:],
        '\n' * 3 + text,
        text.replace(',', ',,'),
        text[:place] + 'x' * 200_000 + text[place:],
        text.split('\n')[0],
        text.split('\n')[0] + '\n',
        '\n'.join(text.split('\n')[1:]),
        text[:place] + '\ud800' + text[place:],
        text + text,
        text.upper(),
        text[:place] + '9' * 5000 + text[place:],
    ]
    if rng.random() < 0.15:
        return pick(rng, [text.encode('utf-16'), data + b'\xff', data[:place] + b'\xe9' + data[place:]])
    return pick(rng, made).encode('utf-8', 'surrogatepass')


def same_csv(rng: Random, data: bytes) -> bytes:
    """The same table with a byte order mark, other line ends or all fields quoted."""
    return _to_csv(rng, _rows(data), quoting=int(pick(rng, [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))


def _rows(data: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(data.decode('utf-8-sig', 'replace'), newline='')) if row]


def _to_csv(rng: Random, rows: list[list[str]], quoting: int) -> bytes:
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator=str(pick(rng, ['\n', '\r\n'])), quoting=quoting).writerows(rows)
    mark = '\ufeff' if rng.random() < 0.2 else ''
    return (mark + text.getvalue()).encode('utf-8', 'surrogatepass')


def _spoil_rows(rng: Random, rows: list[list[str]]) -> None:
    number = int(rng.integers(len(rows)))
    row = rows[number]
    column = int(rng.integers(len(row))) if row else 0
    action = int(rng.integers(10))
    if action == 0:
        del rows[number]
    elif action == 1:
        rows.insert(int(rng.integers(len(rows) + 1)), list(row))
    elif action == 2 and row:
        del row[column]
    elif action == 3:
        row.insert(column, str(pick(rng, TEXTS)))
    elif action == 4 and row:
        other = pick(rng, rows)
        row[column] = other[column] if column < len(other) else ''
    elif action == 5 and row:
        row[column] = pick(
            rng,
            [f' {row[column]}', row[column] * 2, row[column][:-1], f'-{row[column]}', row[column].replace(' ', '\t')],
        )
    elif action == 6 and row:
        words = row[column].split(' ')
        words[int(rng.integers(len(words)))] = str(pick(rng, NUMBERS[:19]))
        row[column] = ' '.join(words)
    elif action == 7:
        rng.shuffle(rows)
    elif row:
        row[column] = str(pick(rng, TEXTS) if rng.random() < 0.5 else _number_text(rng))


def _number_text(rng: Random) -> str:
    return str(pick(rng, [one for one in NUMBERS if one != 10**400]))


# YAML


def spoil_yaml(rng: Random, data: bytes) -> bytes:
    """The same YAML with one to three parts changed."""
    import yaml

    tree = yaml.safe_load(data)
    for _ in range(rng.integers(1, 4)):
        tree = spoil_tree(rng, tree)
    try:
        return yaml.safe_dump(tree, allow_unicode=True, width=1000).encode('utf-8', 'surrogatepass')
    except ValueError:
        return b'a: ' + b'9' * 5000


def odd_yaml(rng: Random, data: bytes) -> bytes:
    """Aliases that grow or refer to themselves, tags that name objects, merges, deep nesting, several documents."""
    text = data.decode('utf-8', 'replace').rstrip()
    laughs = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n' + ''.join(
        f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 9)}]\n' for n in range(1, 12)
    )
    recipe = 'recipes: &r [*r]\n'
    made = [
        laughs,
        f'{text}\n{laughs}',
        laughs + 'recipes: *a11\n',
        recipe,
        f'{text}\n{recipe}',
        'a: &a {b: *a}\n',
        '<<: [*x]\n',
        f'{text}\nout: !!python/object/apply:os.system ["true"]\n',
        f'{text}\nseed: !!int "9"\n',
        f'{text}\n? [a, b]\n: 1\n',
        f'{text}\n1: 2\n',
        '[' * 3000,
        '- ' * 3000 + 'x',
        f'{text}\nseed: {"9" * 5000}\n',
        f'---\n{text}\n---\n{text}\n',
        f'{text}\nout: 2024-01-01\n',
        f'{text}\nout: 1:30:00\n',
        f'{text}\nout: !!binary aGk=\n',
        '%YAML 9.9\n---\n' + text,
        f'{text}\n\tkey: 1',
        '',
        '~',
        'text',
        '3',
        '- a',
        f'{text}\nout: "\\ud800"\n',
        text.replace('\n', '\r'),
        f'{text}\nseed: .nan\n',
        f'{text}\nseed: 0b11\n',
        'x: &a 1\n' * 2,
        f'{text}\n{text}',
        'recipes: !!set {a, b}\n',
        'recipes: !!omap [a: 1]\n',
        'recipes: !!pairs [a: 1]\n',
        '&a : *a\n',
        '? &a [*a]\n: 1\n',
    ]
    if rng.random() < 0.1:
        return pick(rng, [text.encode('utf-16'), text.encode() + b'\xff', b'\x00'])
    return pick(rng, made).encode('utf-8', 'surrogatepass')


JSON: tuple[Mutation, ...] = (spoil_json, spoil_json, spoil_json, odd_json)
CSV: tuple[Mutation, ...] = (spoil_csv, spoil_csv, spoil_csv, odd_csv)
YAML: tuple[Mutation, ...] = (spoil_yaml, spoil_yaml, odd_yaml)
