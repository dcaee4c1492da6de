"""From a workflow file to its stages, each a command line that a user can type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import DEFAULT_POSTPROCESS, display_path
from sartorius.workflow.facts import DataFacts, RecipeFacts
from sartorius.workflow.settings import FUSED, PROMPTED, RecipeSettings, WorkflowSettings
from sartorius.workflow.stages import Stage, WorkflowPlan

ReadFacts = Callable[[Path, Sequence[str], bool], RecipeFacts]


def make_plan(settings: WorkflowSettings, data: DataFacts, out: Path, read_facts: ReadFacts) -> WorkflowPlan:
    """Plans all stages of a workflow, each after those that it needs.

    Args:
        settings: The workflow file.
        data: The competition's folder.
        out: Folder to write to, absolute.
        read_facts: Reads a config: :func:`sartorius.workflow.facts.read_recipe_facts`.

    Raises:
        UsageError: A split is to be predicted of which there are no images.
        InputError: Recipes that do not fit together.
    """
    for split in _splits(settings, 0):
        if not data.counts[split]:
            raise UsageError(f'{data.root}: has no images for the split {split!r}; remove it from splits')
    planner = _Planner(settings, data, out, read_facts)
    previous = None
    for number in range(settings.pseudo_rounds + 1):
        previous = planner.add_round(number, previous)
    planner.add_results()
    return WorkflowPlan(out, data.root, planner.stages)


@dataclass(frozen=True)
class _Round:
    """Files of a round of the workflow; rounds above 0 train with pseudo-labels.

    Attributes:
        folder: Where the round's files are.
        prefix: What the names of its stages begin with.
        unlabelled: Predictions of the unlabelled images, one file per fold.
    """

    folder: Path
    prefix: str
    unlabelled: tuple[Path, ...] = ()

    @property
    def annotations(self) -> Path:
        return self.folder / 'annotations'

    @property
    def postprocess(self) -> Path:
        return self.folder / 'tune' / 'postprocess.json'

    def predictions(self, place: str, split: str) -> Path:
        return self.folder / place / f'predictions_{split}.npz'


@dataclass
class _Planner:
    """Collects the stages; one method per kind."""

    settings: WorkflowSettings
    data: DataFacts
    out: Path
    read_facts: ReadFacts
    stages: dict[str, Stage] = field(default_factory=dict)
    _facts: dict[tuple[Path, tuple[str, ...], bool], RecipeFacts] = field(default_factory=dict)

    def add_round(self, number: int, previous: _Round | None) -> _Round:
        """Adds all stages of a round.

        Args:
            number: Number of the round.
            previous: The round before, whose predictions become pseudo-labels; None for the first round.
        """
        here = _Round(self.out / f'round{number}' if number else self.out, f'round{number}/' if number else '')
        csv = self._add_pseudo_labels(number, here, previous) if previous else None
        self._add_prepare(here, csv)
        for recipe in self.settings.recipes:
            self._check_no_cycle(recipe)
        splits = _splits(self.settings, number)
        folds = [self._add_fold(here, fold, splits) for fold in self.settings.trained_folds]
        self._add_tune(here, self._add_join(here, [fold['val'] for fold in folds]))
        if 'test' in self.settings.splits:
            files = [fold['test'] for fold in folds]
            out = here.predictions(FUSED, 'test')
            test = self._add_fusion(f'{here.prefix}all/test', files, self.settings.fold_fusion, out)
            self._add_submission(here, test)
        return replace(here, unlabelled=tuple(fold['unlabelled'] for fold in folds if 'unlabelled' in fold))

    def add_results(self) -> None:
        """Adds the table of the scores of everything that was predicted for held-out images."""
        files = [path for stage in self.stages.values() for path in stage.outputs if path.endswith('_val.npz')]
        gt, out = self.out / 'annotations', self.out / 'results.md'
        words = ('tools/analysis/leaderboard.py', str(self.out), '--annotations', str(gt), '--out', str(out))
        self._add(Stage('results', 'all', words, (*files, str(gt / 'all.json')), (str(out),)))

    def _add(self, stage: Stage) -> None:
        self.stages.setdefault(stage.key, stage)

    def _facts_of(self, recipe: RecipeSettings) -> RecipeFacts:
        key = (recipe.config, recipe.cfg_options, recipe.small)
        if key not in self._facts:
            self._facts[key] = self.read_facts(*key)
        return self._facts[key]

    def _check_no_cycle(self, recipe: RecipeSettings) -> None:
        """Checks that no run starts from itself, directly or through others.

        Raises:
            InputError: One does; the message names the recipe's config.
        """
        seen, facts = {recipe.config.resolve()}, self._facts_of(recipe)
        while facts.init_from:
            if facts.init_from.resolve() in seen:
                raise InputError(f'{display_path(recipe.config)} starts from itself; fix init_from')
            seen.add(facts.init_from.resolve())
            facts = self._facts_of(self.settings.first_run(facts.init_from))

    def _add_prepare(self, here: _Round, csv: Path | None) -> None:
        settings, out = self.settings, here.annotations
        words = ['tools/prepare_sartorius.py', '--data-root', str(self.data.root), '--out', str(out)]
        words += ['--folds', str(settings.folds), '--seed', str(settings.seed)]
        words += ['--fill-holes'] if settings.fill_holes else []
        words += ['--skip-missing-images'] if settings.skip_missing_images else []
        words += ['--csv', str(csv)] if csv else []
        names = ['all.json', 'folds.csv']
        names += [f'fold{fold}_{part}.json' for fold in range(settings.folds) for part in ('train', 'val')]
        names += [f'{split}.json' for split in ('test', 'unlabelled') if self.data.counts[split]]
        facts = {'train.csv': self.data.train_sha256, 'images': self.data.images_sha256}
        outputs = tuple(str(out / name) for name in names)
        inputs = (str(csv),) if csv else ()
        self._add(Stage('prepare', f'{here.prefix}annotations', tuple(words), inputs, outputs, facts))

    def _data_words(self, here: _Round, fold: int) -> list[str]:
        return ['--data-root', str(self.data.root), '--annotations', str(here.annotations), '--fold', str(fold)]

    def _add_fold(self, here: _Round, fold: int, splits: Sequence[str]) -> dict[str, Path]:
        """Adds everything of a fold; returns its one predictions file of each split."""
        settings, place = self.settings, f'fold{fold}'
        recipes = {recipe.name: recipe for recipe in settings.recipes}
        checkpoints = {name: self._add_training(here, fold, recipe) for name, recipe in recipes.items()}
        predictions = {}
        for split in splits:
            files = {
                name: self._add_prediction(here, fold, recipe, checkpoints[name], split)
                for name, recipe in recipes.items()
            }
            if settings.prompt:
                boxes = [files[name] for name in settings.prompt.boxes]
                masks = recipes[settings.prompt.masks]
                prompt = self._add_boxes(here, place, boxes, split)
                files[PROMPTED] = self._add_prediction(here, fold, masks, checkpoints[masks.name], split, prompt)
            members = [files[name] for name in self._members()]
            name, out = f'{here.prefix}{place}/{split}', here.predictions(f'{place}/{FUSED}', split)
            predictions[split] = self._add_fusion(name, members, settings.fusion, out)
        return predictions

    def _members(self) -> Sequence[str]:
        """Names of what is fused in each fold: recipes with masks, and masks predicted for the boxes of others.

        Raises:
            InputError: No recipe has masks.
        """
        settings = self.settings
        if settings.members:
            return settings.members
        with_masks = [recipe.name for recipe in settings.recipes if not self._facts_of(recipe).boxes_only]
        if not with_masks:
            raise InputError('no recipe of the workflow has masks; add one, and prompt: to predict masks for the boxes')
        return [*with_masks, *([PROMPTED] if settings.prompt else [])]

    def _add_training(self, here: _Round | None, fold: int | None, recipe: RecipeSettings) -> Path:
        """Adds the training of a recipe and of the run that it starts from; returns the last checkpoint.

        Args:
            here: The round; None for a run that no fold changes.
            fold: The fold that is held out; None for a run that no fold changes.
            recipe: The recipe.
        """
        facts = self._facts_of(recipe)
        place = f'fold{fold}/{recipe.name}' if here else f'shared/{recipe.name}'
        folder = (here.folder if here else self.out) / place
        iterations = recipe.iterations or facts.iterations
        checkpoint = folder / f'iter_{iterations}.pth'
        words = ['tools/train.py', str(recipe.config), '--work-dir', str(folder), '--seed', str(self.settings.seed)]
        words += ['--small'] if recipe.small else []
        words += ['--iterations', str(recipe.iterations)] if recipe.iterations else []
        words += ['--from-scratch'] if recipe.from_scratch else []
        words += ['--amp'] if recipe.amp else []
        words += [] if recipe.validation else ['--no-validation']
        weights, inputs = recipe.load_from, []
        if facts.init_from and not weights:
            weights = self._add_first_run(here, fold, facts)
            inputs.append(str(weights))
        words += ['--load-from', str(weights)] if weights else []
        if here:
            words += self._data_words(here, fold)
            inputs += [str(here.annotations / f'fold{fold}_{part}.json') for part in ('train', 'val')]
        else:
            folders = {'data-root': self.settings.shared_data_root, 'annotations': self.settings.shared_annotations}
            words += [word for name, path in folders.items() if path for word in (f'--{name}', str(path))]
        words += ['--cfg-options', *recipe.cfg_options] if recipe.cfg_options else []
        self._add(
            Stage(
                kind='train',
                name=f'{here.prefix if here else ""}{place}',
                words=tuple(words),
                inputs=tuple(inputs),
                outputs=(str(checkpoint),),
                facts={'config': facts.sha256},
                amount=f'{iterations} iterations',
                work_dir=str(folder),
            )
        )
        return checkpoint

    def _add_first_run(self, here: _Round | None, fold: int | None, facts: RecipeFacts) -> Path:
        """Adds the run that a recipe starts from: one for all folds, or one of the same fold."""
        if here is None or not facts.same_fold:
            return self._add_training(None, None, self.settings.first_run(facts.init_from))
        # A recipe of the workflow that is trained in this fold anyway is not trained twice.
        own = [recipe for recipe in self.settings.recipes if recipe.config.resolve() == facts.init_from.resolve()]
        first = own[0] if own else self.settings.first_run(facts.init_from)
        return self._add_training(here, fold, first)

    def _add_prediction(
        self,
        here: _Round,
        fold: int,
        recipe: RecipeSettings,
        checkpoint: Path,
        split: str,
        boxes: Path | None = None,
    ) -> Path:
        place = f'fold{fold}/{PROMPTED if boxes else recipe.name}'
        out = here.predictions(place, split)
        words = ['tools/test.py', str(recipe.config), str(checkpoint), '--split', split, '--out', str(out)]
        words += ['--small'] if recipe.small else []
        words += ['--boxes', str(boxes)] if boxes else []
        words += ['--tta'] if recipe.tta else []
        words += ['--tiles'] if recipe.tiles and not boxes else []
        words += self._data_words(here, fold)
        changes = (*recipe.cfg_options, *recipe.predict_cfg_options)
        words += ['--cfg-options', *changes] if changes else []
        annotated = f'fold{fold}_val.json' if split == 'val' else f'{split}.json'
        inputs = [str(checkpoint), str(here.annotations / annotated), *([str(boxes)] if boxes else [])]
        count = self.data.counts[split]
        images = -(-count // self.settings.folds) if split == 'val' else count
        self._add(
            Stage(
                kind='predict',
                name=f'{here.prefix}{place}/{split}',
                words=tuple(words),
                inputs=tuple(inputs),
                outputs=(str(out),),
                facts={'config': self._facts_of(recipe).sha256},
                amount=f'{images} images',
            )
        )
        return out

    def _add_boxes(self, here: _Round, place: str, files: Sequence[Path], split: str) -> Path:
        """Returns the boxes to predict masks for: fused, or one recipe's own."""
        if len(files) == 1:
            return files[0]
        out = here.folder / place / PROMPTED / f'boxes_{split}.npz'
        words = (*self._fusion_words(files, self.settings.fusion, out), '--boxes-only')
        name = f'{here.prefix}{place}/{split}'
        self._add(Stage('boxes', name, words, tuple(map(str, files)), (str(out),), _hash_of(self.settings.fusion)))
        return out

    def _add_fusion(self, name: str, files: Sequence[Path], fusion: str, out: Path) -> Path:
        """Fuses files of the same images; a single one is taken as it is."""
        if len(files) == 1:
            return files[0]
        words = self._fusion_words(files, fusion, out)
        self._add(Stage('fuse', name, words, tuple(map(str, files)), (str(out),), _hash_of(fusion)))
        return out

    @staticmethod
    def _fusion_words(files: Sequence[Path], fusion: str, out: Path) -> tuple[str, ...]:
        option = '--config' if fusion.endswith('.py') else '--method'
        return ('tools/ensemble.py', *map(str, files), option, fusion, '--out', str(out))

    def _add_join(self, here: _Round, files: Sequence[Path]) -> Path:
        """Puts the held-out images of all folds into one file."""
        if len(files) == 1:
            return files[0]
        out = here.predictions(FUSED, 'val')
        words = ('tools/data/concat_predictions.py', *map(str, files), '--out', str(out))
        self._add(Stage('join', f'{here.prefix}all/val', words, tuple(map(str, files)), (str(out),)))
        return out

    def _add_tune(self, here: _Round, predictions: Path) -> None:
        gt = here.annotations / 'all.json'
        chain = self.settings.postprocess or DEFAULT_POSTPROCESS
        words = ('tools/tune.py', str(predictions), '--annotations', str(gt), '--postprocess', str(chain))
        words += ('--out', str(here.postprocess.parent))
        inputs, facts = (str(predictions), str(gt)), {'chain': sha256_of(chain)}
        self._add(Stage('tune', f'{here.prefix}all', words, inputs, (str(here.postprocess),), facts))

    def _add_submission(self, here: _Round, predictions: Path) -> None:
        out, name = here.folder / 'submission.csv', f'{here.prefix}submission'
        words = ('tools/make_submission.py', str(predictions), '--postprocess', str(here.postprocess))
        inputs = (str(predictions), str(here.postprocess))
        self._add(Stage('submit', name, (*words, '--out', str(out)), inputs, (str(out),)))
        words = ('tools/check_submission.py', str(out), '--size', self.data.test_size)
        words += ('--sample', str(self.data.root / 'sample_submission.csv')) if self.data.sample else ()
        self._add(Stage('check', name, words, (str(out),), ()))

    def _add_pseudo_labels(self, number: int, here: _Round, previous: _Round) -> Path:
        """Labels the unlabelled images, for each fold by the models that it was held out from."""
        out, files = here.folder / 'train.csv', [str(path) for path in previous.unlabelled]
        words = ('tools/data/pseudo_label.py', *files, '--train-csv', str(self.data.root / 'train.csv'))
        # Every round starts from the annotated images alone, so that its number does not follow from them.
        words += ('--postprocess', str(previous.postprocess), '--out', str(out), '--round', str(number))
        facts = {'train.csv': self.data.train_sha256}
        inputs = (*files, str(previous.postprocess))
        self._add(Stage('pseudo', f'{here.prefix}labels', words, inputs, (str(out),), facts))
        return out


def _splits(settings: WorkflowSettings, number: int) -> tuple[str, ...]:
    """Splits that a round predicts: the unlabelled one too where a later round trains on its pseudo-labels."""
    splits = settings.predicted_splits
    return (*splits, 'unlabelled') if number < settings.pseudo_rounds and 'unlabelled' not in splits else splits


def _hash_of(fusion: str) -> Mapping[str, str]:
    """Hash of a fusion's config; a method's name says it all."""
    return {'fusion': sha256_of(fusion)} if fusion.endswith('.py') else {}
