"""MMEngine's runner for predictions."""

from mmengine.runner import Runner


class PredictionRunner(Runner):
    """MMEngine's runner, except that it leaves no config in the work dir.

    Predictions lie beside the checkpoint by default, where MMEngine would write over the config of the training. What
    predicted them stands in the predictions file.
    """

    def dump_config(self) -> None:
        """Writes nothing."""
