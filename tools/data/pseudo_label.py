"""Turns predictions on images without annotations into rows of the training CSV."""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.paths import display_path


def balance_of(text: str) -> str | float:
    """The option --balance: one of its names, or a number above 0."""
    if text in ('train', 'equal', 'none'):
        return text
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float('inf'):
        raise ArgumentTypeError(f'{text!r} is neither train, equal or none, nor a number above 0')
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and labels."""
    parser = make_parser(
        'Add confident predictions of unlabelled images to the training CSV, as pseudo-labels. The labels of a file train '
        'only the fold that is held out from its models. Rows of earlier rounds are replaced, all others copied. '
        'Writes the CSV and a summary beside it.',
        'python tools/data/pseudo_label.py fold0/predictions_unlabelled.npz fold1/predictions_unlabelled.npz '
        '--train-csv data/sartorius/train.csv --out work_dirs/round1/train.csv',
    )
    parser.add_argument(
        'predictions',
        nargs='*',
        type=Path,
        help='predictions of tools/test.py --split unlabelled, fused or not, one per fold',
    )
    parser.add_argument(
        '--all-data',
        type=Path,
        metavar='FILE',
        help='predictions, of any models, whose labels go into all.json alone, for a model without validation',
    )
    parser.add_argument('--train-csv', type=Path, required=True, metavar='CSV', help='training CSV to add rows to')
    parser.add_argument('--out', type=Path, required=True, metavar='CSV', help='training CSV to write')
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='.json of tools/tune.py, or .py that defines postprocess = [...]; the default one for the classes if not given',
    )
    parser.add_argument(
        '--rules',
        type=Path,
        metavar='FILE',
        help='.json or .py that defines pseudo_labels: which predictions become labels; the default one for the classes if '
        'not given',
    )
    parser.add_argument(
        '--balance',
        type=balance_of,
        default='train',
        metavar='train|equal|none|RATIO',
        help="images of each class: in the annotated images' proportions, equally many, all, or so many per "
        'annotated image of the class; the most confident ones',
    )
    parser.add_argument('--fold', type=int, help='fold that is held out from models without a record of it')
    parser.add_argument(
        '--round', type=int, help="number of the round; one more than the training CSV's latest if none"
    )
    options = parser.parse_args(argv)
    for name in ('fold', 'round'):
        lowest = 0 if name == 'fold' else 1
        if getattr(options, name) is not None and getattr(options, name) < lowest:
            parser.error(f'--{name} {getattr(options, name)}: must be {lowest} or more')

    from sartorius.postprocess.chain import load_chain_for
    from sartorius.predictions.store import read_header
    from sartorius.pseudo_labels.labelling import Request, write_pseudo_labels
    from sartorius.pseudo_labels.rules import load_rules

    paths = [*options.predictions, *([options.all_data] if options.all_data else [])]
    classes = tuple(dict.fromkeys(name for path in paths for name in read_header(path).classes))
    request = Request(
        of_folds=tuple(options.predictions),
        of_all=options.all_data,
        train_csv=options.train_csv,
        chain=load_chain_for(classes, options.postprocess)[0],
        rules=load_rules(options.rules, classes),
        balance=options.balance,
        fold=options.fold,
        round_number=options.round,
    )
    print(write_pseudo_labels(request, options.out))
    print(f'\nwritten to {display_path(options.out)}, the summary to {display_path(options.out.with_suffix(".md"))}')
    print('next, with the --folds and --seed that the models were trained with:')
    print(name_tools(f'  python tools/prepare_sartorius.py --csv {display_path(options.out)} --out FOLDER'))


if __name__ == '__main__':
    run_tool(main)
