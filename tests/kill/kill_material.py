"""What the tools read: small synthetic data sets, models of two steps, and their predictions; each is made once."""

import re
import zipfile
from pathlib import Path

from kill_cases import LIGHT
from kill_server import Server

# A model of two steps is sure of nothing: with the usual thresholds no cell would be left.
CHAIN = """postprocess = [
    dict(type='VoteClass'),
    dict(type='ScoreThreshold', threshold=0.0),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='RemoveOverlap'),
    dict(type='MinArea', min_area=0),
]
"""
RULES = 'pseudo_labels = dict(cell_scores=0.0, max_unsure=1.0, min_mean_scores=0.0, min_votes=0.0, min_cells=0)\n'
FLOW = """\
recipes: [configs/sartorius/mrcnn_r50.py]
small: true
only_folds: [0]
folds: 2
iterations: 3
from_scratch: true
validation: false
cfg_options: [default_hooks.checkpoint.interval=1, train_dataloader.batch_size=1]
predict_cfg_options: [model.test_cfg.rcnn.score_thr=0.0, model.test_cfg.rcnn.max_per_img=20]
postprocess: {chain}
"""
PREDICT_FLOW = 'batch_size: 1\nmodel: {model}\nformats: [masks, table]\nrecursive: true\n'
# Its last argument is the folder to download to.
KAGGLE = """#!/bin/sh
for folder; do :; done
cp {archive} "$folder/sartorius-cell-instance-segmentation.zip"
"""

_SIZE = '--size 176x130'
_TRAIN = (
    'train mrcnn_r50 --small --data-root {{data}} --annotations {{folds}} --fold 0 --from-scratch --no-validation '
    f'--iterations 2 --work-dir {{{{run{{0}}}}}} --seed 1{{0}} --cfg-options {" ".join(LIGHT)}'
)
_PREDICT = (
    'test mrcnn_r50 {{run{0}}}/iter_2.pth --small --data-root {{data}} --annotations {{folds}} --fold 0 --split {1} '
    f'--out {{{{{{1}}{{0}}}}}} --cfg-options {" ".join(LIGHT)}'
)
_SUBMIT = 'make_submission {{test{0}}} --postprocess {{chain}} --out {{submission{0}}}'
FILES = {
    'chain': 'chain.py',
    'rules': 'rules.py',
    'workflow': 'flow.yaml',
    'predict_workflow': 'predict.yaml',
    'archive': 'archive.zip',
    'model': 'model.pth',
} | {
    f'{name}{which}': f'{name}{which}{suffix}'
    for which in ('', '2')
    for name, suffix in (
        ('data', ''), ('run', ''), ('val', '.npz'), ('test', '.npz'), ('unlabelled', '.npz'), ('submission', '.csv'),
    )
} | {name: name for name in ('folds', 'livecell', 'cleaned', 'models')}  # fmt: skip
"""Files and folders by the name that stands in braces in command lines."""

COMMANDS = {
    'data': f'data/make_synthetic --out {{data}} --images 9 --test-images 3 --unlabelled-images 2 {_SIZE} --seed 1',
    'data2': f'data/make_synthetic --out {{data2}} --images 6 --test-images 3 --unlabelled-images 0 {_SIZE} --seed 2 '
    '--defects hollow=0.3 duplicated=0.3',
    'livecell': 'data/make_synthetic --out {livecell} --form livecell --images 4 --test-images 2 --val-images 2 '
    + _SIZE,
    'folds': 'prepare_sartorius --data-root {data} --out {folds} --folds 2',
    'cleaned': 'data/clean_masks {data2}/train.csv --out {cleaned}/train.csv --fix all',
    'models': 'publish_model {run} --name cells --postprocess {chain} --out {models}',
}
"""What makes them, in terms of each other."""
for _which in ('', '2'):
    COMMANDS[f'run{_which}'] = _TRAIN.format(_which)
    COMMANDS[f'submission{_which}'] = _SUBMIT.format(_which)
    for _split in ('val', 'test', 'unlabelled'):
        COMMANDS[f'{_split}{_which}'] = _PREDICT.format(_which, _split)


class Material:
    """Makes what a command line names.

    Args:
        server: Runs the tools.
        folder: Where it lies.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.names = {name: str(folder / file) for name, file in FILES.items()}
        folder.mkdir(parents=True, exist_ok=True)

    def words(self, text: str, **more: str) -> list[str]:
        """A command line with the files that it names, which are made if they are missing."""
        for name in dict.fromkeys(re.findall(r'{(\w+)}', text)):
            if name not in more and not (self.folder / FILES[name]).exists():
                self._make(name)
        return text.format(**self.names, **more).split()

    def _make(self, name: str) -> None:
        path = self.folder / FILES[name]
        if name in COMMANDS:
            self.server.must_run(self.words(COMMANDS[name].replace(f'{{{name}}}', str(path))))
        elif name == 'model':
            self.words('{models}')
            path.symlink_to(next((self.folder / 'models').glob('*.pth')))
        elif name == 'archive':
            data = Path(self.words('{data}')[0])
            with zipfile.ZipFile(path, 'w') as content:
                for file in sorted(one for one in data.rglob('*') if one.is_file()):
                    content.write(file, file.relative_to(data))
            client = self.server.programs / 'kaggle'
            client.write_text(KAGGLE.format(archive=path))
            client.chmod(0o755)
        else:
            path.write_text(self._text(name))

    def _text(self, name: str) -> str:
        if name == 'workflow':
            return FLOW.format(chain=self.words('{chain}')[0])
        if name == 'predict_workflow':
            return PREDICT_FLOW.format(model=self.words('{model}')[0])
        return {'chain': CHAIN, 'rules': RULES}[name]
