"""Writes predictions as files that other tools open, such as Fiji, QuPath, napari, CellProfiler and CVAT."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import absolute_path, add_format_option, add_reading_options, make_parser, options_as, run_tool
from sartorius.utils.locks import lock_folder
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
    add_format_option(parser)
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='.json of tools/tune.py, or .py that defines postprocess = [...]; the default one for the classes of the '
        'predictions if not given',
    )
    add_reading_options(parser)
    arguments = parser.parse_args(argv)

    from sartorius.export.from_predictions import ExportOptions, export_predictions

    with lock_folder(arguments.out, 'export'):
        summary = export_predictions(options_as(ExportOptions, arguments))
    files = f'; of all together {", ".join(path.name for path in summary.run_files)}' if summary.run_files else ''
    print(
        f'wrote {summary.images:,} images with {summary.cells:,} cells as {", ".join(arguments.formats)} below '
        f'{display_path(arguments.out)}{files}'
    )


if __name__ == '__main__':
    run_tool(main, 'files are whole or absent; the same command again completes them')
