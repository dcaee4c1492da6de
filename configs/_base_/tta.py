# Inference modes of tools/test.py.

# --tta: test-time augmentation in several orientations, at each scale. The boxes of all augmented passes are fused,
# then every pass predicts masks for the fused boxes, which are transformed back and averaged. A scale is a long and a
# short edge, or a factor. What each pass is worth: docs/prediction.md.
tta_model = dict(type='CellTTAModel', method='wbf')
tta_orientations = ['none', 'diagonal']
tta_scales = [(2000, 832), (2000, 1040)]

# --tiles: in overlapping tiles of (height, width) px, each enlarged by the scale: here as large as the competition's
# images, and as much enlarged. A cell up to as high and wide as the overlap is never cut.
tiles = dict(size=(520, 704), overlap=256, scale=2.0)
