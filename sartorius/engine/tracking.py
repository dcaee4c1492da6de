"""Weights & Biases: the config and the metrics of a run go there, and nothing else."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env

from sartorius.utils.errors import InputError

# What the client sends of itself: code, patches, installed packages, what is printed, the machine and its load.
_NOTHING_ELSE = dict(
    console='off',
    disable_code=True,
    disable_git=True,
    disable_job_creation=True,
    save_code=False,
    x_disable_machine_info=True,
    x_disable_meta=True,
    x_disable_stats=True,
    x_save_requirements=False,
)


@VISBACKENDS.register_module()
class MetricsWandbBackend(WandbVisBackend):
    """MMEngine's backend without the files that it sends: every ``.py`` below the current folder, environments too.

    Args:
        save_dir: Folder of the client's files; those of ``WANDB_MODE=offline`` stay there.
        init_kwargs: For ``wandb.init``; ``settings`` there can ask for more than config and metrics.
    """

    def __init__(self, save_dir: str, init_kwargs: dict[str, Any] | None = None) -> None:
        kwargs = dict(init_kwargs or {})
        kwargs['settings'] = _NOTHING_ELSE | dict(kwargs.get('settings', {}))
        super().__init__(save_dir, kwargs)

    def _init_env(self) -> None:
        from wandb.errors import Error

        try:
            super()._init_env()
        except Error as error:
            raise InputError(
                f'--wandb: {str(error).splitlines()[0]}; log in with "wandb login", or set WANDB_MODE=offline'
            ) from None

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Sends the config."""
        self._wandb.config.update(config.to_dict(), allow_val_change=True)

    def close(self) -> None:
        """Ends the run."""
        if hasattr(self, '_wandb'):
            self._wandb.finish()
