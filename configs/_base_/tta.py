# How tools/test.py looks at an image.

# --tta: in several views, each turned or flipped, at each scale. Boxes of all views are fused, then every view draws
# the masks of the fused boxes, which are turned back and averaged. A scale is a long and a short edge, or a factor.
tta_model = dict(type='CellTTAModel', method='wbf')
tta_orientations = ['none', 'horizontal', 'vertical', 'diagonal']
tta_scales = [(2000, 1040)]

# --tiles: in overlapping tiles of (height, width) px, each enlarged by the scale: here as large as the competition's
# images, and as much enlarged. A cell that is at most twice the margin high and wide is never cut.
tiles = dict(size=(520, 704), margin=128, scale=2.0)
