"""A check of a config before training starts: keys, files, limits, anchors, memory."""

from sartorius.engine.config_check.check import check_config
from sartorius.engine.config_check.report import Report

__all__ = ['Report', 'check_config']
