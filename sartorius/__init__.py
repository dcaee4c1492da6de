"""Instance segmentation of crowded living cells, built on MMDetection."""

__version__ = '0.1.0'
