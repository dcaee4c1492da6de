"""ImageJ itself opens the files and measures what we do: Debian's packages imagej, xvfb and a Java."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.export.formats import FORMATS
from sartorius.export.structures import ExportedImage
from sartorius.masks.overlap import resolve_overlaps
from sartorius.utils.classes import CELL_TYPES

from .readers import drawn, exported, frame_of

JAR = Path('/usr/share/java/ij.jar')

# Of each region: its frame as the ROI Manager shows it, its name, and number, lowest and highest value of the pixels
# that it has in the label image.
MACRO = """
setBatchMode(true);
open("{folder}/A1_masks.tif");
getDimensions(width, height, channels, slices, frames);
getVoxelSize(pixel, y, z, unit);
getMinAndMax(low, high);
text = "" + width + "," + height + "," + channels + "," + slices + "," + frames + "," + pixel + "," + unit + "\\n";
text = text + low + "," + high + "\\n";
roiManager("open", "{folder}/A1_rois.zip");
for (i = 0; i < roiManager("count"); i++) {{
    roiManager("select", i);
    getRawStatistics(pixels, mean, min, max);
    Stack.getPosition(channel, slice, frame);
    text = text + frame + "," + Roi.getName + "," + pixels + "," + min + "," + max + "," + Roi.getType + "\\n";
}}
File.saveString(text, "{folder}/measured.csv");
run("Quit");
"""


def measure(folder: Path, image: ExportedImage) -> list[list[str]]:
    """Rows of what ImageJ measures on the exported files."""
    missing = [name for name in ('java', 'xvfb-run') if not shutil.which(name)]
    if missing or not JAR.is_file():
        pytest.skip('needs ImageJ: apt-get install imagej xvfb default-jre')
    for name in ('masks', 'rois'):
        FORMATS[name].write(FORMATS[name].path(folder, 'A1'), image)
    (folder / 'measure.ijm').write_text(MACRO.format(folder=folder))
    command = [
        'xvfb-run',
        '-a',
        'java',
        f'-Duser.home={folder}',
        '-jar',
        str(JAR),
        '-batch',
        str(folder / 'measure.ijm'),
    ]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    return [line.split(',') for line in (folder / 'measured.csv').read_text().splitlines()]


@pytest.mark.slow
def test_every_cell_of_the_fullest_real_image(tmp_path: Path, real_data: Path) -> None:
    images = load_annotations(real_data / 'train.csv').values()
    fullest = max(images, key=len)
    crops = resolve_overlaps(fullest.crops, np.ones(len(fullest), np.float32), fullest.size)
    frame = replace(frame_of(fullest.image_id, crops, fullest.size), labels=fullest.labels)
    image = ExportedImage(fullest.image_id, (frame,), CELL_TYPES, pixel_size_um=0.65)
    head, (low, high), *rows = measure(tmp_path, image)
    assert head == ['704', '520', '1', '1', '1', '0.65', 'µm']
    assert (float(low), float(high)) == (0, len(fullest))
    expected = [['1', f'{label:04d}', str(crop.area), str(label), str(label)] for label, crop in image.cells(0)]
    assert [row[:5] for row in rows] == expected
    assert {row[5] for row in rows} == {'traced', 'composite'}


@pytest.mark.slow
def test_every_cell_of_a_movie_at_its_time(tmp_path: Path) -> None:
    crops, size = drawn('aaa.b aa... a.a.c bbb..')
    image = exported([crops[:1], crops, crops[1:]], size, pixel_size_um=2.0, frame_interval_s=60.0)
    head, _, *rows = measure(tmp_path, image)
    assert head == ['5', '4', '1', '1', '3', '2', 'µm']
    expected = [
        [str(number + 1), f't{number:04d}-{label:04d}', str(crop.area), str(label), str(label)]
        for number in range(3)
        for label, crop in image.cells(number)
    ]
    assert [row[:5] for row in rows] == expected
