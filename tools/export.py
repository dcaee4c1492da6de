"""Writes predictions as files that other tools open, such as Fiji, QuPath, napari, CellProfiler and CVAT."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import absolute_path, make_parser, options_as, run_tool
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, post-processes and exports."""
    parser = make_parser(
        'Post-process predictions and write the cells of each image for other tools: label images, ImageJ regions and '
        'tables, and tables and COCO JSON of all images.',
        'python tools/export.py predictions.npz --images my_images --out exported --format masks rois table geojson',
    )
    parser.add_argument('predictions', type=Path, help='predictions file of tools/test.py or tools/ensemble.py')
    parser.add_argument('--out', type=absolute_path, required=True, help='folder to write below')
    parser.add_argument(
        '--images',
        type=absolute_path,
        metavar='DIR',
        help='folder with the images, for intensities, overlays, pixel sizes and frame intervals',
    )
    parser.add_argument(
        '--format',
        nargs='+',
        metavar='NAME',
        default=['masks', 'rois', 'table'],
        help='masks: label TIFF; rois: ImageJ ROI zip; table: cells as CSV; geojson: QuPath; overlay: PNG; coco: COCO '
        'JSON; seg: Cellpose',
    )
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='.json of tools/tune.py, or .py that defines postprocess = [...]; the default one for the classes of the '
        'predictions if not given',
    )
    parser.add_argument(
        '--pixel-size',
        type=float,
        metavar='UM',
        help='side of a pixel in micrometres; what the images say if not given',
    )
    parser.add_argument('--axes', help='axes of the image files, such as TYX, instead of what they say')
    parser.add_argument('--channel', help='number (from 0) or name of the channel that was predicted from')
    parser.add_argument('--z', help='number (from 0) of the plane in z that was predicted from, or max or mean')
    arguments = parser.parse_args(argv)

    from sartorius.export.from_predictions import ExportOptions, export_predictions

    summary = export_predictions(options_as(ExportOptions, arguments))
    files = f'; of all together {", ".join(path.name for path in summary.run_files)}' if summary.run_files else ''
    print(
        f'wrote {summary.images:,} images with {summary.cells:,} cells as {", ".join(arguments.format)} below '
        f'{display_path(arguments.out)}{files}'
    )


if __name__ == '__main__':
    run_tool(main, 'files are whole or absent; the same command again completes them')
