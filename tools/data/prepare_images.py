"""Turns a folder of images with labels of any tool into COCO JSON and folds."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import display_path

CONFIG = 'configs/own/mrcnn_r18.py'


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prepares."""
    parser = make_parser(
        'Turn a folder of images with labels into COCO JSON with folds, to train on with the configs of configs/own/. '
        'The labels lie beside the images (A1.tif: A1_masks.tif or A1_cp_masks.png, A1_seg.npy, A1_rois.zip, '
        'A1.geojson, A1.json of labelme), in a folder masks/ or labels/, or in a COCO JSON; which of them is found by '
        'their names. The images stay where they are. Writes all.json, fold{k}_train.json and fold{k}_val.json, '
        'unlabelled.json where there are images without labels, folds.csv and summary.md.',
        'python tools/data/prepare_images.py my_images --out my_images_prepared',
    )
    parser.add_argument('images', type=Path, metavar='DIR', help='folder of images; subfolders are searched too')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder to write to')
    parser.add_argument(
        '--labels', type=Path, metavar='PATH', help='folder of label files with the subfolders of DIR, or a COCO JSON'
    )
    parser.add_argument(
        '--label-name',
        metavar='PATTERN',
        help='other names of label files, {name} for that of the image: "{name}_gt.png"',
    )
    parser.add_argument(
        '--format',
        choices=('masks', 'seg', 'rois', 'geojson', 'labelme', 'coco'),
        help='which labels to take where an image has several',
    )
    parser.add_argument('--folds', type=int, help='number of folds; 5, or as many as there are groups of images')
    parser.add_argument('--seed', type=int, default=0, help='seed of the folds')
    parser.add_argument(
        '--group-by',
        metavar='HOW',
        help='images of one group are in one fold: folder, image, or a regular expression for a part of the path, such '
        'as "[A-H][0-9]+" for a well; by folder if there are several, else by image',
    )
    parser.add_argument('--class', dest='class_name', default='cell', metavar='NAME', help='class of unnamed cells')
    parser.add_argument('--class-by-folder', action='store_true', help='folder names are the classes of unnamed cells')
    parser.add_argument('--merge-classes', metavar='NAME', help='one class for all cells, whatever their labels say')
    parser.add_argument(
        '--classes', nargs='+', default=[], metavar='NAME', help='all classes in order, such as those of a model'
    )
    parser.add_argument(
        '--pieces',
        choices=('split', 'keep'),
        help='a label in several pieces: a cell for each, or one cell (also of a black and white mask)',
    )
    parser.add_argument(
        '--keep-unlabelled', action='store_true', help='images without labels train as images without cells'
    )
    parser.add_argument(
        '--only', metavar='PATTERN', help='only files whose path below DIR matches, a regular expression: "set(1|15)/"'
    )
    parser.add_argument('--origin', metavar='NAME', help="whose images they are, for the models' cards; own images")
    parser.add_argument(
        '--licence', metavar='NAME', help='licence of the images as https://spdx.org/licenses has it, such as MIT'
    )
    args = parser.parse_args(argv)
    if args.folds is not None and args.folds < 2:
        parser.error(f'--folds {args.folds}: cross-validation needs 2 or more')

    from sartorius.annotations.image_preparation import ImagePreparationOptions, LabelOptions, prepare_images

    options = ImagePreparationOptions(
        files=LabelOptions(args.images, args.labels, args.label_name, args.format, args.out, args.only),
        folds=args.folds,
        seed=args.seed,
        group_by=args.group_by,
        class_name=args.class_name,
        class_by_folder=args.class_by_folder,
        merge_classes=args.merge_classes,
        classes=tuple(args.classes),
        pieces=args.pieces,
        keep_unlabelled=args.keep_unlabelled,
        origin=args.origin,
        licence=args.licence,
    )
    with lock_folder(args.out, 'preparation'):
        prepared = prepare_images(options, args.out)
    print(prepared.summary)
    print(f'\nwritten to {display_path(args.out)}; next:\n')
    data = f'--data-root {shlex.quote(str(args.images))} --annotations {shlex.quote(str(args.out))}'
    fold = '' if prepared.folds else ' --fold all'
    run = f'work_dirs/own_mrcnn_r18{"" if prepared.folds else "_all"}'
    commands = (
        f'python tools/analysis/check_config.py {CONFIG} {data}{fold}',
        f'python tools/analysis/browse_dataset.py {CONFIG} {data}{fold}',
        f'python tools/train.py {CONFIG} {data}{fold} --work-dir {run}',
        f'python tools/predict.py {shlex.quote(str(args.images))} -r --out predicted --model {run}/iter_4000.pth',
    )
    print(name_tools('\n'.join(commands)))


if __name__ == '__main__':
    run_tool(main)
