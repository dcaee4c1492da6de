"""Check of a config before training starts: keys, files, limits, anchors."""

from sartorius.engine.config_check.check import check_before_training, check_config, check_recipe
from sartorius.engine.config_check.report import Report

__all__ = ['Report', 'check_before_training', 'check_config', 'check_recipe']
