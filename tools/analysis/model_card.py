"""Writes the card of a trained model beside its checkpoint."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path

if TYPE_CHECKING:
    from sartorius.leaderboard.model_card import Score


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes the card."""
    parser = make_parser(
        'Write what a model is, what it was trained on, what that means for the use of its weights, and how well it '
        'does. All but the scores stands in the checkpoint.',
        'python tools/analysis/model_card.py work_dirs/mrcnn_r50_fold0/iter_8000.pth --predictions '
        'work_dirs/mrcnn_r50_fold0/predictions_val.npz --annotations work_dirs/data/sartorius/fold0_val.json',
    )
    parser.add_argument('checkpoint', type=Path, help='checkpoint (.pth) that tools/train.py wrote')
    parser.add_argument(
        '--predictions', type=Path, metavar='FILE', help='of this checkpoint: tools/test.py --split val'
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        metavar='JSON_OR_CSV',
        help='ground truth of these images: COCO JSON or training CSV',
    )
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='chain (.json or .py); the default one for the classes of the predictions if not given',
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='MODEL_CARD.md beside the checkpoint if not given')
    options = parser.parse_args(argv)
    if (options.predictions is None) != (options.annotations is None):
        raise UsageError('--predictions and --annotations belong together: give both, or neither')

    from sartorius.engine.run_record import full_run_of_checkpoint
    from sartorius.leaderboard.model_card import CARD_FILE, format_card
    from sartorius.models.checkpoints import check_finite, read_checkpoint, weights_of
    from sartorius.utils.files import sha256_of, write_text

    content = read_checkpoint(options.checkpoint)
    check_finite(weights_of(content), display_path(options.checkpoint))
    run = full_run_of_checkpoint(options.checkpoint, content)
    sha256 = sha256_of(options.checkpoint)
    score = _score(options, sha256) if options.predictions else None
    out = options.out or options.checkpoint.resolve().parent / CARD_FILE
    write_text(out, format_card(display_path(options.checkpoint), sha256, run, score))
    print(f'wrote {display_path(out)}')


def _score(options: Namespace, sha256: str) -> 'Score':
    """Scores the checkpoint's own predictions.

    Raises:
        InputError: They are another checkpoint's, or of images that it was trained on.
    """
    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.evaluation.metric import summarise_scores
    from sartorius.leaderboard.model_card import Score
    from sartorius.leaderboard.rows import fold_of
    from sartorius.postprocess.chain import load_chain_for
    from sartorius.postprocess.tuning.tuner import annotated_images, score_chains
    from sartorius.predictions.leakage import check_leakage
    from sartorius.predictions.provenance import ModelSource
    from sartorius.predictions.store import load_predictions

    name = display_path(options.predictions)
    predictions = load_predictions(options.predictions)
    model = predictions.source if isinstance(predictions.source, ModelSource) else ModelSource()
    if model.checkpoint_sha256 != sha256:
        raise InputError(
            f'{name}: predictions of another checkpoint ({model.checkpoint or "none is named"}); give those of this one'
        )
    if model.split == 'train':
        raise InputError(f'{name}: of images that the model was trained on; predict with --split val')
    for sentence in check_leakage(model, name).unknown:
        print(f'warning: {sentence}', file=sys.stderr)
    images, gt = annotated_images(predictions, load_annotations(options.annotations))
    chain, chain_file = load_chain_for(predictions.classes, options.postprocess)
    table = score_chains(images, gt, [chain] * len(images), 'scoring')
    summary = summarise_scores(table, load_groups(options.annotations))
    return Score(name, display_path(chain_file), fold_of(model, name), summary)


if __name__ == '__main__':
    run_tool(main)
