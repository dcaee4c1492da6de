"""Binary masks of single cells: crops, run-length codes, IoU, holes, overlaps."""
