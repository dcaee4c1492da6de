"""Instance segmentation of crowded living cells, built on MMDetection."""

__version__ = '0.2.0.dev0'
